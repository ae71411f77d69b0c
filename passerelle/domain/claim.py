"""What a dropped object is claimed by, and which claims of a batch count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class DroppedObject:
    """One "Object Created" event. EventBridge gives keys as they are, not URL-encoded as S3 notifications do."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    sequencer: str
    time: str


def claim_key(key: str, version_id: str | None, etag: str) -> str:
    """Return the sort key under which one object version is claimed once."""
    return f"DROP#{key}#{version_id or etag}"


def newest_per_key(claims: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return (the newest claim of every key, the superseded ones). Sequencers compare within a key only."""
    newest: dict[str, Mapping[str, Any]] = {}
    superseded = []
    for claim in claims:
        other = newest.get(claim["key"])
        if other is None:
            newest[claim["key"]] = claim
            continue
        older, younger = (claim, other) if _is_newer(other, claim) else (other, claim)
        newest[claim["key"]] = younger
        superseded.append(older)
    return [newest[key] for key in sorted(newest)], superseded


def _is_newer(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _order(one, other) > _order(other, one)


def _order(claim: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str, str]:
    # The reconciler finds objects whose event was lost: they have no sequencer, so the time decides.
    comparable = claim.get("sequencer") and other.get("sequencer")
    sequencer = str(claim["sequencer"]) if comparable else ""
    time = str(claim.get("time", "")).replace("Z", "+00:00")
    # Sequencers are hexadecimal texts of different lengths: pad before comparing (S3 user guide).
    return sequencer.rjust(64, "0"), time, str(claim.get("claimed_at", ""))
