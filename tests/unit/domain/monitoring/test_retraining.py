"""When a model is trained anew, and when it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passerelle.domain.monitoring.incidents import Cause, Incident
from passerelle.domain.monitoring.retraining import Loss, RetrainRule, State, decide

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def incident(cause: Cause, severity: Any = "major", **known: Any) -> Incident:
    words = {"since": "2026-05-20", "last": "2026-05-31", "columns": ("dest",), "words": "dest moved"}
    return Incident(**{"cause": cause, "severity": severity, "everywhere": severity, **words, **known})


def state(**known: Any) -> State:
    return State(**{"now": NOW, "began": NOW - 10 * DAY, "new_labels": 1, **known})


def test_a_rule_that_asks_for_nothing_never_trains() -> None:
    known = state(incidents=(incident("drift"),), realised=Loss(value=1, lower=0.5, upper=2), new_labels=10**6)
    assert not decide(RetrainRule(), known).retrain


def test_a_schedule_trains_when_the_last_training_is_long_enough_ago() -> None:
    rule = RetrainRule(every=7 * DAY)
    verdict = decide(rule, state())
    assert verdict.retrain
    assert verdict.triggers == (("schedule", "a model was last trained 10 days ago (every 7 days)"),)
    assert not decide(rule, state(began=NOW - 6 * DAY)).retrain
    # The look of a week ago began it some minutes later.
    assert decide(rule, state(began=NOW - 7 * DAY + timedelta(minutes=3))).retrain


@pytest.mark.parametrize(("severity", "retrain"), [("minor", False), ("moderate", True), ("major", True)])
def test_drift_trains_from_the_declared_severity(severity: str, retrain: bool) -> None:
    assert decide(RetrainRule(drift="moderate"), state(incidents=(incident("drift", severity),))).retrain == retrain


@pytest.mark.parametrize("cause", ["absent", "broken"])
def test_data_with_a_fault_is_not_learnt_from_and_the_verdict_says_so(cause: Cause) -> None:
    verdict = decide(RetrainRule(every=DAY), state(incidents=(incident(cause),)))
    assert not verdict.retrain
    assert verdict.held_back == "the data has a fault that would be learnt: dest moved"


@pytest.mark.parametrize("known", [{"severity": "moderate"}, {"severity": "major", "everywhere": "moderate"}])
def test_a_few_missing_values_or_those_of_one_segment_hold_no_training_back(known: dict[str, Any]) -> None:
    assert decide(RetrainRule(every=DAY), state(incidents=(incident("absent", **known),))).retrain


@pytest.mark.parametrize(
    ("loss", "retrain"),
    [
        (Loss(value=0.03, lower=0.01, upper=0.05), True),
        (Loss(value=0.03, lower=-0.01, upper=0.07), False),
        (Loss(value=0.01, lower=0.005, upper=0.02), False),
    ],
)
def test_a_loss_trains_when_it_is_sure_and_matters(loss: Loss, retrain: bool) -> None:
    assert decide(RetrainRule(loss=0.02), state(realised=loss)).retrain == retrain


def test_what_labels_showed_counts_for_more_than_what_was_estimated() -> None:
    good, bad = Loss(value=0.0, lower=-0.01, upper=0.01), Loss(value=0.1, lower=0.05, upper=0.2)
    assert not decide(RetrainRule(loss=0.02), state(realised=good, estimated=bad)).retrain
    assert decide(RetrainRule(loss=0.02), state(estimated=bad)).triggers[0][0] == "estimated"


def test_new_labels_train_from_the_declared_share_on() -> None:
    rule = RetrainRule(labels=0.2)
    assert not decide(rule, state(new_labels=19_999, trained_rows=100_000)).retrain
    verdict = decide(rule, state(new_labels=20_000, trained_rows=100_000))
    assert verdict.triggers == (("labels", "20,000 new labels, 20% of the 100,000 rows trained on"),)
    assert not decide(rule, state(new_labels=20_000)).retrain


def test_after_a_run_began_the_next_one_waits_and_says_for_how_long() -> None:
    rule = RetrainRule(every=DAY, cool_down=3 * DAY)
    verdict = decide(rule, state(began=NOW - 2 * DAY))
    assert not verdict.retrain
    assert verdict.held_back == "a run began 2.0 days ago; the next one may after 3.0 days"
    assert verdict.triggers
