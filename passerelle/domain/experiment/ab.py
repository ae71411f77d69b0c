"""What follows from an A/B test so far: the challenger takes over, the test goes on, or it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from passerelle.contracts.experiment import AbEffect, AbEvidence, AbPlan, Check, Outcome, SplitCheck
from passerelle.domain.experiment.checks import in_words, verdict_of

#: The share of entities that may meet both models, by callers that are changed one after another.
_STRAY: Final = 0.01


@dataclass(frozen=True)
class Duration:
    """How long a test runs: at least whole weeks, since weekdays differ; at most until its declared end."""

    least_days: float = 7.0
    most_days: float = 28.0


def judge_ab(
    *,
    plan: AbPlan,
    split: SplitCheck,
    effect: AbEffect | None,
    days: float,
    duration: Duration,
    met_both: int = 0,
) -> AbEvidence:
    """Return the verdict with its evidence; may be asked at any time, and acted on at once.

    Promote where the challenger is shown to be better, reject where it is shown not to be better by what matters
    (`plan.effect`), or where its time is over; else both go on. With a split that is broken nothing else counts.

    Parameters
    ----------
    met_both : entities that both models answered.
    """
    checks = (*_checks(plan, split, effect, days, duration), _sticky(split, met_both))
    verdict, reasons = verdict_of(checks)
    return AbEvidence(verdict=verdict, reasons=reasons, checks=checks, days=days, plan=plan, split=split, effect=effect)


def _checks(
    plan: AbPlan, split: SplitCheck, effect: AbEffect | None, days: float, duration: Duration
) -> Iterator[Check]:
    yield _split(split)
    words = f"{days:g} days of at least {duration.least_days:g} and at most {duration.most_days:g}"
    enough = days >= duration.least_days
    yield Check(name="duration", outcome="holds" if enough else "open", words=words, decides=split.holds)
    yield _effect(plan, effect, over=days >= duration.most_days, decides=split.holds)


def _split(split: SplitCheck) -> Check:
    parts = (
        f"{phase.challenger:,} of {phase.challenger + phase.champion:,} entities, meant were {100 * phase.share:g} %"
        for phase in split.phases
    )
    words = f"the challenger got {', '.join(parts)} (p {split.p_value:.2g}, level {split.level:g})"
    if not split.holds:
        words += (
            ": the split is broken, so that the two groups differ in more than their model; nothing else is read. "
            "Find what loses entities of one variant (errors, time-outs, clients that choose), then begin anew under "
            "another name"
        )
    return Check(name="split", outcome="holds" if split.holds else "open", words=words)


def _sticky(split: SplitCheck, met_both: int) -> Check:
    entities = sum(phase.champion + phase.challenger for phase in split.phases)
    words = f"{met_both:,} of {entities:,} entities met both models"
    holds = met_both <= _STRAY * entities
    if not holds:
        words += (
            f", {100 * _STRAY:g} % may: callers do not name the variant of an entity (TargetVariant), or not by the "
            "test's name and share; `passerelle experiment variant` says which one it is"
        )
    return Check(name="sticky", outcome="holds" if holds else "open", words=words, decides=split.holds)


def _effect(plan: AbPlan, effect: AbEffect | None, *, over: bool, decides: bool) -> Check:
    if effect is None:
        outcome: Outcome = "fails" if over else "open"
        return Check(name="effect", outcome=outcome, words="no outcomes are known", decides=decides)
    entities = effect.champion_entities + effect.challenger_entities
    words = (
        f"{effect.unit} with the challenger is more by {in_words(effect.more, sign=True)}, after {entities:,} of "
        f"{plan.entities:,} planned entities"
    )
    lower, upper = effect.more.lower, effect.more.upper
    if lower is not None and lower > 0:
        return Check(name="effect", outcome="holds", words=f"{words}: it is better", decides=decides)
    if upper is not None and upper < plan.effect:
        words += f": it is not better by the {plan.effect:g} that matter"
        return Check(name="effect", outcome="fails", words=words, decides=decides)
    words += ": not shown to be better within its time" if over else ": not decided yet"
    return Check(name="effect", outcome="fails" if over else "open", words=words, decides=decides)
