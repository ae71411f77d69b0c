"""Preparation on Spark's executors: other machines than the driver's, so that every file goes through S3.

Python tasks read and write Parquet themselves, by the client that reads raw files: Spark needs no connector to S3, and
a part's files are the same whichever Spark writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from passerelle.aws.objects import Objects
from passerelle.contracts.container import DropFile
from passerelle.domain.contract.compiled import compile_contract
from training.prepare.buckets import Buckets, own_folder
from training.prepare.fetch import Validation
from training.prepare.spark import SparkEngine
from training.prepare.validate import ValidatedFile

GROUP_ROWS: Final = 250_000
Batches = Iterator[pa.RecordBatch]


class ClusterEngine(SparkEngine):
    """A Spark session whose tasks share nothing with the driver but S3."""

    def __init__(self, session: Any, spill: Path, buckets: Buckets) -> None:
        super().__init__(session, spill)
        self._buckets = buckets

    def _validating(self, validation: Validation) -> Callable[[tuple[int, DropFile]], ValidatedFile]:
        return _validating(self._buckets, validation)

    def read(self, files: Sequence[Path]) -> Any:
        from pyspark.sql.pandas.types import from_arrow_schema

        keys = [path.as_posix() for path in files]
        schema = self._session.sparkContext.parallelize(keys[:1], 1).map(_schema_of(self._buckets)).first()
        listed = self._session.createDataFrame([(key,) for key in keys], "key string")
        # A task for each file: Spark would put small rows such as these into a few.
        spread = listed.repartition(len(keys), "key") if len(keys) > 1 else listed
        types = from_arrow_schema(schema, prefer_timestamp_ntz=True)
        return self._view(spread.mapInArrow(_reading(self._buckets), types), "curated")

    def keep(self, table: Any, name: str) -> Any:
        from pyspark import StorageLevel

        # What an executor held that is lost is computed again, from S3.
        return self._view(self._frame(table).persist(StorageLevel.DISK_ONLY), name)

    def write(self, table: Any, folder: Path) -> None:
        prefix = folder.as_posix()
        written = self._frame(table).mapInArrow(_writing(self._buckets, prefix), "key string").collect()
        self._buckets.keep_only(f"{prefix}/", {row["key"] for row in written})

    def _frame(self, table: Any) -> Any:
        # As Backend.to_parquet of Ibis does: functions of our own are registered before the query that calls them.
        self._connection._run_pre_execute_hooks(table)
        return self._session.sql(self._connection.compile(table))


def _validating(buckets: Buckets, validation: Validation) -> Callable[[tuple[int, DropFile]], ValidatedFile]:
    # Compiled expressions do not travel; a process compiles the contract once.
    project, derived = validation.project, validation.contract.derived

    def validated(item: tuple[int, DropFile]) -> ValidatedFile:
        number, file = item
        with own_folder() as folder:
            found = Validation(project, compile_contract(project, derived), Objects(), Path(folder)).file(file, number)
            for path in (found.good, found.quarantined):
                if path:
                    buckets.stage(path)
        return found

    return validated


def _schema_of(buckets: Buckets) -> Callable[[str], pa.Schema]:
    def schema(key: str) -> pa.Schema:
        with own_folder() as folder:
            return pq.read_schema(buckets.fetch(key, Path(folder)))

    return schema


def _reading(buckets: Buckets) -> Callable[[Batches], Batches]:
    def rows(batches: Batches) -> Batches:
        for batch in batches:
            for key in batch.column(0).to_pylist():
                with own_folder() as folder:
                    yield from pq.ParquetFile(buckets.fetch(key, Path(folder))).iter_batches()

    return rows


def _writing(buckets: Buckets, prefix: str) -> Callable[[Batches], Batches]:
    """Partitions are in the order of the rows, and a file's name says its partition."""

    def keys(batches: Batches) -> Batches:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        name = f"part-{context.partitionId():05d}.parquet"
        with own_folder() as folder:
            path = Path(folder) / name
            if _write(batches, path):
                buckets.upload(path, f"{prefix}/{name}")
                yield pa.RecordBatch.from_pydict({"key": [f"{prefix}/{name}"]})

    return keys


def _write(batches: Batches, path: Path) -> bool:
    """Write batches as row groups of a useful size; returns whether there was a row."""
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if writer is None and batch.num_rows:
            schema = pa.schema([field.with_nullable(True) for field in batch.schema])
            writer = pq.ParquetWriter(path, schema, compression="zstd")
        waiting.append(batch)
        if writer and sum(item.num_rows for item in waiting) >= GROUP_ROWS:
            _write_group(writer, waiting)
            waiting = []
    if writer is None:
        return False
    _write_group(writer, waiting)
    writer.close()
    return True


def _write_group(writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    if batches:
        writer.write_table(pa.Table.from_batches(batches).cast(writer.schema), row_group_size=GROUP_ROWS)
