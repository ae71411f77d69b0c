"""What a caller gets for a request that cannot be answered."""

from __future__ import annotations

from passerelle.errors import InputError


class RequestError(InputError):
    """A request is wrong: its HTTP status, a code for machines, and the field and row where it is wrong."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.field, self.row = status, code, field, row

    def document(self) -> dict[str, object]:
        """Return the JSON body of the answer."""
        details = {"code": self.code, "message": str(self), "field": self.field, "row": self.row}
        return {"error": {key: value for key, value in details.items() if value is not None}}
