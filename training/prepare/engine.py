"""What an engine must do for preparation, which is written once in Ibis; and DuckDB, the engine of most drops.

An engine validates files (each by the same compiled contract), keeps tables, answers small questions and writes sorted
rows. Only where engines spell a value differently does preparation ask them for it: `text` and `share`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import ibis
import ibis.expr.datatypes as dt

from passerelle.contracts.container import DropFile
from passerelle.domain.dataset.engine import EngineName
from training.prepare.fetch import Validation
from training.prepare.limits import duckdb_settings
from training.prepare.sql import DICTIONARIES, literal
from training.prepare.validate import ValidatedFile

SHARES: Final = 1_000_000


class Engine(Protocol):
    """Where the tables of one run are computed."""

    name: EngineName

    def validate(self, validation: Validation, files: Sequence[DropFile]) -> list[ValidatedFile]:
        """Return what each file holds, in their order."""

    def read(self, files: Sequence[Path]) -> Any:
        """Return the rows of Parquet files of one schema."""

    def keep(self, table: Any, name: str) -> Any:
        """Compute a table once, for many questions."""

    def view(self, table: Any, name: str) -> Any:
        """Return a table of files for many questions; it is kept only where reading the files again costs more."""

    def answers(self, table: Any) -> list[dict[str, Any]]:
        """Return a small table's rows."""

    def write(self, table: Any, folder: Path) -> None:
        """Write an ordered table as Parquet files whose names are in the same order."""

    def mark(self, *values: Any) -> Any:
        """Return a number that equal values share, and others seldom."""

    def text(self, value: Any) -> Any:
        """Return a value as text, the same on every engine."""

    def share(self, text: Any) -> Any:
        """Return a whole number from 0 to SHARES - 1 that a text's MD5 decides."""


@ibis.udf.scalar.builtin(signature=(("string",), "uint64"))  # type: ignore[untyped-decorator]
def md5_number_lower(text: Any) -> Any:
    """DuckDB's own: the last 8 bytes of the MD5, little-endian."""


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def row_hash(values) -> dt.uint64:  # type: ignore[no-untyped-def]
    """DuckDB's own: a hash of a struct."""


class DuckEngine:
    """DuckDB inside this process; what does not fit its memory goes to disk."""

    name: EngineName = "duckdb"

    def __init__(self, connection: Any, spill: Path) -> None:
        self._connection, self._spill = connection, spill

    def validate(self, validation: Validation, files: Sequence[DropFile]) -> list[ValidatedFile]:
        return validation.files(files)

    def read(self, files: Sequence[Path]) -> Any:
        return self._connection.read_parquet([str(path) for path in files], table_name="curated")

    def keep(self, table: Any, name: str) -> Any:
        # As a file and not as a temporary table: that costs as little time and no memory.
        path = self._spill / f"{name}.parquet"
        self._copy(table, path, "COMPRESSION lz4, ROW_GROUP_SIZE_BYTES 8388608")
        return self._connection.read_parquet(str(path), table_name=name)

    def view(self, table: Any, name: str) -> Any:
        return table

    def answers(self, table: Any) -> list[dict[str, Any]]:
        return list(table.to_pyarrow().to_pylist())

    def write(self, table: Any, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._copy(table, folder / "part-0.parquet", f"COMPRESSION zstd, COMPRESSION_LEVEL 1, {DICTIONARIES}")

    def mark(self, *values: Any) -> Any:
        return row_hash(ibis.struct({f"v{i}": value for i, value in enumerate(values)}))

    def text(self, value: Any) -> Any:
        return value.cast("string")

    def share(self, text: Any) -> Any:
        return (md5_number_lower(text) % SHARES).cast("int64")

    def _copy(self, table: Any, path: Path, compression: str) -> None:
        query = self._connection.compile(table)
        self._connection.raw_sql(f"COPY ({query}) TO {literal(path)} (FORMAT parquet, {compression})")


@contextmanager
def duck_engine(spill: Path) -> Iterator[DuckEngine]:
    """Open DuckDB for the merging of files: their order says nothing there, so it need not be kept."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        **duckdb_settings(spill),
        "preserve_insertion_order": "false",
    }
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        spill.mkdir(parents=True, exist_ok=True)
        yield DuckEngine(ibis.duckdb.from_connection(connection), spill)
