"""CSV through the standard library's reader in strict mode: it alone tells exact lines, ragged rows, open quotes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from passerelle.domain.project import Project
from training.prepare.batches import RowBuffer
from training.prepare.limits import MAX_CELL_CHARS, MAX_COLUMNS
from training.prepare.lines import Lines
from training.prepare.unreadable import UnreadableFileError, cell_too_long, too_wide, unreadable

_DELIMITERS: Final = ",;\t|"

csv.field_size_limit(MAX_CELL_CHARS)


def csv_reader(lines: Lines, project: Project) -> Any:
    """Return the reader of a CSV text."""
    return csv.reader(lines, delimiter=project.data.csv.delimiter, strict=True)


def read_header(reader: Any, lines: Lines, project: Project, key: str) -> list[str]:
    """Return the names in the first line that is not blank.

    Raises UnreadableFileError when there is none, or when it shows another format.
    """
    try:
        header = next((fields for fields in reader if fields), None)
    except csv.Error as error:
        raise _malformed(key, 1, error) from error
    if header is None:
        raise unreadable("empty_file", key, "the file is empty", "Drop the file again, with its content.")
    lines.record()
    if len(header) > MAX_COLUMNS:
        raise too_wide(key, len(header), MAX_COLUMNS, row=lines.count)
    names = [name.strip() for name in header]
    _check_delimiter(names, project, key, lines.count)
    return names


def _check_delimiter(header: list[str], project: Project, key: str, line: int) -> None:
    delimiter, declared = project.data.csv.delimiter, {column.name for column in project.data.columns}
    if header[0].startswith("{"):
        remedy = "Write it as CSV, or set data.format: jsonl."
        raise unreadable("not_csv", key, "the file is JSON; the contract says csv", remedy, row=line)
    if len(declared & set(header)) > 1:
        return
    whole = delimiter.join(header)
    for other in _DELIMITERS:
        names = {name.strip().strip('"') for name in whole.split(other)}
        if other != delimiter and len(names & declared) > 1:
            message = f"fields are separated by {other!r}; the contract says {delimiter!r}"
            remedy = f"Write the file with {delimiter!r}, or set data.csv.delimiter: {json.dumps(other)}."
            raise unreadable("wrong_delimiter", key, message, remedy, row=line)


def csv_batches(reader: Any, lines: Lines, header: list[str], project: Project, key: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows below the header; `header` holds every declared name once."""
    buffer, width = RowBuffer(project), len(header)
    positions = [header.index(column.name) for column in project.data.columns]
    while True:
        line = lines.count + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _malformed(key, line, error) from error
        raw = lines.record()
        if not fields:
            continue
        if len(fields) == width:
            buffer.add(line, raw, [fields[position] for position in positions])
        else:
            buffer.add_whole(line, raw, "ragged_row")
        if buffer.full:
            yield from buffer.take()
    yield from buffer.take()


def _malformed(key: str, line: int, error: csv.Error) -> UnreadableFileError:
    if "field limit" in str(error):
        return cell_too_long(key, line, MAX_CELL_CHARS)
    message = f"the row that begins on line {line} cannot be read: {error}"
    remedy = "Close the quote, and double quotes inside quoted fields."
    return unreadable("malformed_csv", key, message, remedy, row=line)
