"""Open a dropped file as batches of text rows, whatever its format; nothing is guessed silently.

Encodings. UTF-8 is strict. UTF-16 must begin with its byte order mark. Latin-1 decodes every byte, so it is refused
where the line is valid UTF-8 or holds control characters (Windows-1252): neither may become a wrong letter in silence.
A UTF-8 byte order mark outweighs the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from passerelle.domain.contract.header import canonical
from passerelle.domain.project import Project
from training.prepare.csv_rows import csv_batches, csv_reader, read_header
from training.prepare.json_rows import json_batches
from training.prepare.lines import open_lines
from training.prepare.parquet_rows import ParquetRows
from training.prepare.plain_csv import PlainTexts, plain_lines, plain_texts
from training.prepare.unreadable import unreadable

_ARCHIVES: Final = {
    b"PK\x03\x04": ("zip_file", "a ZIP archive or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    b"BZh": ("other_compression", "compressed with bzip2", "Compress it with gzip, or drop it as it is."),
    b"\xfd7zXZ": ("other_compression", "compressed with xz", "Compress it with gzip, or drop it as it is."),
    b"\x28\xb5\x2f\xfd": ("other_compression", "compressed with Zstandard", "Compress it with gzip."),
}


@dataclass(frozen=True)
class Source:
    """A readable file.

    `header` is None where rows name their own columns (JSON Lines): `keys` then fills, name by name with the first
    line that has it, while the batches are read. `raw_rows` gives whole rows by number where the batches do not.
    `plain` gives the texts of a file without batches, where the file allows it.
    """

    format: str
    encoding: str | None
    header: list[str] | None
    batches: Callable[[], Iterator[pa.RecordBatch]]
    keys: dict[str, int] = field(default_factory=dict)
    raw_rows: Callable[[Iterator[int]], Iterator[str]] | None = None
    plain: Callable[[], PlainTexts | None] = lambda: None
    plain_rows: Callable[[Iterator[int]], Iterator[str]] | None = None


def open_source(path: Path, project: Project, *, key: str) -> Source:
    """Open a file by its content, not its extension; `batches` may be called once its header holds every column.

    Raises UnreadableFileError naming what is wrong and the remedy, here or while the batches are read.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise unreadable("empty_file", key, "the file has 0 bytes", "Drop the file again, with its content.")
    if head.startswith(b"PAR1"):
        rows = ParquetRows(path, key)
        rows.header = canonical(rows.header, project)
        return Source("parquet", None, rows.header, lambda: rows.batches(project), raw_rows=rows.raw_rows)
    if project.data.format == "parquet":
        message = "the file is not Parquet: it does not begin with PAR1"
        raise unreadable("not_parquet", key, message, "Write it as Parquet, or set data.format.")
    for magic, (code, what, remedy) in _ARCHIVES.items():
        if head.startswith(magic):
            raise unreadable(code, key, f"the file is {what}", remedy)
    lines = open_lines(path, project, key, compressed=head.startswith(b"\x1f\x8b"))
    if project.data.format == "jsonl":
        keys: dict[str, int] = {}
        return Source("jsonl", lines.encoding, None, lambda: json_batches(lines, project, key, keys), keys)
    reader = csv_reader(lines, project)
    header = canonical(read_header(reader, lines, project, key), project)
    source = Source("csv", lines.encoding, header, lambda: csv_batches(reader, lines, header, project, key))
    if lines.marked or lines.encoding != "utf-8" or lines.count > 1 or head.startswith(b"\x1f\x8b"):
        return source
    plain = partial(plain_texts, path, header, project)
    return replace(source, plain=plain, plain_rows=partial(plain_lines, path))
