"""What follows from a shadow: the challenger takes over, stays beside the champion, or goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from passerelle.contracts.experiment import (
    Agreement,
    Check,
    Errors,
    LatencyQuantile,
    PairedTest,
    ShadowEvidence,
)
from passerelle.domain.experiment.checks import at_least, at_most, in_words, share_in_words, verdict_of, within
from passerelle.domain.project.serving import RolloutAlarms


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a challenger must keep to.

    `hours` and `requests` are the declared duration and sample. `agree` is the least share of equal decisions (of a
    regression, the least correlation), `shift` the greatest difference of mean scores in standard deviations (0.2 is
    what Cohen 1988 calls small). `worse_by` is the margin in the project's metric, `money_worse_by` that per decision.
    `hurried`: the declared time was cut short, so that what is open holds nobody back.
    """

    hours: float
    requests: int = 1_000
    alarms: RolloutAlarms = field(default_factory=RolloutAlarms)
    agree: float = 0.9
    shift: float = 0.2
    worse_by: float = 0.01
    money_worse_by: float = 0.0
    hurried: bool = False


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was compared; None or empty where it could not be. `metric` needs labels, `money` a cost matrix, too."""

    hours: float
    errors: Errors
    latency: Sequence[LatencyQuantile] = ()
    agreement: Agreement | None = None
    metric: PairedTest | None = None
    money: PairedTest | None = None


def judge_shadow(shown: Shown, limits: Limits) -> ShadowEvidence:
    """Return the verdict with its evidence. To be asked once, when the declared time is over.

    Asked again and again until it says what is hoped for, 95 % intervals no longer hold; an A/B test's do.
    """
    checks = tuple(_checks(shown, limits))
    verdict, reasons = verdict_of(checks)
    if verdict == "keep" and limits.hurried:
        verdict = "promote"
        reasons = (f"this environment cuts the shadow to {shown.hours:.2g} hours: what is open was not waited for",)
    return ShadowEvidence(
        verdict=verdict,
        reasons=reasons,
        checks=checks,
        hours=shown.hours,
        errors=shown.errors,
        latency=tuple(shown.latency),
        agreement=shown.agreement,
        tests=tuple(test for test in (shown.metric, shown.money) if test is not None),
    )


def judge_with_labels(
    evidence: ShadowEvidence, *, metric: PairedTest | None, money: PairedTest | None
) -> ShadowEvidence:
    """Return a shadow's evidence with what labels show that came later, and the verdict that follows of all.

    What was found without them stands; where the metric is known, agreement decides nothing any more.
    """
    silent = ("agreement", "score_shift") if metric is not None else ()
    kept = [
        check.model_copy(update={"decides": check.decides and check.name not in silent}) for check in evidence.checks
    ]
    checks = (*kept, *_labelled(metric, money, Limits(hours=evidence.hours)))
    verdict, reasons = verdict_of(checks)
    tests = tuple(test for test in (metric, money) if test is not None)
    return evidence.model_copy(update={"verdict": verdict, "reasons": reasons, "checks": checks, "tests": tests})


def _checks(shown: Shown, limits: Limits) -> Iterator[Check]:
    yield _sample(shown, limits)
    yield _errors(shown.errors, limits)
    yield from _latency(shown.latency, limits)
    if shown.agreement is not None:
        yield from _agreement(shown.agreement, limits, decides=shown.metric is None)
    elif shown.metric is None:
        words = "no answers of both models to the same requests were compared, and there are no labels"
        yield Check(name="agreement", outcome="open", words=words)
    yield from _labelled(shown.metric, shown.money, limits)


def _labelled(metric: PairedTest | None, money: PairedTest | None, limits: Limits) -> Iterator[Check]:
    if metric is not None:
        words = f"{metric.of} on {metric.rows:,} labelled requests is better by {in_words(metric.better, sign=True)}"
        words += (
            f" ({metric.method.replace('_', ' ')}, p {metric.p_value:.2g}; at most {limits.worse_by:g} worse allowed)"
        )
        yield Check(name="metric", outcome=at_least(metric.better, -limits.worse_by), words=words)
    if money is not None:
        yield _money(money, limits)


def _sample(shown: Shown, limits: Limits) -> Check:
    enough = shown.hours >= limits.hours and shown.errors.challenger_requests >= limits.requests
    words = f"{shown.errors.challenger_requests:,} requests in {shown.hours:g} hours of the shadow"
    words += f" (declared: {limits.requests:,} in {limits.hours:g})"
    return Check(name="sample", outcome="holds" if enough else "open", words=words)


def _errors(errors: Errors, limits: Limits) -> Check:
    """Judge the difference: a request that is wrong fails with both."""
    words = (
        f"it failed {errors.challenger_errors:,} of {errors.challenger_requests:,} requests, the champion "
        f"{errors.champion_errors:,} of {errors.champion_requests:,}: {share_in_words(errors.more, sign=True)}; "
        f"{limits.alarms.error_percent:g} % more allowed"
    )
    return Check(name="errors", outcome=at_most(errors.more, limits.alarms.error_percent / 100), words=words)


def _latency(latency: Sequence[LatencyQuantile], limits: Limits) -> Iterator[Check]:
    for one in latency:
        judged = one.share == 0.99
        words = f"p{100 * one.share:g} of {in_words(one.challenger, ' ms')}, {in_words(one.longer, ' ms', sign=True)}"
        words += " against the champion"
        if judged:
            words += f"; {limits.alarms.p99_latency_ms} ms allowed"
        outcome = at_most(one.challenger, limits.alarms.p99_latency_ms)
        yield Check(name=f"p{100 * one.share:g}_latency", outcome=outcome, words=words, decides=judged)


def _agreement(found: Agreement, limits: Limits, *, decides: bool) -> Iterator[Check]:
    """Without labels, a model that says much else is held to be broken; with them, a better one has to say else."""
    same = found.decisions or found.correlation
    if same is not None:
        what = "decisions agree" if found.decisions is not None else "scores correlate"
        told = share_in_words(same) if found.decisions is not None else in_words(same)
        words = f"on {found.requests:,} requests {what}: {told}; at least {limits.agree:g} wanted"
        yield Check(name="agreement", outcome=at_least(same, limits.agree), words=words, decides=decides)
    elif decides:
        words = f"on {found.requests:,} requests nothing tells whether the two models agree"
        yield Check(name="agreement", outcome="open", words=words)
    if found.shift is not None:
        words = f"it scores {in_words(found.shift, sign=True)} standard deviations higher; {limits.shift:g} allowed"
        yield Check(name="score_shift", outcome=within(found.shift, limits.shift), words=words, decides=decides)


def _money(test: PairedTest, limits: Limits) -> Check:
    """Money varies more than metrics: as in the gate, only what is shown to be worth less is refused."""
    less = at_least(test.better, -limits.money_worse_by) == "fails"
    words = f"{test.of}: {in_words(test.better, sign=True)} on {test.rows:,} labelled requests"
    return Check(name="money", outcome="fails" if less else "holds", words=words)
