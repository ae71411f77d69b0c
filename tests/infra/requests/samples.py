"""What AWS answers to what the tests do not lay out: the smallest answer that fits the operation's model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape

from tests.infra.requests.judge import operation_model

_MOMENT: Final = datetime(2026, 11, 21, 5, tzinfo=UTC)
_PLAIN: Final[dict[str, Any]] = {
    "integer": 1, "long": 1, "float": 1.0, "double": 1.0, "boolean": False, "timestamp": _MOMENT, "blob": b"",
}  # fmt: skip
_UUID: Final = "11111111-2222-3333-4444-555555555555"
_DEEPEST: Final = 4


def sample_answer(service: str, operation: str) -> dict[str, Any]:
    """Return an answer with every member that is not too deep, lists of one item each, and no next page."""
    shape = operation_model(service, operation).output_shape
    found: dict[str, Any] = {} if shape is None else _sample(shape, 0)
    return {name: value for name, value in found.items() if not name.lower().endswith(("token", "marker"))}


def _sample(shape: Shape, depth: int) -> Any:
    if isinstance(shape, StructureShape):
        if depth > _DEEPEST:
            return {}
        return {name: _sample(member, depth + 1) for name, member in shape.members.items()}
    if isinstance(shape, ListShape):
        return [_sample(shape.member, depth + 1)] if depth < _DEEPEST else []
    if isinstance(shape, MapShape):
        return {}
    if shape.type_name == "string":
        enum = getattr(shape, "enum", ())
        text = _UUID if "0-9a-fA-F]{12}" in shape.metadata.get("pattern", "") else "x"
        return enum[0] if enum else text * max(1, int(shape.metadata.get("min", 1)))
    return _PLAIN[shape.type_name]
