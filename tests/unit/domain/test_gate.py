"""What the gate lets through and what it refuses: figures, words, and how often it is wrong by chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.gate import Scenario, draw, judge
from passerelle.domain.gate import Comparison, Evidence, check_gate, compare, verdict_in_words
from passerelle.domain.gate.calibration import bias_of_predictions, calibration_of_probabilities
from passerelle.domain.gate.segments import Segment, judge_segments
from passerelle.domain.project.training import Gate, SegmentGate
from passerelle.domain.resampling import draw_weights, make_blocks

SPREAD = np.linspace(-2, 2, 401)


def compared(better: float, error: float = 0.001, blocks: int = 200) -> Comparison:
    """A difference and its resamples, of about that standard error."""
    return Comparison(better, better + error * SPREAD / np.std(SPREAD), blocks)


def passed(gate: Gate | None = None, **changes: Any) -> dict[str, bool]:
    values: dict[str, Any] = {
        "metric": "roc_auc", "outputs": np.ones(3), "score": 0.7, "baseline_score": 0.5, "champion_score": 0.7,
        "baseline": compared(0.2),
    }  # fmt: skip
    return {check.name: check.passed for check in check_gate(gate or Gate(), Evidence(**values | changes))}


def test_a_model_without_champion_segments_and_money_is_judged_by_its_outputs_and_the_baseline() -> None:
    assert passed() == {"finite_outputs": True, "beats_baseline": True}
    assert not passed(outputs=np.asarray([1.0, np.nan]))["finite_outputs"]
    assert not passed(baseline=None, score=None)["beats_baseline"]
    assert not passed(Gate(beats_baseline_by=0.3))["beats_baseline"]


def test_the_baseline_itself_is_as_good_as_required_where_nothing_is_required() -> None:
    itself = Comparison(0.0, np.zeros(100), 200)
    assert passed(baseline=itself)["beats_baseline"]
    assert not passed(Gate(beats_baseline_by=0.01), baseline=itself)["beats_baseline"]


@pytest.mark.parametrize(("better", "passes"), [(0.01, True), (0.0005, False), (-0.01, False)])
def test_a_model_that_is_not_shown_to_be_better_than_the_business_rule_is_refused(better: float, passes: bool) -> None:
    found = passed(rule=compared(better, error=0.002), rule_score=0.7 - better)
    assert found["beats_rule"] is passes
    assert found["beats_baseline"]


@pytest.mark.parametrize(
    ("confidence", "better", "passes"),
    [
        (0.95, -0.001, True),  # the whole interval is above the margin
        (0.95, -0.009, False),  # allowed by the figure, not proven
        (0.50, -0.009, True),
        (0.50, -0.011, False),
        (0.05, -0.011, True),  # not proven to be worse
        (0.05, -0.030, False),
    ],
)
def test_the_champion_must_not_be_undercut_with_the_confidence_that_the_project_asks_for(
    confidence: float, better: float, passes: bool
) -> None:
    found = passed(Gate(confidence=confidence), champion=compared(better, error=0.002))
    assert found["not_worse_than_champion"] is passes


def test_too_few_defined_resamples_make_no_comparison() -> None:
    assert compare(0.1, np.asarray([np.nan] * 60 + [0.1] * 40), 30) is None
    assert compare(float("nan"), np.zeros(9), 30) is None
    kept = compare(0.1, np.asarray([np.nan] * 40 + [0.1] * 60), 30)
    assert kept is not None
    assert len(kept.resampled) == 60


# Segments


def segments(*differences: float, error: float = 0.02, **fields: Any) -> list[Segment]:
    return [
        Segment("plan", str(place), 300, 0.7, {"champion": compared(better, error)}, **fields)
        for place, better in enumerate(differences)
    ]


def worse(gate: SegmentGate, found: list[Segment], metric: str = "roc_auc") -> list[str]:
    return [one.value for one in judge_segments(gate, metric, found) if one.worse_than]


def test_one_bad_segment_is_found_and_one_that_chance_explains_among_many_is_not() -> None:
    alone, among = [-0.05], [-0.05, *[0.0] * 19]
    assert worse(SegmentGate(), segments(*alone)) == ["0"]
    assert worse(SegmentGate(), segments(*among)) == []
    assert worse(SegmentGate(), segments(-0.2, *[0.0] * 19)) == ["0"]


def test_a_difference_that_is_certain_but_small_does_not_fail_a_segment() -> None:
    assert worse(SegmentGate(worse_by=0.02), segments(-0.01, error=0.0001)) == []
    assert worse(SegmentGate(worse_by=0.005), segments(-0.01, error=0.0001)) == ["0"]


@pytest.mark.parametrize("scale", [0.001, 1.0, 100_000.0])
def test_the_segment_rule_does_not_depend_on_the_unit_of_the_label(scale: float) -> None:
    found = [
        Segment("plan", "a", 300, scale, {"baseline": compared(-0.01 * scale, 0.0001 * scale)}),
        Segment("plan", "b", 300, scale, {"baseline": compared(-0.5 * scale, 0.0001 * scale)}),
    ]
    assert worse(SegmentGate(), found, "rmse") == ["b"]


def test_a_bad_segment_refuses_the_model_in_words_and_only_warns_where_the_project_says_so() -> None:
    found = segments(-0.2, 0.1)
    for severity in ("required", "advisory"):
        gate = Gate.model_validate({"segments": {"severity": severity}})
        judged = judge_segments(gate.segments, "roc_auc", found)
        checks = check_gate(
            gate,
            Evidence(metric="roc_auc", outputs=np.ones(1), score=0.7, baseline_score=0.5, baseline=compared(0.2),
                     segments=found, judged=judged),
        )  # fmt: skip
        words = verdict_in_words(checks, ["plan = x (3 rows): fewer than 200 rows"])
        start = "Refused: 1 of 3 required checks failed. " if severity == "required" else "Passed: all 2 required"
        assert words.startswith(start)
        assert "1 of 2 segments worse by more than 0.02" in words
        assert "plan = 0 (300 rows, roc_auc 0.7000): worse by 0.2000 (95 % interval -0.2" in words
        assert "than the champion" in words
        assert words.endswith("Not judged: plan = x (3 rows): fewer than 200 rows.")


# Calibration


def off(said: Any, seen: Any) -> tuple[float, float]:
    blocks = make_blocks(len(said), by="row")
    found = calibration_of_probabilities(seen, said, blocks, draw_weights(blocks, seed=0))
    return found.error, found.at_least


def test_a_calibrated_model_is_not_called_off_however_few_rows_and_one_that_is_off_is() -> None:
    generator = np.random.default_rng(8)
    for rows in (300, 3_000, 30_000):
        truth = generator.beta(1, 3, rows)
        seen = generator.random(rows) < truth
        assert off(truth, seen)[1] == pytest.approx(0.0, abs=0.02)
        error, at_least = off(np.clip(truth + 0.2, 0, 1), seen)
        assert error == pytest.approx(0.2, abs=0.06)
        assert 0.1 < at_least < error


def test_the_estimate_of_perfect_probabilities_is_not_biased_upwards_as_the_usual_one_is() -> None:
    generator = np.random.default_rng(1)
    usual, ours = [], []
    for _ in range(40):
        truth = generator.random(750)
        seen = generator.random(750) < truth
        bins = np.argsort(np.argsort(truth)) * 15 // 750
        gaps = [abs(np.mean(truth[bins == one]) - np.mean(seen[bins == one])) for one in range(15)]
        usual.append(np.mean(gaps))
        ours.append(off(truth, seen)[0])
    assert np.mean(usual) > 0.04
    assert np.median(ours) < 0.02


def test_a_regression_that_is_wrong_on_average_is_off_by_its_bias() -> None:
    labels = np.random.default_rng(0).normal(100, 10, 2_000)
    blocks = make_blocks(2_000, by="row")
    weights = draw_weights(blocks, seed=0)
    found = bias_of_predictions(labels, labels + 5, blocks, weights)
    assert found is not None
    assert found.error == pytest.approx(0.5, abs=0.02)
    assert found.at_least == pytest.approx(found.error, abs=0.02)
    assert bias_of_predictions(np.ones(5), np.ones(5), make_blocks(5, by="row"), weights[:, :5]) is None
    check = {item.name: item for item in check_gate(Gate(), Evidence(
        metric="rmse", outputs=labels, score=1.0, baseline_score=2.0, baseline=compared(1.0), calibration=found
    ))}["calibration"]  # fmt: skip
    assert (check.passed, check.severity) == (False, "advisory")


# Money


def test_decisions_that_are_shown_to_be_worth_less_than_an_alternative_refuse_the_model() -> None:
    good = {"the champion's": compared(-0.001, 0.01), "that of never acting": compared(0.3, 0.01)}
    assert passed(money=good, worth=1.0)["value"]
    assert not passed(money=good | {"that of always acting": compared(-0.2, 0.01)}, worth=1.0)["value"]
    lenient = Gate.model_validate({"value": {"worse_by": 0.5}})
    assert passed(lenient, money={"the champion's": compared(-0.2, 0.01)}, worth=1.0)["value"]


# How often it is wrong

QUICK = Scenario(rows=2_000, segments=10, days=40, metric="brier")
ANY = Gate.model_validate({"segments": {"worse_by": 0.0}})


def refused(scenario: Scenario, gate: Gate, check: str, **options: Any) -> float:
    verdicts = [judge(draw(scenario, seed), gate, scenario.metric, rounds=200, **options) for seed in range(60)]
    return float(np.mean([not verdict[check] for verdict in verdicts]))


def test_of_equal_models_hardly_any_is_refused_for_one_of_many_segments() -> None:
    """The stated rate is 5 %; of 60 draws of 5 % more than 8 come once in 200 times."""
    assert refused(QUICK, ANY, "segments") <= 8 / 60


def test_rows_that_share_their_days_error_give_false_alarms_by_row_and_not_by_day() -> None:
    shared = replace(QUICK, rows=8_000, segments=1, day_error=1.0)
    proven = Gate(confidence=0.05, not_worse_than_champion_by=0)
    assert refused(shared, proven, "not_worse_than_champion", by="row") > 0.2
    assert refused(shared, proven, "not_worse_than_champion") <= 8 / 60


def test_a_collapse_in_one_segment_is_found_there_and_nowhere_else() -> None:
    collapsed = replace(QUICK, collapsed=1)
    assert refused(collapsed, Gate(), "segment 0") >= 0.9
    assert refused(collapsed, Gate(), "segment 1") <= 0.1
