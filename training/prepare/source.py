"""Open a dropped file as text rows, whatever its format; nothing is guessed silently.

Every reader yields (line, fields) and raises UnreadableFileError, which carries a Problem, when the file as a whole
cannot be read. CSV goes through the standard library's reader in strict mode: it alone tells exact line numbers,
ragged rows and unclosed quotes.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from passerelle.contracts.container import Problem
from passerelle.domain.project import Project
from passerelle.errors import InputError

MAX_EXPANSION: Final = 200
MAX_EXPANDED_BYTES: Final = 64 * 1024**3
MAX_COLUMNS: Final = 5_000
BATCH_ROWS: Final = 20_000
_DELIMITERS: Final = ",;\t|"

Fields = list[str | None]


class UnreadableFileError(InputError):
    """A file cannot be read at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True)
class RaggedRow:
    """A line that does not have as many fields as the header."""

    line: int
    fields: tuple[str, ...]
    expected: int


@dataclass(frozen=True)
class Source:
    """A readable file: its format, encoding, header, and its rows (0-based row for Parquet, line for text)."""

    format: str
    encoding: str | None
    header: list[str]
    rows: Iterator[tuple[int, Fields] | RaggedRow]


def open_source(path: Path, project: Project, *, key: str) -> Source:
    """Open a file by its content, not its extension.

    Raises UnreadableFileError naming what is wrong and the remedy.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise _unreadable("empty_file", key, "the file has 0 bytes", "Drop the file again, with its content.")
    if head == b"PAR1":
        return _open_parquet(path, key)
    if project.data.format == "parquet":
        raise _unreadable(
            "not_parquet",
            key,
            "the file is not Parquet: it does not begin with PAR1",
            "Write it as Parquet, or set data.format.",
        )
    compressed = head[:2] == b"\x1f\x8b"
    if head[:4] in (b"PK\x03\x04",):
        raise _unreadable("zip_file", key, "the file is a ZIP archive", "Unpack it, and drop the files it holds.")
    if project.data.format == "jsonl":
        return _open_json_lines(path, project, key, compressed)
    return _open_csv(path, project, key, compressed)


def _unreadable(
    code: str, key: str, message: str, remedy: str, *, row: int | None = None, column: str | None = None
) -> UnreadableFileError:
    rule = "the file can be read"
    return UnreadableFileError(
        Problem(code=code, file=key, row=row, column=column, rule=rule, message=message, remedy=remedy)
    )


# Text


class _BoundedGzip(io.RawIOBase):
    """A gzip stream that refuses to expand without bound."""

    def __init__(self, path: Path, key: str) -> None:
        self._file = gzip.open(path)  # noqa: SIM115 (closed by close)
        self._limit = min(MAX_EXPANDED_BYTES, max(path.stat().st_size * MAX_EXPANSION, 64 * 1024**2))
        self._read, self._key = 0, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._file.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise _unreadable(
                "corrupt_gzip", self._key, f"the gzip stream is corrupt: {error}", "Compress and drop the file again."
            ) from error
        self._read += len(piece)
        if self._read > self._limit:
            raise _unreadable(
                "gzip_bomb",
                self._key,
                f"the file expands to more than {self._limit:,} bytes ({MAX_EXPANSION} times its size)",
                "Drop it uncompressed, in parts.",
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_text(path: Path, project: Project, key: str, compressed: bool) -> tuple[IO[str], str]:
    """Return the decoded stream and its encoding's name; a byte order mark is dropped."""
    raw: IO[bytes] = io.BufferedReader(_BoundedGzip(path, key), 1 << 20) if compressed else path.open("rb")
    mark = raw.peek(4)[:4]  # type: ignore[attr-defined]
    declared = project.data.csv.encoding
    if mark.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and declared != "utf-16":
        raise _unreadable(
            "wrong_encoding",
            key,
            "the file is UTF-16 (it begins with its byte order mark); the contract says utf-8",
            "Save it as UTF-8, or set data.csv.encoding: utf-16.",
            row=1,
        )
    encoding = "utf-8-sig" if declared == "utf-8" or mark.startswith(codecs.BOM_UTF8) else declared
    return io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline=""), encoding.removesuffix("-sig")


class _Lines:
    """The physical lines of a text, counted; a decoding error names its line."""

    def __init__(self, text: IO[str], key: str, encoding: str) -> None:
        self._text, self._key, self._encoding, self.count = text, key, encoding, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._text)
        except UnicodeDecodeError as error:
            # Text is decoded in pieces: the bad byte is as many lines on as the piece has before it.
            number = self.count + 1 + error.object[: error.start].count(b"\n")
            raise _unreadable(
                "wrong_encoding",
                self._key,
                f"line {number} has a byte 0x{error.object[error.start]:02x} that is not {self._encoding}",
                "Save the file as UTF-8, or declare its encoding: data.csv.encoding: latin-1.",
                row=number,
            ) from error
        self.count += 1
        return line


def _open_csv(path: Path, project: Project, key: str, compressed: bool) -> Source:
    text, encoding = _open_text(path, project, key, compressed)
    lines = _Lines(text, key, encoding)
    delimiter = project.data.csv.delimiter
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise _unreadable("empty_file", key, "the file is empty", "Drop the file again, with its content.") from None
    except csv.Error as error:
        raise _malformed(key, 1, error) from error
    _check_header(header, project, key, delimiter)
    return Source("csv", encoding, header, _csv_rows(reader, lines, len(header), key))


def _check_header(header: list[str], project: Project, key: str, delimiter: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise _unreadable(
            "too_wide",
            key,
            f"the file has {len(header):,} columns; the limit is {MAX_COLUMNS:,}",
            "Drop fewer columns.",
            row=1,
        )
    declared = {column.name for column in project.data.columns}
    if len(header) != 1 or header[0] in declared:
        return
    for other in _DELIMITERS:
        names = {name.strip().strip('"') for name in header[0].split(other)}
        if other != delimiter and len(names & declared) > 1:
            raise _unreadable(
                "wrong_delimiter",
                key,
                f"fields are separated by {other!r}; the contract says {delimiter!r}",
                f"Write the file with {delimiter!r}, or set data.csv.delimiter: {json.dumps(other)}.",
                row=1,
            )


def _csv_rows(reader: Any, lines: _Lines, width: int, key: str) -> Iterator[tuple[int, Fields] | RaggedRow]:
    while True:
        line = lines.count + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(key, line, error) from error
        if not fields:
            continue
        if len(fields) != width:
            yield RaggedRow(line, tuple(fields), width)
        else:
            yield line, fields


def _malformed(key: str, line: int, error: csv.Error) -> UnreadableFileError:
    return _unreadable(
        "malformed_csv",
        key,
        f"the row that begins on line {line} cannot be read: {error}",
        "Close the quote, and double quotes inside quoted fields.",
        row=line,
    )


def _open_json_lines(path: Path, project: Project, key: str, compressed: bool) -> Source:
    text, encoding = _open_text(path, project, key, compressed)
    lines = _Lines(text, key, encoding)
    header = [column.name for column in project.data.columns]
    return Source("jsonl", encoding, header, _json_rows(lines, header))


def _json_rows(lines: _Lines, header: list[str]) -> Iterator[tuple[int, Fields] | RaggedRow]:
    for text in lines:
        if not text.strip():
            continue
        try:
            document = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            document = None
        if not isinstance(document, dict) or any(isinstance(value, dict | list) for value in document.values()):
            yield RaggedRow(lines.count, (text.rstrip("\r\n"),), len(header))
            continue
        yield lines.count, [_json_text(document.get(name)) for name in header]


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


# Parquet


def _open_parquet(path: Path, key: str) -> Source:
    try:
        file = pq.ParquetFile(path)
        metadata, schema = file.metadata, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _corrupt_parquet(key, error) from error
    expanded = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if expanded > min(MAX_EXPANDED_BYTES, max(path.stat().st_size * MAX_EXPANSION, 64 * 1024**2)):
        message = f"the file expands to {expanded:,} bytes, more than {MAX_EXPANSION} times its size"
        raise _unreadable("parquet_bomb", key, message, "Write it with smaller row groups, or in parts.")
    if len(schema.names) > MAX_COLUMNS:
        message = f"the file has {len(schema.names):,} columns; the limit is {MAX_COLUMNS:,}"
        raise _unreadable("too_wide", key, message, "Drop fewer columns.")
    for field in schema:
        if pa.types.is_nested(field.type):
            raise _unreadable(
                "nested_column",
                key,
                f"column {field.name!r} is nested ({field.type})",
                "Flatten it: one value per cell.",
                column=field.name,
            )
    return Source("parquet", None, list(schema.names), _parquet_rows(file, key))


def _parquet_rows(file: pq.ParquetFile, key: str) -> Iterator[tuple[int, Fields] | RaggedRow]:
    row = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            columns = [_texts(column) for column in batch.columns]
            for fields in zip(*columns, strict=True):
                yield row, list(fields)
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise _corrupt_parquet(key, error) from error


def _texts(column: pa.Array) -> list[str | None]:
    """Return a column as texts that read back to the same values."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return [None if value is None else value.isoformat() for value in column.to_pylist()]
    if pa.types.is_boolean(kind):
        return [None if value is None else str(value).lower() for value in column.to_pylist()]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]
    return [None if value is None else str(value) for value in column.to_pylist()]


def _corrupt_parquet(key: str, error: Exception) -> UnreadableFileError:
    words = str(error).splitlines()[0][:200]
    return _unreadable("corrupt_parquet", key, f"the Parquet file is corrupt: {words}", "Write and drop it again.")
