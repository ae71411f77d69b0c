"""Choose parsimoniously: the simplest candidate that is as good as the best within one standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scored:
    """A trained candidate: its score on validation, the score's standard error, and its rank of complexity."""

    name: str
    score: float
    standard_error: float
    complexity: int


@dataclass(frozen=True)
class Choice:
    """Which candidate, and why in one sentence."""

    name: str
    why: str


def choose(candidates: Sequence[Scored], *, metric: str, greater_is_better: bool) -> Choice:
    """Return the simplest candidate within one standard error of the best.

    Reference: Breiman, Friedman, Olshen, Stone (1984), Classification and Regression Trees, section 3.4.3.

    Raises ValueError when there is no candidate.
    """
    if not candidates:
        raise ValueError("no candidate was trained")
    sign = 1 if greater_is_better else -1
    best = max(candidates, key=lambda candidate: (sign * candidate.score, -candidate.complexity))
    limit = sign * best.score - best.standard_error
    chosen = min((c for c in candidates if sign * c.score >= limit), key=lambda candidate: candidate.complexity)
    if chosen.name == best.name:
        return Choice(best.name, f"{best.name} has the best {metric} on validation, {best.score:.4f}.")
    return Choice(
        chosen.name,
        f"{chosen.name} ({metric} {chosen.score:.4f}) is simpler than {best.name} ({best.score:.4f}) "
        f"and as good within one standard error ({best.standard_error:.4f}).",
    )
