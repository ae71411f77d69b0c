"""May it be deployed: what an estimate costs against the budgets, and who has accepted more for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from passerelle.domain.cost.estimate.parts import Estimate
from passerelle.domain.cost.estimate.projects import TYPE


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Somebody accepts up to `up_to_usd` a month until the end of a day; `project` is None for the environment."""

    up_to_usd: float
    name: str
    reason: str
    expires: date
    project: str | None = None


@dataclass(frozen=True)
class Verdict:
    """One budget: what is spent of it, and why that is, or is not, accepted."""

    what: str
    usd: float
    budget: float
    allowed: bool
    words: str


def judge(
    estimate: Estimate,
    *,
    environment: str,
    budget: float | None,
    projects: Mapping[str, float],
    waivers: Sequence[Waiver],
    today: date,
) -> Iterator[Verdict]:
    """Yield a verdict for the environment's budget and for each project's own.

    Parameters
    ----------
    budget : USD a month of the whole environment; None without one.
    projects : USD a month by project, for what is the project's alone.
    """
    if budget is not None:
        yield _verdict(f"environment {environment}", estimate.usd, budget, _of(waivers, None), today)
    for name, most in projects.items():
        spent = sum(item.usd() for item in estimate.items if item.type == TYPE and item.name == name)
        yield _verdict(f"project {name}", spent, most, _of(waivers, name), today)


def _of(waivers: Sequence[Waiver], project: str | None) -> list[Waiver]:
    return [waiver for waiver in waivers if waiver.project == project]


def _verdict(what: str, usd: float, budget: float, waivers: Sequence[Waiver], today: date) -> Verdict:
    told = f"{what}: {usd:.2f} of {budget:.2f} USD a month"
    if usd <= budget:
        return Verdict(what, usd, budget, True, told)
    for waiver in waivers:
        if usd <= waiver.up_to_usd and today <= waiver.expires:
            why = f"waived by {waiver.name} until {waiver.expires}: {waiver.reason}"
            return Verdict(what, usd, budget, True, f"{told}; {why}")
    old = "".join(f"; the waiver of {item.name} expired on {item.expires}" for item in waivers if today > item.expires)
    low = "".join(
        f"; the waiver of {item.name} goes up to {item.up_to_usd:.2f} only"
        for item in waivers
        if today <= item.expires and usd > item.up_to_usd
    )
    return Verdict(what, usd, budget, False, f"{told}{old}{low}")
