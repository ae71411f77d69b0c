"""Which engine prepares a drop: DuckDB on one machine, or Spark when the data is more than that should hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from passerelle.errors import InputError

EngineName = Literal["duckdb", "spark"]
EngineChoice = Literal["auto", "duckdb", "spark"]

#: DuckDB works out of core, so its bound is the job's disk (30 GB) and hours, not its memory.
DUCKDB_MOST_BYTES: Final = 20 * 10**9
#: What a cell of an earlier file is taken to have been in CSV: of those only the rows are recorded.
CELL_BYTES: Final = 6


@dataclass(frozen=True)
class Engine:
    """An engine, and why it is this one."""

    name: EngineName
    why: str


def choose_engine(
    declared: EngineChoice,
    *,
    new_bytes: int,
    earlier_rows: int,
    columns: int,
    spark_at_hand: bool,
    most_bytes: int = DUCKDB_MOST_BYTES,
) -> Engine:
    """Choose by what the project declares, else by size; a project that asks for Spark where there is none is refused.

    `most_bytes` is what one machine prepares.

    Raises InputError with the remedy.
    """
    size = new_bytes + earlier_rows * columns * CELL_BYTES
    words = f"{_size(size)} of data ({_size(new_bytes)} new, {earlier_rows:,} earlier rows)"
    if declared == "spark" and not spark_at_hand:
        raise InputError(
            "project.yaml asks for Spark (data.engine: spark), and this job has none. "
            "Set data.engine: auto, or install pyspark and Java where the job runs."
        )
    if declared != "auto":
        return Engine(declared, f"the project asks for it (data.engine: {declared}); {words}")
    if size <= most_bytes:
        return Engine("duckdb", f"{words} are within the {_size(most_bytes)} that one machine prepares")
    beyond = f"{words} are more than the {_size(most_bytes)} that one machine prepares well"
    if spark_at_hand:
        return Engine("spark", beyond)
    return Engine("duckdb", f"{beyond}, and this job has no Spark")


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
