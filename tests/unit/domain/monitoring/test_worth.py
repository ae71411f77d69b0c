"""A loss is told in points of a metric between 0 and 1, else as a share; it alarms when it is large and sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.drift.estimated import Estimate
from passerelle.domain.monitoring.worth import Judged

LIMITS = (0.01, 0.03, 0.06)


def judged(metric: str, *, greater: bool) -> Judged:
    return Judged(metric=metric, greater_is_better=greater, limits=LIMITS)


@pytest.mark.parametrize(
    ("metric", "greater", "before", "now", "loss"),
    [
        ("roc_auc", True, 0.80, (0.75, 0.73, 0.77), (0.05, 0.03, 0.07)),
        ("roc_auc", True, 0.80, (0.85, 0.83, 0.87), (-0.05, -0.07, -0.03)),
        ("balanced_accuracy", True, 0.60, (0.55, 0.53, 0.57), (0.05, 0.03, 0.07)),
        ("brier", False, 0.10, (0.14, 0.12, 0.16), (0.04, 0.02, 0.06)),
        ("rmse", False, 20.0, (25.0, 22.0, 28.0), (0.25, 0.10, 0.40)),
        ("log_loss", False, 0.5, (0.6, 0.55, 0.65), (0.2, 0.1, 0.3)),
    ],
)
def test_a_loss_is_above_nought_for_worse_whichever_way_the_metric_is_better(
    metric: str, greater: bool, before: float, now: tuple[float, float, float], loss: tuple[float, float, float]
) -> None:
    estimate = Estimate(value=now[0], lower=now[1], upper=now[2])
    found = judged(metric, greater=greater).loss({metric: estimate}, {metric: before})
    assert found is not None
    assert (found.value, found.lower, found.upper) == pytest.approx(loss)


@pytest.mark.parametrize(
    ("now", "severity", "alarm"),
    [
        ((0.75, 0.73, 0.77), "moderate", True),
        ((0.75, 0.69, 0.81), "moderate", False),  # chance may be all of it
        ((0.795, 0.792, 0.798), "none", False),  # sure, but it does not matter
        ((0.70, 0.69, 0.71), "major", True),
    ],
)
def test_a_loss_alarms_when_it_matters_and_is_sure(now: tuple[float, float, float], severity: str, alarm: bool) -> None:
    estimate, rule = Estimate(value=now[0], lower=now[1], upper=now[2]), judged("roc_auc", greater=True)
    loss = rule.loss({"roc_auc": estimate}, {"roc_auc": 0.80})
    assert loss is not None
    signal = rule.signal("estimated", loss, estimate, 0.80)
    assert (signal.severity, signal.alarm) == (severity, alarm)
    assert signal.words.startswith(f"roc_auc is probably {now[0]:.4g} (")


@pytest.mark.parametrize("before", [{}, {"roc_auc": float("nan")}])
def test_what_is_not_known_is_no_loss(before: dict[str, float]) -> None:
    rule = judged("roc_auc", greater=True)
    assert rule.loss({}, {"roc_auc": 0.8}) is None
    assert rule.loss({"roc_auc": Estimate(reason="too few")}, {"roc_auc": 0.8}) is None
    assert rule.loss({"roc_auc": Estimate(value=0.7, lower=0.6, upper=0.8)}, before) is None


@given(
    before=st.floats(0.01, 1e6), now=st.floats(0, 1e6), width=st.floats(0, 1e5), metric=st.sampled_from(["rmse", "mae"])
)
def test_the_loss_lies_in_its_interval(before: float, now: float, width: float, metric: str) -> None:
    estimate = Estimate(value=now, lower=now - width, upper=now + width)
    loss = judged(metric, greater=False).loss({metric: estimate}, {metric: before})
    assert loss is not None
    assert loss.lower <= loss.value <= loss.upper
