"""What a caller gets for a request that cannot be answered."""

from __future__ import annotations

from typing import Any, Final

from passerelle.errors import InputError

MAX_CHARACTERS: Final = 500


class RequestError(InputError):
    """A request is wrong: HTTP status, a code for machines, the field and row where, and what to do about it."""

    def __init__(
        self, status: int, code: str, message: str, remedy: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.remedy, self.field, self.row = status, code, remedy, field, row


def cut(text: str) -> str:
    """Return a text of bounded length: a caller's names may be as long as its body."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def error_document(error: RequestError, request_id: str) -> dict[str, Any]:
    """Return the JSON body of the answer: `error` with code, message, remedy, request id, and field and row if any."""
    details: dict[str, Any] = {"code": error.code, "message": cut(str(error)), "remedy": cut(error.remedy)}
    if error.field is not None:
        details["field"] = cut(error.field)
    if error.row is not None:
        details["row"] = error.row
    return {"error": details | {"request_id": request_id}}
