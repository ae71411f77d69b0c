"""Parquet as texts, column by column. What a file would expand to is checked before and while it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from passerelle.domain.project import Project
from training.prepare.batches import batch_schema
from training.prepare.limits import (
    BATCH_CELLS,
    BATCH_CHARS,
    BATCH_ROWS,
    MAX_CELL_CHARS,
    MAX_COLUMNS,
    MAX_EXPANSION,
    MAX_ROW_GROUP_BYTES,
    PARQUET_FLOOR,
    expanded_limit,
)
from training.prepare.unreadable import UnreadableFileError, cell_too_long, too_wide, unreadable

#: Arrow keeps an offset of four bytes per text: the least that a cell can take.
_LEAST_CELL_BYTES: Final = 4
#: What Arrow raises on damaged files: its own errors, and Python's where a footer lies about names, sizes or times.
_DAMAGE: Final = (pa.ArrowException, OSError, ValueError, OverflowError)


class ParquetRows:
    """A Parquet file whose footer is sound; rows are numbered from 0.

    Raises UnreadableFileError from any method when the file is corrupt, nested, or too large once decoded.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._key, self._limit = key, expanded_limit(path, PARQUET_FLOOR)
        try:
            metadata = pq.read_metadata(path)
            self._check_size(metadata)
            self._file = pq.ParquetFile(path, read_dictionary=_text_columns(metadata))
            schema = self._file.schema_arrow
            self._batch_rows = _batch_rows(metadata)
        except _DAMAGE as error:
            raise self._corrupt(error) from error
        self._names: list[str] = list(schema.names)
        self.header = self._names
        for field in schema:
            if pa.types.is_nested(field.type):
                message = f"column {field.name!r} is nested ({str(field.type)[:200]})"
                remedy = "Flatten it: one value per cell, one column per field."
                raise unreadable("nested_column", key, message, remedy, column=field.name)

    def _check_size(self, metadata: Any) -> None:
        if metadata.num_columns > MAX_COLUMNS:
            raise too_wide(self._key, metadata.num_columns, MAX_COLUMNS)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > MAX_ROW_GROUP_BYTES:
            message = f"a row group takes {largest:,} bytes; the limit is {MAX_ROW_GROUP_BYTES:,}"
            raise unreadable("large_row_group", self._key, message, "Write it with smaller row groups.")
        least = metadata.num_rows * metadata.num_columns * _LEAST_CELL_BYTES
        expanded = max(least, sum(group.total_byte_size for group in groups))
        if expanded > self._limit:
            raise self._bomb(f"its footer declares {metadata.num_rows:,} rows, at least {expanded:,} bytes")

    def _bomb(self, what: str) -> UnreadableFileError:
        message = f"the file expands too far: {what}; the limit for its size is {self._limit:,} bytes"
        remedy = f"Drop it in parts that expand to less than {MAX_EXPANSION} times their size."
        return unreadable("parquet_bomb", self._key, message, remedy)

    def _corrupt(self, error: Exception) -> UnreadableFileError:
        words = (str(error).splitlines() or [type(error).__name__])[0][:200]
        message = f"the Parquet file is corrupt: {words}"
        return unreadable("corrupt_parquet", self._key, message, "Write and drop it again.")

    def batches(self, project: Project) -> Iterator[pa.RecordBatch]:
        """Yield the rows as texts; `header` holds every declared name once."""
        schema, row, expanded = batch_schema(project), 0, 0
        declared = project.data.columns
        names = [self._names[self.header.index(column.name)] for column in declared]
        for batch in self._decoded(names):
            texts = [_texts(batch.column(i), column.type) for i, column in enumerate(declared)]
            faults = _faults(texts, [column.name for column in declared], batch.num_rows)
            lines = pa.array(range(row, row + batch.num_rows), pa.int64())
            raws = pa.nulls(batch.num_rows, pa.string())
            arrays = [lines, faults, raws, *(array for array, _ in texts)]
            expanded += sum(array.nbytes for array in arrays)
            if expanded > self._limit:
                raise self._bomb(f"its first {row + batch.num_rows:,} rows take {expanded:,} bytes")
            yield pa.record_batch(arrays, schema)
            row += batch.num_rows

    def _decoded(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches of the named columns, sliced so that their texts stay within bounds."""
        row = 0
        try:
            for batch in self._file.iter_batches(batch_size=self._batch_rows, columns=names):
                chosen = batch.select(names)
                size = sum(self._text_size(column, row, names[i]) for i, column in enumerate(chosen))
                step = max(1, min(batch.num_rows, batch.num_rows * BATCH_CHARS // max(size, 1)))
                for start in range(0, batch.num_rows, step):
                    yield chosen.slice(start, step)
                row += batch.num_rows
        except _DAMAGE as error:
            raise self._corrupt(error) from error

    def _text_size(self, column: pa.Array, row: int, name: str) -> int:
        """Return the bytes of a column's texts without writing out those that a dictionary shares."""
        if not _is_text(column.type):
            return int(column.nbytes)
        dictionary = pa.types.is_dictionary(column.type)
        lengths = pc.binary_length(column.dictionary if dictionary else column)
        if dictionary:
            lengths = lengths.take(column.indices)
        longest = pc.max(lengths).as_py() or 0
        if longest > MAX_CELL_CHARS:
            raise cell_too_long(self._key, row + pc.index(lengths, longest).as_py(), MAX_CELL_CHARS, name)
        return pc.sum(lengths).as_py() or 0

    def raw_rows(self, rows: Iterator[int]) -> Iterator[str]:
        """Yield some rows whole, undeclared columns included, as JSON; `rows` ascend."""
        wanted, first = next(rows, None), 0
        for batch in self._whole_batches():
            while wanted is not None and wanted < first + batch.num_rows:
                values = [_plain(column[wanted - first]) for column in batch.columns]
                yield json.dumps(dict(zip(self.header, values, strict=True)), default=_as_json, ensure_ascii=False)
                wanted = next(rows, None)
            first += batch.num_rows
            if wanted is None:
                return

    def _whole_batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._file.iter_batches(batch_size=self._batch_rows)
        except _DAMAGE as error:
            raise self._corrupt(error) from error


def _batch_rows(metadata: Any) -> int:
    """Return how many rows to read at once, undeclared columns included."""
    size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    by_size = BATCH_CHARS * max(metadata.num_rows, 1) // max(size, 1)
    return int(max(1, min(BATCH_ROWS, BATCH_CELLS // max(metadata.num_columns, 1), by_size)))


def _text_columns(metadata: Any) -> list[str]:
    """Return the columns of bytes: read as dictionaries, their texts take no more space than in the file.

    Only the schema is asked: Arrow ends the process when a damaged footer is asked for a column's chunks.
    """
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(check(kind) for check in checks)


def _texts(column: pa.Array, declared: str) -> tuple[pa.Array, dict[int, str]]:
    """Return a column as texts that read back to the same values, and the fault of each cell that is no text."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _texts(column.storage, declared)
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary_decode(), declared)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # Without its zone a timestamp is in UTC; this needs no time zone database.
        naive = pc.cast(column.cast(pa.timestamp(kind.unit)), pa.string())
        return pc.binary_join_element_wise(naive, "Z", ""), {}
    if pa.types.is_floating(kind) and declared in ("category", "text"):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string()), {}
    if _is_text(kind):
        column = column.cast(pa.large_binary())  # a column that is said to be text is not checked to be so
    try:
        texts = pc.cast(column, pa.string())
    except pa.ArrowNotImplementedError:
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string()), {}
    except pa.ArrowInvalid:
        return _undecodable(column)
    nul = pc.indices_nonzero(pc.fill_null(pc.match_substring(texts, "\0"), False)) if _is_text(kind) else ()
    return texts, {index.as_py(): "nul" for index in nul}


def _undecodable(column: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    texts: list[str | None] = []
    faults = {}
    for index, value in enumerate(column.to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(value.decode("utf-8", "backslashreplace"))
            faults[index] = "encoding"
    return pa.array(texts, pa.string()), faults


def _faults(texts: Sequence[tuple[pa.Array, dict[int, str]]], names: Sequence[str], rows: int) -> pa.Array:
    kind = pa.list_(pa.string())
    if not any(faults for _, faults in texts):
        return pa.nulls(rows, kind)
    found: list[list[str] | None] = [None] * rows
    for name, (_, faults) in zip(names, texts, strict=True):
        for index, fault in faults.items():
            found[index] = [*(found[index] or ()), f"{fault}:{name}"]
    return pa.array(found, kind)


def _plain(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return (scalar.value if pa.types.is_dictionary(scalar.type) else scalar).cast(pa.binary()).as_py()
    except (ValueError, OverflowError):  # a time that Python's calendar does not have
        return scalar.cast(pa.string()).as_py()


def _as_json(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
