"""JSON straight into the columns of the model's signature: one pass, by a decoder made for it.

It vouches for the usual request only. Of every other (a wrong type, a column too many or too few, a name twice, an
escaped quotation mark, …) it says nothing: the reader of all forms (`request`, `inputs`) takes it, or tells what is
wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.words import MAX_NUMBER
from training.serve.errors import RequestError
from training.serve.inputs import read_column

_Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
#: Whole numbers that a float holds exactly.
_Whole = Annotated[int, Meta(gt=-(2**53), lt=2**53)]
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_TYPES: Final[dict[str, Any]] = {"integer": _Whole, "number": _Number, "boolean": bool}


@dataclass(frozen=True)
class Checked:
    """A request's columns, checked, each of `rows` values; whether it asks for explanations."""

    columns: dict[str, list[Any]]
    rows: int
    explain: bool


class TypedReader:
    """Reads dataframe_records and dataframe_split of one signature; safe to call from several threads."""

    def __init__(self, inputs: Sequence[SignatureColumn], null_words: frozenset[str]) -> None:
        self._inputs, self._names = inputs, [column.name for column in inputs]
        self._readers = [_reader(column, null_words) for column in inputs]
        # msgspec takes no name that JSON would escape: such a signature has the reader of all forms only.
        self._decoder = None if any(map(_ESCAPED.search, self._names)) else self._make_decoder()

    def _make_decoder(self) -> msgspec.json.Decoder[Any]:
        inputs = self._inputs
        types = [_TYPES.get(column.type, str) for column in inputs]
        cells = [kind | None if column.nullable else kind for kind, column in zip(types, inputs, strict=True)]
        fields = [f"c{index}" for index in range(len(inputs))]
        row: Any = msgspec.defstruct(
            "Row",
            list(zip(fields, cells, strict=True)),
            rename=dict(zip(fields, self._names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        split = [("columns", list[str]), ("data", list[tuple[*cells]])]  # type: ignore[valid-type]
        body = msgspec.defstruct(
            "Body",
            [
                ("dataframe_records", list[row] | UnsetType, UNSET),
                ("dataframe_split", msgspec.defstruct("Split", split, forbid_unknown_fields=True) | UnsetType, UNSET),
                ("explain", bool | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
        )
        return msgspec.json.Decoder(body)

    def read(self, body: bytes) -> Checked | None:
        """Return the checked columns of a request that is as it should be in every respect, None for any other."""
        if self._decoder is None:
            return None
        try:
            document = self._decoder.decode(body)
            records, split = document.dataframe_records, document.dataframe_split
            if (records is UNSET) == (split is UNSET):
                return None
            if split is UNSET:
                rows, names = list(map(msgspec.structs.astuple, records)), 1 + len(records) * len(self._names)
            else:
                rows, names = split.data, 3 + len(self._names)
                if split.columns != self._names:
                    return None
            if not rows:
                return None
            quotes = 2 * (names + (document.explain is not UNSET))
            columns: dict[str, list[Any]] = {}
            for column, read, values in zip(self._inputs, self._readers, zip(*rows, strict=True), strict=True):
                if column.type not in _TYPES:
                    quotes += 2 * (len(values) - values.count(None))
                columns[column.name] = read(values)
        except (msgspec.MsgspecError, UnicodeDecodeError, RequestError, RecursionError):
            return None
        # A name that stands twice, of which the decoder keeps the last, brings two more of them.
        if body.count(b'"') != quotes:
            return None
        return Checked(columns, len(rows), document.explain is True)


def _reader(column: SignatureColumn, null_words: frozenset[str]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what makes a column's decoded values checked ones; it raises RequestError where it cannot."""
    if column.type not in _TYPES:
        return partial(read_column, column=column, null_words=null_words, lenient=False)
    if column.nullable:
        return lambda values: [None if value is None else float(value) for value in values]
    return lambda values: list(map(float, values))
