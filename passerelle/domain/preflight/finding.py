"""One thing that was looked at before a deployment, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: `missing`: the deployment or the first run would fail. `warning`: both work, and somebody should know. `denied`: the
#: caller may not look. `unanswered`: AWS gave no usable answer. `skipped`: another must be repaired first.
Status = Literal["ok", "warning", "missing", "denied", "unanswered", "skipped"]


@dataclass(frozen=True)
class Finding:
    """`remedy` says what to do, empty when nothing is to be done; `details` are lines for who wants to know more."""

    name: str
    status: Status
    found: str
    remedy: str = ""
    details: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status in ("ok", "warning")

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {**asdict(self), "ok": self.ok, "details": list(self.details)}


def required(name: str, ok: bool, found: str, remedy: str) -> Finding:
    """Return a finding that is `missing`, with its remedy, unless it is ok."""
    return Finding(name, "ok" if ok else "missing", found, "" if ok else remedy)


def advised(name: str, ok: bool, found: str, remedy: str) -> Finding:
    """Return a finding that is a `warning`, with its remedy, unless it is ok."""
    return Finding(name, "ok" if ok else "warning", found, "" if ok else remedy)
