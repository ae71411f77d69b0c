"""How good a model is without labels: what is estimated, how surely, and what no estimate can see."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk

from passerelle.domain.decision import row_values
from passerelle.domain.drift.estimated import Estimate, Expected, estimate, expect, realised
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from passerelle.domain.drift.sums import Money
from passerelle.domain.project.model import Value
from passerelle.errors import InputError
from tests.unit.domain.drift.estimated_worlds import HARDER, TYPES, amounts, classes, uneven_classes, yes_or_no

Array = npt.NDArray[Any]
MONEY = Money(true_positive=40, false_positive=-12, true_negative=0, false_negative=-40)


def reference_of(rows: tuple[Array, Array, Any], task: Any = "binary", **more: Any) -> PerformanceReference:
    answers, labels, columns = rows
    usual: dict[str, Any] = {"threshold": 0.3, "money": MONEY}
    return make_performance_reference(task, answers, labels, columns=columns, types=TYPES, **usual | more)


REFERENCE = reference_of(yes_or_no(6_000, 1))


@cache
def reference_numbered(seed: int) -> PerformanceReference:
    return reference_of(yes_or_no(6_000, 100 + seed))


def estimated(answers: Array, columns: Any, reference: PerformanceReference = REFERENCE) -> dict[str, Estimate]:
    return estimate(reference, expect(reference, answers, columns))


def figure(found: Estimate) -> float:
    assert found.value is not None, found.reason
    return found.value


def holds(found: Estimate, true: Estimate) -> bool:
    assert found.lower is not None, found.reason
    assert found.upper is not None
    return found.lower <= figure(true) <= found.upper


def test_realised_metrics_are_those_of_scikit_learn() -> None:
    scores, labels, _columns = yes_or_no(4_000, 2)
    found = {name: figure(one) for name, one in realised(REFERENCE, scores, labels).items()}
    decided = scores >= 0.3
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, scores), abs=5e-4)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, scores), abs=5e-3)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, scores))
    assert found["brier"] == pytest.approx(np.mean((scores - labels) ** 2))
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1"):
        assert found[name] == pytest.approx(getattr(sk, f"{name}_score")(labels, decided)), name
    value = Value(**{name: worth for name, worth in MONEY._asdict().items() if name != "per_error_unit"})
    assert found["value"] == pytest.approx(np.mean(row_values(value, labels, scores, 0.3)))


@pytest.mark.parametrize(
    ("world", "least"),
    [({}, 40), ({"kinds": HARDER}, 38), ({"shift": 0.7}, 38), ({"kinds": HARDER, "shift": 0.7}, 34)],
    ids=["no shift", "other kinds", "other sizes", "both at once"],
)
def test_intervals_hold_the_truth_without_a_shift_and_where_covariates_moved(world: dict[str, Any], least: int) -> None:
    held: Counter[str] = Counter()
    for seed in range(12):
        reference = reference_numbered(seed)
        for window in range(4):
            scores, labels, columns = yes_or_no(2_000, 1_000 + 10 * seed + window, **world)
            truth = realised(reference, scores, labels)
            held.update(name for name, one in estimated(scores, columns, reference).items() if holds(one, truth[name]))
    # Of 48 windows at 95 %, 45.6 are expected; four share a reference's error. Far from the reference the second model's
    # form is wrong, too, of which no interval knows: of both shifts at once three in four are held.
    assert {name: count for name, count in held.items() if count < least} == {}


def test_where_covariates_moved_the_estimate_is_nearer_than_calibration_alone() -> None:
    ours, plain = [], []
    for seed in range(3):
        rows = yes_or_no(6_000, 100 + seed)
        without = make_performance_reference("binary", rows[0], rows[1], threshold=0.3)
        scores, labels, columns = yes_or_no(3_000, 300 + seed, kinds=HARDER)
        truth = figure(realised(REFERENCE, scores, labels)["roc_auc"])
        ours.append(abs(figure(estimated(scores, columns, reference_numbered(seed))["roc_auc"]) - truth))
        plain.append(abs(figure(estimated(scores, columns, without)["roc_auc"]) - truth))
    assert np.mean(ours) < np.mean(plain) / 3


def test_what_changed_in_the_world_itself_is_not_seen_without_labels() -> None:
    # The textbook limit of CBPE: P(label | score, inputs) is no longer the reference's, and no input says so.
    scores, labels, columns = yes_or_no(4_000, 3, drift=0.0)
    found, truth = estimated(scores, columns)["roc_auc"], realised(REFERENCE, scores, labels)["roc_auc"]
    assert figure(found) > figure(truth) + 0.1
    assert not holds(found, truth)


def test_a_metric_that_changes_from_day_to_day_has_an_interval_that_says_so() -> None:
    def rows(seed: int, spread: float) -> tuple[tuple[Array, Array, Any], Array]:
        days = np.repeat(np.arange(40), 150)
        rough = np.random.default_rng(seed).normal(0, spread, 8)[days // 5]
        return yes_or_no(6_000, seed, noise=rough), days

    (even, days), (rough, _) = rows(5, 0.0), rows(5, 1.0)
    scores, _, columns = yes_or_no(2_000, 6)
    widths = []
    for given in (even, rough):
        found = estimated(scores, columns, reference_of(given, blocks=days))["accuracy"]
        assert found.upper is not None
        assert found.lower is not None
        widths.append(found.upper - found.lower)
    assert widths[1] > 1.5 * widths[0]


def test_hours_add_up_to_their_day_also_after_json() -> None:
    scores, _, columns = yes_or_no(3_000, 7)
    whole = expect(REFERENCE, scores, columns)
    hours = [
        expect(REFERENCE, scores[part], {name: values[part] for name, values in columns.items()})
        for part in np.array_split(np.arange(3_000), 24)
    ]
    kept = [Expected.from_dict(json.loads(json.dumps(hour.to_dict()))) for hour in hours]
    total = sum(kept[1:], kept[0])
    assert total.rows == whole.rows
    found, one = estimate(REFERENCE, total), estimate(REFERENCE, whole)
    for name in one:
        assert figure(found[name]) == pytest.approx(figure(one[name])), name
        assert found[name].lower == pytest.approx(one[name].lower), name


def test_a_reference_is_the_same_after_json_and_small() -> None:
    assert REFERENCE.id == PerformanceReference.from_json(REFERENCE.to_json()).id
    assert "classes" not in json.loads(REFERENCE.to_json())["layout"]  # ids of before there were any stay the same
    several = reference_of(uneven_classes(600, 8), "multiclass")
    read = PerformanceReference.from_json(several.to_json())
    assert (read.id, read.layout) == (several.id, several.layout)
    scores, _, columns = yes_or_no(500, 8)
    again = PerformanceReference.from_json(REFERENCE.to_json().encode())
    assert estimated(scores, columns, again) == estimated(scores, columns)
    rng = np.random.default_rng(9)
    many = {f"c{place}": rng.integers(0, 300, 2_000).astype(str).astype(object) for place in range(60)}
    wide = make_performance_reference(
        "regression",
        rng.normal(size=2_000),
        rng.normal(size=2_000),
        columns=many,
        types=dict.fromkeys(many, "category"),
    )
    assert len(wide.to_json()) < 100_000


def test_windows_of_different_references_are_refused() -> None:
    other = reference_of(yes_or_no(1_000, 10))
    scores, _, columns = yes_or_no(100, 11)
    with pytest.raises(LayoutError, match="different references"):
        expect(REFERENCE, scores, columns) + expect(other, scores, columns)
    with pytest.raises(LayoutError, match="Add it up again"):
        estimate(REFERENCE, expect(other, scores, columns))
    with pytest.raises(LayoutError, match="another form"):
        PerformanceReference.from_json("{}")
    with pytest.raises(InputError, match="no JSON"):
        PerformanceReference.from_json("scores")


def test_where_nothing_can_be_estimated_it_says_why() -> None:
    scores, _, columns = yes_or_no(1_000, 12)
    few = estimated(scores[:20], {name: values[:20] for name, values in columns.items()})
    assert set(few) == set(estimated(scores, columns))
    assert all(one.value is None and "20 rows" in one.reason for one in few.values())
    alike = estimated(np.full(1_000, 0.2), columns)
    assert "alike" in alike["roc_auc"].reason
    assert alike["brier"].value is not None
    rare = reference_of((np.full(2_000, 0.001) + np.arange(2_000) / 1e7, (np.arange(2_000) % 700 == 0), {}))
    assert "positives" in estimated(np.full(200, 0.0011), {}, rare)["recall"].reason
    nobody = realised(REFERENCE, scores, np.zeros(1_000))["roc_auc"]
    assert nobody.value is None
    assert "positives" in nobody.reason


def test_absent_inputs_missing_values_and_rows_without_a_score_never_raise() -> None:
    scores, _, columns = yes_or_no(1_000, 13)
    broken = columns["size"].astype(object)
    broken[:50], broken[50:60] = None, "three"
    kinds = columns["kind"].copy()
    kinds[:100], kinds[100:200] = None, "new"
    for inputs in (None, {}, {"kind": kinds}, {"size": broken, "kind": kinds, "other": scores}):
        assert 0.5 < figure(estimated(scores, inputs)["roc_auc"]) < 1
    unknown = scores.copy()
    unknown[:300] = np.nan
    window = expect(REFERENCE, unknown, columns)
    assert (window.rows, window.unscored) == (700, 300)


def test_rows_that_make_no_reference_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="too few"):
        make_performance_reference("binary", np.full(50, 0.5), np.zeros(50))
    with pytest.raises(InputError, match="alike"):
        make_performance_reference("binary", np.linspace(0, 1, 500), np.zeros(500))
    with pytest.raises(InputError, match="shape"):
        make_performance_reference("multiclass", np.full(500, 0.5), np.zeros(500))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("kinds", [(0.6, 0.3, 0.1), HARDER])
def test_numbers_and_several_classes_are_estimated_alike(task: Any, kinds: tuple[float, ...]) -> None:
    world = amounts if task == "regression" else classes
    held: Counter[str] = Counter()
    for seed in range(20):
        if seed % 4 == 0:
            reference = reference_of(world(6_000, 400 + seed), task, money=Money(per_error_unit=-2))
        answers, labels, columns = world(1_500, 500 + seed, kinds)
        truth = realised(reference, answers, labels)
        held.update(name for name, one in estimated(answers, columns, reference).items() if holds(one, truth[name]))
    names = (
        {"mae", "rmse", "r2", "value"}
        if task == "regression"
        else {"accuracy", "balanced_accuracy", "macro_f1", "log_loss"}
    )
    # Of twenty windows fewer than 15 would be less than one in a thousand at 95 %.
    assert set(held) == names
    assert min(held.values()) >= 15


def test_realised_metrics_of_numbers_and_classes_are_those_of_scikit_learn() -> None:
    predicted, true, columns = amounts(1_000, 14)
    found = realised(reference_of((predicted, true, columns), "regression"), predicted, true)
    assert figure(found["mae"]) == pytest.approx(sk.mean_absolute_error(true, predicted))
    assert figure(found["rmse"]) == pytest.approx(sk.root_mean_squared_error(true, predicted))
    assert figure(found["r2"]) == pytest.approx(sk.r2_score(true, predicted))
    shares, places, columns = classes(1_000, 15)
    found = realised(reference_of((shares, places, columns), "multiclass"), shares, places)
    assert figure(found["accuracy"]) == pytest.approx(sk.accuracy_score(places, np.argmax(shares, axis=1)))
    assert figure(found["log_loss"]) == pytest.approx(sk.log_loss(places, shares))
    decided = np.argmax(shares, axis=1)
    assert figure(found["balanced_accuracy"]) == pytest.approx(sk.balanced_accuracy_score(places, decided))
    assert figure(found["macro_f1"]) == pytest.approx(sk.f1_score(places, decided, average="macro"))


def test_of_several_classes_windows_whose_inputs_moved_are_estimated_near_the_truth() -> None:
    names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
    held: Counter[str] = Counter()
    ours, plain = [], []
    for seed in range(24):
        if seed % 4 == 0:
            rows = uneven_classes(6_000, 600 + seed)
            reference, without = reference_of(rows, "multiclass"), make_performance_reference("multiclass", *rows[:2])
        answers, labels, columns = uneven_classes(2_000, 700 + seed, HARDER)
        truth = realised(reference, answers, labels)
        guess, blind = estimated(answers, columns, reference), estimated(answers, {}, without)
        held.update(name for name in names if holds(guess[name], truth[name]))
        ours.append([abs(figure(guess[name]) - figure(truth[name])) for name in names])
        plain.append([abs(figure(blind[name]) - figure(truth[name])) for name in names])
    # Six in ten rows are of a kind that was one in ten: far from the reference, where its form is wrong, too.
    assert min(held[name] for name in names) >= 18
    assert (np.mean(ours, axis=0) < [0.025, 0.03, 0.03, 0.07]).all()
    assert (np.mean(ours, axis=0)[1:3] < np.mean(plain, axis=0)[1:3] / 2).all()
