"""From checks to a verdict: a failed one withdraws the challenger, an open one keeps the champion."""

from __future__ import annotations

from collections.abc import Sequence

from passerelle.contracts.experiment import Check, Estimate, Outcome, Verdict


def at_most(found: Estimate, limit: float) -> Outcome:
    """Return whether a figure is shown to be at most the limit (holds), shown to be more (fails), or neither."""
    if found.upper is not None and found.upper <= limit:
        return "holds"
    return "fails" if found.lower is not None and found.lower > limit else "open"


def at_least(found: Estimate, limit: float) -> Outcome:
    """Return whether a figure is shown to be at least the limit (holds), shown to be less (fails), or neither."""
    if found.lower is not None and found.lower >= limit:
        return "holds"
    return "fails" if found.upper is not None and found.upper < limit else "open"


def within(found: Estimate, limit: float) -> Outcome:
    """Return whether a figure's size is shown to be at most the limit (equivalence: Schuirmann 1987), more, or neither.

    Two one-sided tests, Journal of Pharmacokinetics and Biopharmaceutics 15.
    """
    outcomes = {at_most(found, limit), at_least(found, -limit)}
    return "fails" if "fails" in outcomes else "open" if "open" in outcomes else "holds"


def verdict_of(checks: Sequence[Check]) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict and the sentences that led to it."""
    deciding = [check for check in checks if check.decides]
    for outcome, verdict in (("fails", "reject"), ("open", "keep")):
        if found := tuple(check.words for check in deciding if check.outcome == outcome):
            return ("reject" if verdict == "reject" else "keep"), found
    return "promote", tuple(check.words for check in deciding)


def in_words(found: Estimate, unit: str = "", *, sign: bool = False, digits: int = 4) -> str:
    """Return a figure with its interval as a reader is told."""
    form = f"{'+' if sign else ''}.{digits}g"
    lower, upper = ("unknown" if bound is None else f"{bound:{form}}" for bound in (found.lower, found.upper))
    return f"{found.value:{form}}{unit} (95 % interval {lower} to {upper})"


def share_in_words(found: Estimate, *, sign: bool = False) -> str:
    """Return a share in percent with its interval."""
    form = "+.2f" if sign else ".2f"
    lower, upper = ("unknown" if one is None else f"{100 * one:{form}}" for one in (found.lower, found.upper))
    return f"{100 * found.value:{form}} % (95 % interval {lower} to {upper})"
