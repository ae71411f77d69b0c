"""Rows of any format as Arrow batches of texts, at most so many rows, cells and characters each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from passerelle.domain.contract.compiled import FAULTS, LINE, RAW
from passerelle.domain.project import Project
from training.prepare.limits import BATCH_CELLS, BATCH_CHARS, BATCH_ROWS

Cells = Sequence[str | None]


def batch_schema(project: Project) -> pa.Schema:
    """Return the columns of a batch: line, faults of the row, the row as it came, the declared columns as texts."""
    cells = [(column.name, pa.string()) for column in project.data.columns]
    return pa.schema([(LINE, pa.int64()), (FAULTS, pa.list_(pa.string())), (RAW, pa.string()), *cells])


class RowBuffer:
    """Rows on their way into a batch; `full` says when to take it."""

    def __init__(self, project: Project) -> None:
        self._schema = batch_schema(project)
        self._names = [column.name for column in project.data.columns]
        self._empty: Cells = [None] * len(self._names)
        self._most = max(1, min(BATCH_ROWS, BATCH_CELLS // len(self._names)))
        self._clear()

    def _clear(self) -> None:
        self._lines: list[int] = []
        self._faults: list[list[str] | None] = []
        self._raws: list[str] = []
        self._rows: list[Cells] = []
        self._chars = 0

    def add(self, line: int, raw: str, cells: Cells, faults: list[str] | None = None) -> None:
        """Add a row whose cells are in the order of the contract."""
        if "\0" in raw or "\\u" in raw:
            cells, faults = self._checked(cells, faults)
        self._lines.append(line)
        self._faults.append(faults)
        self._raws.append(raw)
        self._rows.append(cells)
        self._chars += len(raw)

    def add_whole(self, line: int, raw: str, fault: str) -> None:
        """Add a row that cannot be told apart into cells."""
        self.add(line, raw, self._empty, [f"{fault}:"])

    def _checked(self, cells: Cells, faults: list[str] | None) -> tuple[Cells, list[str] | None]:
        """Find what no text column can hold: NUL characters and halves of surrogate pairs."""
        found = list(faults or ())
        kept = list(cells)
        for index, cell in enumerate(cells):
            if cell is None:
                continue
            if "\0" in cell:
                found.append(f"nul:{self._names[index]}")
            try:
                cell.encode()
            except UnicodeEncodeError:
                found.append(f"surrogate:{self._names[index]}")
                kept[index] = cell.encode("utf-8", "backslashreplace").decode()
        return kept, found or None

    @property
    def full(self) -> bool:
        return len(self._lines) >= self._most or self._chars >= BATCH_CHARS

    def take(self) -> Iterator[pa.RecordBatch]:
        """Yield what is in the buffer, if anything, and empty it."""
        if not self._lines:
            return
        cells = [pa.array(column, pa.string()) for column in zip(*self._rows, strict=True)]
        faults = pa.array(self._faults, pa.list_(pa.string()))
        arrays = [pa.array(self._lines, pa.int64()), faults, pa.array(self._raws, pa.string()), *cells]
        self._clear()
        yield pa.record_batch(arrays, self._schema)
