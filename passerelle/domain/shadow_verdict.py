"""Whether a challenger did well enough in the shadow to take over from the champion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from passerelle.domain.project.serving import RolloutAlarms


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a variant stood: requests, errors among them, and the slowest answers (None: no request)."""

    requests: float
    errors: float
    p99_ms: float | None


def shadow_faults(challenger: Load, champion: Load, limits: RolloutAlarms) -> list[str]:
    """Return why the challenger should not take over; nothing when it may.

    Only how it works, not what it says: whether its predictions agree with the champion's is another list of faults,
    from what data capture keeps of both.
    """
    return list(_faults(challenger, champion, limits))


def _faults(challenger: Load, champion: Load, limits: RolloutAlarms) -> Iterator[str]:
    if champion.requests and not challenger.requests:
        yield f"of {champion.requests:g} requests none reached it"
    if challenger.errors > challenger.requests * limits.error_percent / 100:
        yield (
            f"it failed {challenger.errors:g} of {challenger.requests:g} requests (allowed: {limits.error_percent:g} %)"
        )
    if challenger.p99_ms is not None and challenger.p99_ms > limits.p99_latency_ms:
        yield f"it took {challenger.p99_ms:g} ms (p99; allowed: {limits.p99_latency_ms} ms)"
