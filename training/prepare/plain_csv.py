"""CSV in which every line is a row, as most files are: no quote, no odd line end, nothing undecodable.

DuckDB reads such a file on all cores, several times as fast as the reader that tells exact lines of any file, and there
is nothing in it on which the two could differ. What looks otherwise anywhere is left to that reader, whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

from passerelle.domain.contract.compiled import FAULTS, LINE, RAW
from passerelle.domain.contract.rules import null_words
from passerelle.domain.features.query import quoted
from passerelle.domain.project import Project
from training.prepare.limits import MAX_CELL_CHARS, MAX_ROW_CHARS
from training.prepare.plain_cells import PlainCells
from training.prepare.sql import literal

_PIECE: Final = 8 * 1024**2
_SCANNED: Final = 1024**2
#: The header is line 1.
FIRST_LINE: Final = 2


def _plain_rows(path: Path, cells: PlainCells) -> int | None:
    """Return how many rows stand below the header, None when a line may not be a row."""
    rows = 0
    with path.open("rb") as file:
        header = file.readline(MAX_ROW_CHARS)
        returns = header.endswith(b"\r\n")
        if not _plain(header, 1, returns):
            return None
        for block in _blocks(file, b"\r\n" if returns else b"\n"):
            lines = cells.take(block, returns) if block else None
            if lines is None or not _plain(block, lines, returns):
                return None
            rows += lines
    return rows


def _blocks(file: IO[bytes], end: bytes) -> Iterator[bytes]:
    """Yield whole lines, about a megabyte at a time; nothing where a line is longer than a row may be."""
    rest = b""
    while piece := file.read(_SCANNED):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
        rest = piece[cut:] if cut else rest + piece
        if len(rest) > MAX_ROW_CHARS:
            yield b""
    if rest:
        yield b"" if rest.endswith(b"\r") else rest + end


def _plain(block: bytes, lines: int, returns: bool) -> bool:
    """Return whether whole lines have one kind of end and hold no quote, no NUL and nothing undecodable."""
    if b'"' in block or b"\0" in block or (not block.isascii() and not _decodes(block)):
        return False
    if returns:
        return block.count(b"\r") == block.count(b"\r\n") == lines
    return b"\r" not in block


def _decodes(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class PlainTexts:
    """A plain file: how many rows stand below its header, and DuckDB's query of their lines and texts.

    `typed` are the columns that may be read as their types, and `typed_query` does so: a text is trimmed and NULL for a
    null word there. It fails where a cell that is no number was met; then the texts are to be asked.
    """

    rows: int
    query: str
    typed: frozenset[str] = frozenset()
    typed_query: str = ""


_TYPES: Final = {"integer": "BIGINT", "number": "DOUBLE", "datetime": "TIMESTAMP"}


def plain_texts(path: Path, header: Sequence[str], project: Project) -> PlainTexts | None:
    """Return the declared columns as texts, row by row in the file's order; None when the file is not that plain.

    What no scan of the bytes tells, the query does: it fails where a row has too few cells or too many.
    """
    delimiter, width = project.data.csv.delimiter, len(header)
    if width < 2 or not delimiter.isascii():
        return None
    declared = {column.name: column for column in project.data.columns}
    cells = PlainCells([declared.get(name) for name in header], delimiter)
    rows = _plain_rows(path, cells)
    if not rows:
        return None
    typed = {place: _TYPES.get(declared[header[place]].type, "VARCHAR") for place in cells.usual}
    names = frozenset(header[place] for place in typed)
    return PlainTexts(rows, _query(path, header, project, {}), names, _query(path, header, project, typed))


def _query(path: Path, header: Sequence[str], project: Project, typed: Mapping[int, str]) -> str:
    """Return DuckDB's query of the declared columns, some of them as their types, by place."""
    delimiter = project.data.csv.delimiter
    cells = ", ".join(f"c{header.index(column.name)} AS {quoted(column.name)}" for column in project.data.columns)
    columns = ", ".join(f"'c{index}': '{typed.get(index, 'VARCHAR')}'" for index in range(len(header)))
    # An empty cell of the others is a text: whether it is missing is the contract's to say. Null words become such.
    texts = [f"c{index}" for index in range(len(header)) if index not in typed]
    words = null_words(project.data.null_values) if typed else [""]
    nulls = ", ".join(literal(word) for word in words if delimiter not in word)
    options = f"""auto_detect=false, header=false, skip=1, columns={{{columns}}}, force_not_null={texts},
        nullstr=[{nulls}], delim={literal(delimiter)}, quote='', escape='', max_line_size={MAX_CELL_CHARS},
        buffer_size={_PIECE}"""
    return f"""SELECT row_number() OVER () + {FIRST_LINE - 1} AS {LINE}, NULL::VARCHAR[] AS {FAULTS},
        NULL::VARCHAR AS {RAW}, {cells} FROM read_csv({literal(path)}, {options})"""


def plain_lines(path: Path, numbers: Iterator[int]) -> Iterator[str]:
    """Yield the lines of growing numbers as they stand in the file, without their ends."""
    at = 0
    with path.open(encoding="utf-8", newline="\n") as file:
        for number in numbers:
            line = next(islice(file, number - 1 - at, None))
            at = number
            yield line.rstrip("\r\n")
