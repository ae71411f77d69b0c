"""Which columns of a plain CSV hold nothing but cells that DuckDB's reader types as the contract's rules do.

The rules ask each cell's text several questions, which costs more than reading it. Where all cells of a column are of
the usual spelling, the answers are known: DuckDB may then read the column as its type. What "usual" means is asked of
the bytes, a megabyte at a time; one other cell, and the column is left to the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from passerelle.domain.project import Column

#: Whole numbers of so many digits are floats, too: no rule reads them otherwise than DuckDB does.
_DIGITS: Final = 15
_MOMENT: Final = b"dddd-dd-ddTdd:dd:ddZ"
_MOMENT_LENGTHS: Final = (10, 19, 20)
_NEWLINE, _SPACE, _UNDERSCORE, _MINUS = b"\n _-"
_WORD: Final = 8
_HIGHEST: Final = np.uint64(0x8080808080808080)
#: By a cell's length, the bytes of a word that are its own.
_LOWER: Final = np.array([(1 << 8 * min(length, _WORD)) - 1 for length in range(_DIGITS + 1)], np.uint64)
#: DuckDB has a year 0.
_YEAR_0: Final = np.uint64(int.from_bytes(b"0000", "little"))
_FIRST_FOUR: Final = np.uint64(0xFFFFFFFF)


class PlainCells:
    """The cells of a file, block by block; `usual` says which columns may be read as their types by now.

    Parameters
    ----------
    columns : the declared column at each place of the header, None where there is none.
    delimiter : one character of ASCII.
    """

    def __init__(self, columns: Sequence[Column | None], delimiter: str) -> None:
        self._width, self._delimiter = len(columns), ord(delimiter)
        self._types = [column.type if column else None for column in columns]
        typed = ("integer", "number", "datetime", "category", "text")
        self.usual = {place for place, kind in enumerate(self._types) if kind in typed}

    def take(self, block: bytes, returns: bool) -> int | None:
        """Look at whole lines, which end in \\r\\n if `returns`; returns how many rows they are, None if not rows."""
        padded = b"\n" + block + bytes(_WORD)
        values = np.frombuffer(padded, np.uint8, 1 + len(block))
        newlines = values == _NEWLINE
        bounds = np.flatnonzero(newlines | (values == self._delimiter))
        rows = int(np.count_nonzero(newlines)) - 1
        if len(bounds) - 1 != rows * self._width or not newlines[bounds[:: self._width]].all():
            return None
        found = _Block(values, padded, bounds, self._width, returns)
        self._look(found, rows * (2 if returns else 1) + 1, b"_" in block)
        return rows

    def _look(self, block: _Block, line_ends: int, underscores: bool) -> None:
        self._keep(block.whole, "integer")
        self._keep(block.moments, "datetime")
        if underscores:  # DuckDB reads 1_000 as a number
            self._keep(block.without(block.values == _UNDERSCORE), "number")
        blank = block.values <= _SPACE
        if np.count_nonzero(blank) != line_ends:
            self._keep(block.without(blank), "number")
            self._keep(block.ending_without(blank), "category", "text")

    def _keep(self, usual: Callable[[int], bool], *kinds: str) -> None:
        """Keep of some types' columns those whose cells are usual."""
        self.usual = {place for place in self.usual if self._types[place] not in kinds or usual(place)}


class _Block:
    """Some lines' bytes, begun by a line end, and where their cells begin and end."""

    def __init__(self, values: Any, padded: bytes, bounds: Any, width: int, returns: bool) -> None:
        self.values, self._bounds, self._width, self._returns = values, bounds, width, returns
        #: Eight bytes at a time, wherever they stand.
        self._words = np.ndarray((len(padded) + 1 - _WORD,), "<u8", padded, strides=(1,))

    def _cells(self, place: int) -> tuple[Any, Any]:
        """Return where the cells of a column begin, and how long they are."""
        begins = self._bounds[place : -1 : self._width] + 1
        lengths = self._bounds[place + 1 :: self._width] - begins
        return begins, lengths - 1 if self._returns and place == self._width - 1 else lengths

    def whole(self, place: int) -> bool:
        """Return whether each cell is empty or a whole number of few digits."""
        begins, lengths = self._cells(place)
        if int(lengths.max()) > _DIGITS:
            return False
        odd = np.flatnonzero(self._others(begins, lengths))
        if not len(odd):
            return True
        begins, lengths = begins[odd], lengths[odd]
        signed = (self.values[begins] == _MINUS) & (lengths > 1)
        return bool(signed.all()) and not self._others(begins + 1, lengths - 1).any()

    def _others(self, begins: Any, lengths: Any) -> Any:
        """Return what is not zero where a cell of few characters has others than digits."""
        others = _misfits(self._words[begins], b"d" * _WORD) & _LOWER.take(lengths)
        if int(lengths.max()) > _WORD:
            ends = np.maximum(begins + lengths - _WORD, begins)
            others |= _misfits(self._words[ends], b"d" * _WORD) & _LOWER.take(lengths)
        return others

    def without(self, marked: Any) -> Callable[[int], bool]:
        """Return what says whether no cell of a column holds a marked byte."""
        upto = np.cumsum(marked, dtype=np.uint32)

        def usual(place: int) -> bool:
            begins, lengths = self._cells(place)
            return not (upto.take(begins + lengths - 1) != upto.take(begins - 1)).any()

        return usual

    def ending_without(self, marked: Any) -> Callable[[int], bool]:
        """Return what says whether no cell of a column begins or ends with a marked byte."""

        def usual(place: int) -> bool:
            begins, lengths = self._cells(place)
            ends = begins + lengths - 1
            return not ((marked.take(begins) | marked.take(ends)) & (lengths > 0)).any()

        return usual

    def moments(self, place: int) -> bool:
        """Return whether each cell is empty, or a moment of the same ISO form as the others."""
        begins, lengths = self._cells(place)
        longest = int(lengths.max())
        if not longest:
            return True
        if not lengths.all():
            begins = begins[lengths > 0]
        if longest not in _MOMENT_LENGTHS or np.count_nonzero(lengths == longest) != len(begins):
            return False
        form = _MOMENT[:longest]
        if longest > len("dddd-dd-dd") and self.values[begins[0] + 10] == _SPACE:
            form = form.replace(b"T", b" ")
        if (self._words[begins] & _FIRST_FOUR == _YEAR_0).any():
            return False
        places = {0, min(_WORD, longest - _WORD), longest - _WORD}
        return not any(_misfits(self._words[begins + at], form[at : at + _WORD]).any() for at in places)


def _misfits(words: Any, form: bytes) -> Any:
    """Return what is not zero where a word has no digit in place of a d of the form, or elsewhere not its byte.

    The lowest byte that does not fit is told exactly; what follows it in the word may be told wrongly.
    """
    expected = np.uint64(int.from_bytes(form.replace(b"d", b"0"), "little"))
    # Of a digit this leaves 0 to 9, of another byte that fits 0; what is more reaches the highest bit of its byte.
    room = np.uint64(int.from_bytes(bytes(0x7F - 9 if byte == ord("d") else 0x7F for byte in form), "little"))
    left = words ^ expected
    return ((left + room) | left) & _HIGHEST
