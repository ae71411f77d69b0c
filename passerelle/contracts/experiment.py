"""What a comparison of champion and challenger leaves: figures with intervals, checks, and the verdict."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from passerelle.contracts.base import Contract

Verdict = Literal["promote", "keep", "reject"]
Outcome = Literal["holds", "open", "fails"]


class Estimate(Contract):
    """A figure with its interval; a bound is None where so few rows give none."""

    value: float
    lower: float | None
    upper: float | None


class Check(Contract):
    """One condition: it holds, fails, or is open, which more evidence may end; `decides` says if the verdict asks."""

    name: str
    outcome: Outcome
    words: str
    decides: bool = True


class Agreement(Contract):
    """Two models on the same requests; None where a figure is undefined, such as kappa where both say one thing.

    `shift` is how much higher the challenger scores on average, in standard deviations of a score. `resampled` says
    what the intervals took for independent.
    """

    requests: int
    left_out: int
    resampled: str
    decisions: Estimate | None = None
    kappa: Estimate | None = None
    correlation: Estimate | None = None
    rank_correlation: Estimate | None = None
    shift: Estimate | None = None


class LatencyQuantile(Contract):
    """The time within which a share of answers came, in milliseconds, and how much longer the challenger's took."""

    share: float
    champion: Estimate
    challenger: Estimate
    longer: Estimate


class Errors(Contract):
    """Share of requests that failed, and how much greater the challenger's is."""

    champion_requests: int
    champion_errors: int
    challenger_requests: int
    challenger_errors: int
    champion: Estimate
    challenger: Estimate
    more: Estimate


class PairedTest(Contract):
    """How much better the challenger is on labelled requests, and the p-value of no difference; more is better."""

    of: str
    method: Literal["mcnemar_exact", "mcnemar", "delong", "bootstrap"]
    rows: int
    champion: float
    challenger: float
    better: Estimate
    p_value: float
    resampled: str = ""


class LatencySeen(Contract):
    """The time within which a share of a variant's answers came, in milliseconds."""

    share: float
    found: Estimate


class VariantSeen(Contract):
    """What a variant stood: requests, how many of them failed, how long answers took (nothing: not known).

    `threshold` is the probability from which its model decides for the positive class, None where it has none.
    """

    requests: int
    errors: int
    latency: tuple[LatencySeen, ...] = ()
    threshold: float | None = None


class ShadowQuestion(Contract):
    """What the job that judges a shadow is asked: what was declared, and what was seen of both variants.

    `hurried`: the environment cut the declared time, so that what is open for lack of requests holds nobody back.
    `replayed_since`: what is recorded since that moment, UTC, is replayed; the job itself counts what it asks.
    """

    hours: float
    declared_hours: float
    declared_requests: int
    hurried: bool
    error_percent: float
    p99_latency_ms: int
    champion: VariantSeen
    challenger: VariantSeen
    replayed_since: datetime | None = None


class ShadowEvidence(Contract):
    """All that a shadow showed, and what follows: promote, keep (the champion goes on serving), or reject.

    `unpaired` counts captured requests of the challenger that were not captured of the champion, `unreadable` those of
    either whose answer could not be read.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    hours: float
    errors: Errors | None = None
    latency: tuple[LatencyQuantile, ...] = ()
    agreement: Agreement | None = None
    unpaired: int = 0
    unreadable: int = 0
    tests: tuple[PairedTest, ...] = ()


class SplitPhase(Contract):
    """Entities first seen while the challenger had this share of them."""

    share: float
    champion: int
    challenger: int


class SplitCheck(Contract):
    """Whether entities were split as declared; `p_value` may be read at any time."""

    phases: tuple[SplitPhase, ...]
    p_value: float
    level: float
    holds: bool


class AbPlan(Contract):
    """What an A/B test was to show, stated before it began.

    `effect` is the least difference that matters, `spread` the standard deviation of an entity's outcome. `entities`
    (of both variants) show such an effect with probability `power`, `fixed` would do if it were read only once.
    """

    effect: float
    spread: float
    share: float
    error: float
    power: float
    entities: int
    fixed: int


class AbEffect(Contract):
    """The challenger's mean less the champion's with an interval that holds at every reading; `unit` says of what."""

    method: Literal["asymptotic", "betting"]
    unit: str
    champion_entities: int
    challenger_entities: int
    champion: float
    challenger: float
    more: Estimate
    p_value: float | None = None


class AbEvidence(Contract):
    """All that an A/B test showed so far, and what follows: promote, keep (it goes on), or reject."""

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    days: float
    plan: AbPlan
    split: SplitCheck
    effect: AbEffect | None = None
