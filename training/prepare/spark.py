"""Preparation on Spark: files are validated in parallel, each by the same contract; tables are Spark's.

A file's rows are read and held to the contract inside a task by what does so without Spark: reader, regular expressions
and number texts are the same code, so that no dialect of SQL can tell them apart. What spans files (duplicates, label,
split, order) is the Ibis program of `build`, run by Spark.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ibis

from passerelle.contracts.container import DropFile
from passerelle.domain.contract.compiled import compile_contract
from passerelle.domain.dataset.engine import EngineName
from training.prepare.engine import SHARES
from training.prepare.fetch import Validation
from training.prepare.java import java_home
from training.prepare.validate import ValidatedFile

_ROOT: Final = Path(__file__).resolve().parents[2]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def conv(text: str, base: int, to: int) -> str:  # type: ignore[empty-body]
    """Spark's own: a number's digits in another base."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def xxhash64(values) -> int:  # type: ignore[no-untyped-def, empty-body]
    """Spark's own: a hash of a struct."""


@ibis.udf.scalar.python(signature=(("float64",), "string"))  # type: ignore[untyped-decorator]
def number_text(number: float | None) -> str | None:
    """Spell a number as DuckDB and Python do; Java's digits differ, and with its version."""
    return None if number is None else repr(number)


class SparkEngine:
    """A Spark session."""

    name: EngineName = "spark"

    def __init__(self, session: Any, spill: Path) -> None:
        self._session, self._spill = session, spill
        self._connection = ibis.pyspark.connect(session)

    def validate(self, validation: Validation, files: Sequence[DropFile]) -> list[ValidatedFile]:
        if not files:
            return []
        numbered = list(enumerate(files, validation.count))
        validation.count += len(files)
        task = self._validating(validation)
        return list(self._session.sparkContext.parallelize(numbered, len(files)).map(task).collect())

    def _validating(self, validation: Validation) -> Callable[[tuple[int, DropFile]], ValidatedFile]:
        """Return what a task does with a numbered file."""
        # Compiled expressions do not travel; a process compiles the contract once.
        project, objects, work = validation.project, validation.objects, validation.work
        derived = validation.contract.derived

        def validated(item: tuple[int, DropFile]) -> ValidatedFile:
            number, file = item
            return Validation(project, compile_contract(project, derived), objects, work).file(file, number)

        return validated

    def read(self, files: Sequence[Path]) -> Any:
        return self._view(self._session.read.parquet(*map(str, files)), "curated")

    def keep(self, table: Any, name: str) -> Any:
        # On disk and not in Spark's cache: an executor that is lost loses nothing, and memory stays for the sorting.
        path = str(self._spill / name)
        self._connection.to_parquet(table, path, mode="overwrite")
        return self._view(self._session.read.parquet(path), name)

    def view(self, table: Any, name: str) -> Any:
        return self.keep(table, name)

    def answers(self, table: Any) -> list[dict[str, Any]]:
        return list(self._connection.to_pyarrow(table).to_pylist())

    def write(self, table: Any, folder: Path) -> None:
        self._connection.to_parquet(table, str(folder), mode="overwrite", compression="zstd")
        for path in [*folder.glob("_SUCCESS"), *folder.glob(".*.crc")]:
            path.unlink()
        for number, path in enumerate(sorted(folder.glob("part-*.parquet"))):
            path.rename(folder / f"part-{number:05d}.parquet")

    def mark(self, *values: Any) -> Any:
        return xxhash64(ibis.struct({f"v{i}": value for i, value in enumerate(values)}))

    def text(self, value: Any) -> Any:
        return number_text(value) if value.type().is_floating() else value.cast("string")

    def share(self, text: Any) -> Any:
        digest = text.hexdigest("md5")
        turned = ibis.literal("").join([digest.substr(at, 2) for at in range(30, 14, -2)])
        return (conv(turned, 16, 10).cast("decimal(20, 0)") % SHARES).cast("int64")

    def _view(self, frame: Any, name: str) -> Any:
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)


@contextmanager
def spark_session(spill: Path) -> Iterator[Any]:
    """Open Spark: the session that runs already, as on EMR, or one on this machine's cores that ends with the run."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    session = active or local_session(spill)
    try:
        yield session
    finally:
        if active is None:
            session.stop()


def local_session(spill: Path, cores: str = "*") -> Any:
    """Start Spark on this machine, reachable by nobody else."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("JAVA_HOME", str(java_home(spill)))
    # The first python on PATH may be another than this one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": str(spill),
        "spark.sql.warehouse.dir": str(spill / "warehouse"),
        "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
        "spark.executorEnv.PYTHONPATH": str(_ROOT),
        **SESSION,
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("passerelle-prepare")
    session = builder.config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


#: What the meaning of rows depends on, wherever Spark runs: moments are UTC and have no zone, as in the files.
SESSION: Final = {"spark.sql.timestampType": "TIMESTAMP_NTZ", "spark.sql.session.timeZone": "UTC"}
