"""The base of contracts that the server reads as it starts: immutable, strict about unknown fields, JSON in and out.

They are msgspec's: pydantic is imported in a tenth of a second and more, a quarter of what a cold start takes.
"""

from __future__ import annotations

from typing import Any, Self

import msgspec

#: What a text that is no such record raises; the message says what was found where.
RecordError = msgspec.DecodeError


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record that crosses a process boundary. Types are held to when it is read."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the record of a JSON text.

        Raises RecordError.
        """
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """Return JSON, indented for readers."""
        return msgspec.json.format(msgspec.json.encode(self, enc_hook=_plain), indent=2).decode()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON would hold."""
        found: dict[str, Any] = msgspec.to_builtins(self, enc_hook=_plain)
        return found

    def replaced(self, **changes: Any) -> Self:
        """Return the record with other values in these fields."""
        return msgspec.structs.replace(self, **changes)


def _plain(value: Any) -> Any:
    """Return a number of numpy's as Python's."""
    return value.item()
