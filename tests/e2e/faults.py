"""Files that are wrong in one way each, and what a user must be told about them."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.projects import as_csv, make_rows

ROWS: Final = make_rows(300)
GOOD: Final = as_csv(ROWS)
HEADER: Final = GOOD.split(b"\n", 1)[0] + b"\n"


@dataclass(frozen=True)
class Fault:
    """A file, and the problem it must give: its code, the place it must name, a word of its message."""

    name: str
    file: str
    body: bytes
    code: str
    row: int | None = None
    column: str | None = None
    says: str = ""
    status: str = "rejected"
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return f"f-{self.name}"[:20].rstrip("-")


def _changed(**values: Any) -> bytes:
    return as_csv([{**row, **values} for row in ROWS])


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), sink)
    return sink.getvalue()


FAULTS: Final = (
    Fault("empty", "empty.csv", b"", "empty_file", says="0 bytes"),
    Fault("header", "header.csv", HEADER, "no_rows", says="no rows"),
    Fault("delimiter", "semicolon.csv", as_csv(ROWS, delimiter=";"), "wrong_delimiter", row=1, says="';'"),
    Fault("latin", "latin.csv", GOOD.replace(b"c00007", "é0007".encode("latin-1")), "wrong_encoding", row=9),
    Fault("utf16", "utf16.csv", GOOD.decode().encode("utf-16"), "wrong_encoding", says="UTF-16"),
    Fault("missing", "missing.csv", GOOD.replace(b"visits", b"visit", 1), "missing_column", column="visits"),
    Fault("twice", "columns.csv", GOOD.replace(b"visits", b"age", 1), "duplicate_column", column="age"),
    Fault("allbad", "bad.csv", _changed(visits="many"), "too_many_rejected", says="300 of 300"),
    Fault("oneclass", "class.csv", _changed(churned=1), "single_class", column="churned"),
    Fault("quote", "quote.csv", GOOD.replace(b"\nc00050", b'\n"c00050', 1), "malformed_csv", row=52),
    Fault("parquet", "corrupt.parquet", _parquet()[:-20] + b"x" * 20, "corrupt_parquet"),
    Fault("gzip", "corrupt.csv.gz", gzip.compress(GOOD)[:500], "corrupt_gzip"),
    Fault("few", "few.csv", as_csv(ROWS[:2]), "too_few_rows", column="churned"),
)
