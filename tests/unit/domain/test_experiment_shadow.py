"""What follows from a shadow: what is shown, what is open, and what withdraws the challenger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.experiment import Agreement, Estimate, PairedTest, ShadowEvidence
from passerelle.domain.experiment.checks import at_least, at_most, within
from passerelle.domain.experiment.load import compare_errors, compare_latency
from passerelle.domain.experiment.shadow import Limits, Shown, judge_shadow


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, lower=value - half, upper=value + half)


@pytest.mark.parametrize(
    ("value", "half", "most", "least", "size"),
    [
        (0.5, 0.1, "holds", "fails", "holds"),
        (0.95, 0.1, "open", "open", "open"),
        (1.5, 0.1, "fails", "holds", "fails"),
        (-1.5, 0.1, "holds", "fails", "fails"),
        (0.0, 2.0, "open", "open", "open"),
    ],
)
def test_a_check_holds_or_fails_only_where_the_whole_interval_says_so(
    value: float, half: float, most: str, least: str, size: str
) -> None:
    shown = estimate(value, half)
    assert (at_most(shown, 1.0), at_least(shown, 1.0), within(shown, 1.0)) == (most, least, size)


def test_without_a_bound_a_check_stays_open() -> None:
    assert at_most(Estimate(value=0.1, lower=0.0, upper=None), 1.0) == "open"
    assert at_least(Estimate(value=3.0, lower=None, upper=4.0), 1.0) == "open"


LIMITS = Limits(hours=24.0)
AGREEMENT = Agreement(
    requests=2_000, left_out=0, resampled="rows", decisions=estimate(0.96, 0.01), shift=estimate(0.05, 0.04)
)
FINE = Shown(
    hours=24.0,
    errors=compare_errors((2_000, 2), (2_000, 3)),
    latency=compare_latency(np.linspace(1, 20, 2_000), np.linspace(1, 25, 2_000)),
    agreement=AGREEMENT,
)


def found(better: float, half: float, of: str = "roc_auc") -> PairedTest:
    return PairedTest(
        of=of, method="delong", rows=2_000, champion=0.8, challenger=0.8 + better, better=estimate(better, half),
        p_value=0.5,
    )  # fmt: skip


def judged(**changes: Any) -> ShadowEvidence:
    return judge_shadow(replace(FINE, **changes), LIMITS)


def undecided(evidence: ShadowEvidence) -> set[str]:
    return {check.name for check in evidence.checks if check.outcome != "holds" and check.decides}


def test_a_challenger_that_keeps_to_all_limits_takes_over_and_its_evidence_can_be_stored() -> None:
    evidence = judged(metric=found(0.004, 0.003), money=found(0.1, 0.3, "USD per decision"))
    assert evidence.verdict == "promote"
    assert ShadowEvidence.model_validate_json(evidence.model_dump_json()) == evidence
    assert [check.name for check in evidence.checks if check.decides] == [
        "sample", "errors", "p99_latency", "metric", "money"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"hours": 12.0}, "sample"),
        ({"errors": compare_errors((900, 0), (900, 0))}, "sample"),
        ({"metric": found(-0.005, 0.02)}, "metric"),
        ({"agreement": None}, "agreement"),
        ({"agreement": AGREEMENT.model_copy(update={"decisions": estimate(0.9, 0.02)})}, "agreement"),
        ({"agreement": AGREEMENT.model_copy(update={"decisions": None})}, "agreement"),
    ],
)
def test_what_is_not_shown_yet_keeps_the_champion(changes: dict[str, Any], name: str) -> None:
    evidence = judged(**changes)
    assert (evidence.verdict, undecided(evidence)) == ("keep", {name})


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"errors": compare_errors((2_000, 0), (2_000, 60))}, "errors", "failed 60 of 2,000"),
        ({"latency": compare_latency(np.linspace(1, 20, 2_000), np.linspace(1, 5_000, 2_000))}, "p99_latency", "p99"),
        ({"metric": found(-0.05, 0.02)}, "metric", "roc_auc"),
        ({"metric": found(0.0, 0.001), "money": found(-2.0, 0.5, "USD per decision")}, "money", "USD per decision"),
        ({"agreement": AGREEMENT.model_copy(update={"shift": estimate(0.9, 0.1)})}, "score_shift", "standard"),
    ],
)
def test_what_is_shown_to_be_beyond_a_limit_withdraws_the_challenger(
    changes: dict[str, Any], name: str, said: str
) -> None:
    evidence = judged(**changes)
    assert (evidence.verdict, undecided(evidence)) == ("reject", {name})
    assert len(evidence.reasons) == 1
    assert said in evidence.reasons[0]


def test_a_failure_outweighs_what_is_open() -> None:
    assert judged(hours=1.0, errors=compare_errors((500, 0), (500, 400))).verdict == "reject"


def test_errors_that_the_champion_shows_too_are_the_requests_own() -> None:
    assert judged(errors=compare_errors((2_000, 300), (2_000, 302))).verdict == "keep"
    assert judged(errors=compare_errors((200_000, 30_000), (200_000, 30_100))).verdict == "promote"


def test_with_labels_disagreement_is_told_and_decides_nothing() -> None:
    other = AGREEMENT.model_copy(update={"decisions": estimate(0.6, 0.02)})
    assert judged(agreement=other).verdict == "reject"
    better = judged(agreement=other, metric=found(0.05, 0.01))
    assert better.verdict == "promote"
    assert any(check.name == "agreement" and check.outcome == "fails" for check in better.checks)
