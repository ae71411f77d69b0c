"""CSV in which every line is a row, as most files are: no quote, no odd line end, nothing undecodable.

DuckDB reads such a file on all cores, several times as fast as the reader that tells exact lines of any file, and there
is nothing in it on which the two could differ. What looks otherwise anywhere is left to that reader, whole.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from passerelle.domain.contract.compiled import FAULTS, LINE, RAW
from passerelle.domain.features.query import quoted
from passerelle.domain.project import Project
from training.prepare.limits import MAX_CELL_CHARS
from training.prepare.sql import literal

_PIECE: Final = 8 * 1024**2
_SCANNED: Final = 1024**2
#: The header is line 1.
FIRST_LINE: Final = 2


@dataclass
class _Scan:
    """What the bytes of a file say about its lines."""

    lines: int = 0
    delimiters: int = 0
    carriage_returns: int = 0
    last: bytes = b"\n"

    def take(self, piece: bytes, delimiter: bytes) -> bool:
        """Count a piece that does not end between \\r and \\n; return whether it is plain."""
        # bytes.count of a byte as frequent as these takes ten times as long.
        values = np.frombuffer(piece, np.uint8)
        self.lines += int(np.count_nonzero(values == ord("\n")))
        self.delimiters += int(np.count_nonzero(values == ord(delimiter)))
        returns = b"\r" in piece
        ends = piece.count(b"\r\n") if returns else 0
        self.carriage_returns += ends
        edge = self.last + piece[:2]
        self.last = piece[-1:]
        blank = b"\n\n" in piece or (returns and b"\n\r\n" in piece) or b"\n\n" in edge or b"\n\r\n" in edge
        lone = returns and piece.count(b"\r") != ends
        return not (blank or lone or b'"' in piece or b"\0" in piece)


def _plain_rows(path: Path, delimiter: bytes, width: int) -> int | None:
    """Return how many rows stand below the header, None when a line may not be a row."""
    scan, decoder = _Scan(), codecs.getincrementaldecoder("utf-8")("strict")
    with path.open("rb") as file:
        while piece := file.read(_SCANNED):
            if piece.endswith(b"\r"):
                piece += file.read(1)
            if not _decodes(decoder, piece) or not scan.take(piece, delimiter):
                return None
    lines = scan.lines + (scan.last != b"\n")
    same_ends = scan.carriage_returns in (0, scan.lines)
    return lines - 1 if same_ends and scan.delimiters == lines * (width - 1) else None


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes) -> bool:
    if piece.isascii() and not decoder.getstate()[0]:
        return True
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class PlainTexts:
    """A plain file: how many rows stand below its header, and DuckDB's query of their lines and texts."""

    rows: int
    query: str


def plain_texts(path: Path, header: Sequence[str], project: Project) -> PlainTexts | None:
    """Return the declared columns as texts, row by row in the file's order; None when the file is not that plain.

    What no scan of the bytes tells, the query does: it fails where a row has too few cells or too many.
    """
    delimiter, width = project.data.csv.delimiter, len(header)
    if width < 2 or not delimiter.isascii():
        return None
    rows = _plain_rows(path, delimiter.encode(), width)
    if not rows:
        return None
    names = [f"c{index}" for index in range(width)]
    cells = ", ".join(f"c{header.index(column.name)} AS {quoted(column.name)}" for column in project.data.columns)
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    # An empty cell is a text here too: whether it is missing is the contract's to say.
    options = f"""auto_detect=false, header=false, skip=1, columns={{{columns}}}, force_not_null={names},
        delim='{"''" if delimiter == "'" else delimiter}', quote='', escape='', max_line_size={MAX_CELL_CHARS},
        buffer_size={_PIECE}"""
    query = f"""SELECT row_number() OVER () + {FIRST_LINE - 1} AS {LINE}, NULL::VARCHAR[] AS {FAULTS},
        NULL::VARCHAR AS {RAW}, {cells} FROM read_csv({literal(path)}, {options})"""
    return PlainTexts(rows, query)


def plain_lines(path: Path, numbers: Iterator[int]) -> Iterator[str]:
    """Yield the lines of growing numbers as they stand in the file, without their ends."""
    at = 0
    with path.open(encoding="utf-8", newline="\n") as file:
        for number in numbers:
            line = next(islice(file, number - 1 - at, None))
            at = number
            yield line.rstrip("\r\n")
