"""Weights, monotone constraints and calibration: what they do to every candidate, and to the bundle that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.container import CandidateResult
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.monotone import broken_constraint
from passerelle.domain.project.metric_names import CANDIDATES
from passerelle.domain.weights import row_weights
from passerelle.errors import InputError
from tests.unit.training.fitting import make_context, make_project, make_rows
from training.bundle import Bundle, load_bundle
from training.serve.scorer import Scorer
from training.train import weighing
from training.train.candidate import LeftOutError, train_candidate
from training.train.context import Context
from training.train.fit import Fitted, fit_candidate

LEARNERS = CANDIDATES["binary"][1:]
#: Few trees are enough to be weighed, constrained and calibrated.
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 12},
    "hist_gradient_boosting": {"max_iter": 15, "learning_rate": 0.2},
    "xgboost": {"n_estimators": 15, "learning_rate": 0.2},
}


def fit_small(name: str, context: Context) -> Fitted:
    return fit_candidate(name, context, SMALL.get(name, {}))


def train_small(name: str, context: Context, folder: Path) -> tuple[Bundle, CandidateResult]:
    return train_candidate(name, 1, context, folder, params=SMALL.get(name, {}))[:2]


def test_weights_have_mean_one_and_balanced_classes_weigh_the_same() -> None:
    labels, own = np.asarray([0, 0, 0, 1]), np.asarray([1.0, 2.0, 3.0, 6.0])
    assert row_weights(labels, None, None) is None
    for class_weight in (None, "balanced", {"positive": 5.0}):
        weights = row_weights(labels, class_weight, own)  # type: ignore[arg-type]
        assert weights is not None
        assert weights.mean() == pytest.approx(1)
        assert weights[2] / weights[0] == pytest.approx(3)
    balanced = row_weights(labels, "balanced", own)
    assert balanced is not None
    assert balanced[:3].sum() == pytest.approx(balanced[3])
    named = row_weights(np.asarray(["a", "b", "b"], dtype=object), {"a": 4.0}, None)
    assert named is not None
    assert named[0] / named[1] == pytest.approx(4)


def test_rows_without_any_weight_are_told_not_learnt_from() -> None:
    with pytest.raises(InputError, match=r"Every row of train has weight 0.*training\.weight_column"):
        row_weights(np.asarray([0, 1]), None, np.zeros(2))
    with pytest.raises(InputError, match="Class 1 has weight 0 in all its rows"):
        row_weights(np.asarray([0, 1]), "balanced", np.asarray([1.0, 0.0]))


@pytest.mark.parametrize("name", LEARNERS)
def test_rows_of_weight_zero_might_as_well_not_be_there(name: str) -> None:
    """Half of the rows say the opposite; with weight 0 they are not believed."""
    project = make_project("binary", weight_column="weight")
    context = make_context(project, 1_200)
    lies = np.arange(1_200) % 2 == 0
    context.train.labels[lies] = 1 - context.train.labels[lies]
    believed = fit_small(name, context)
    object.__setattr__(context.train, "weights", np.where(lies, 0.0, 5.0))
    weighed = fit_small(name, context)
    truth = context.validation.labels
    assert _auc(truth, weighed.validation.probabilities) > 0.8
    assert _auc(truth, weighed.validation.probabilities) > _auc(truth, believed.validation.probabilities) + 0.02


def _auc(labels: Any, shares: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, shares[:, 1]))


@pytest.mark.parametrize("name", LEARNERS)
def test_balanced_classes_make_a_model_find_more_and_calibration_keeps_its_shares_true(name: str) -> None:
    raw = fit_small(name, make_context(make_project("binary", class_weight="balanced", calibration="none")))
    context = make_context(make_project("binary", class_weight="balanced"))
    calibrated = fit_small(name, context)
    plain = fit_small(name, make_context(make_project("binary")))
    assert raw.validation.probabilities is not None
    assert calibrated.validation.probabilities is not None
    assert plain.validation.probabilities is not None
    share = context.validation.labels.mean()
    assert (raw.validation.predictions == 1).sum() > (plain.validation.predictions == 1).sum()
    assert raw.validation.probabilities[:, 1].mean() > plain.validation.probabilities[:, 1].mean() + 0.03
    assert abs(calibrated.validation.probabilities[:, 1].mean() - share) < 0.03
    assert calibrated.notes == ()


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_calibrated_model_answers_the_same_from_its_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, method: str, task: str
) -> None:
    monkeypatch.setattr(weighing, "MIN_ISOTONIC_ROWS", 100)
    context = make_context(make_project(task, calibration=method, class_weight="balanced"), 1_000)
    bundle, result = train_small(name, context, tmp_path)
    assert result.params["calibration"] == method
    columns, _ = make_rows(task, 400, seed=9)
    frame = typed_frame(columns, context.signature.inputs)
    wanted = bundle.pipeline.predict_proba(frame)
    assert np.allclose(wanted.sum(axis=1), 1)
    again = load_bundle(tmp_path)
    np.testing.assert_array_equal(again.pipeline.predict_proba(frame), wanted)
    assert (again.plan is not None) == (method == "sigmoid")
    scorer = Scorer(load_bundle(tmp_path, plan_suffices=True))
    scorer.prove()
    given = np.asarray(scorer.score(columns)["probabilities"])
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-6)


def test_too_few_rows_are_not_calibrated_on_and_it_is_said() -> None:
    few = fit_small("logistic", make_context(make_project("binary", calibration="sigmoid"), 400))
    assert "too few" in few.notes[0]
    some = fit_small("logistic", make_context(make_project("binary", calibration="isotonic"), 1_500))
    assert "too few for isotonic" in some.notes[0]
    assert some.pipeline.named_steps["model"].method == "sigmoid"


def test_a_calibrated_model_was_not_fitted_on_the_newest_rows() -> None:
    context = make_context(make_project("binary", calibration="sigmoid"))
    newest = slice(-300, None)
    before = fit_small("hist_gradient_boosting", context).pipeline.named_steps["model"].estimator_
    context.train.labels[newest] = np.random.default_rng(0).permutation(context.train.labels[newest])
    after = fit_small("hist_gradient_boosting", context).pipeline.named_steps["model"].estimator_
    matrix = np.random.default_rng(1).uniform(0, 5, (50, before.n_features_in_))
    np.testing.assert_array_equal(before.predict_proba(matrix), after.predict_proba(matrix))


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("direction", ["increasing", "decreasing"])
def test_every_candidate_keeps_a_constraint_or_is_left_out(tmp_path: Path, task: str, direction: str) -> None:
    """The truth rises with the dose: told that it falls, trees become flat, and a linear model has no place."""
    context = make_context(make_project(task, monotone={"dose": direction}))
    for name in CANDIDATES[task]:
        if name in ("logistic", "linear") and direction == "decreasing":
            with pytest.raises(LeftOutError, match=r"training\.monotone: its answer is not decreasing in dose"):
                train_small(name, context, tmp_path / name)
            continue
        bundle, _ = train_small(name, context, tmp_path / name)
        column, base = np.linspace(0, 10, 60), make_rows(task, 1, seed=5, missing=0)[0]
        rows = {key: values * 60 for key, values in base.items()} | {"dose": column.tolist()}
        frame = typed_frame(rows, context.signature.inputs)
        answers = bundle.pipeline.predict(frame) if task == "regression" else bundle.pipeline.predict_proba(frame)[:, 1]
        steps = np.diff(answers) * (1 if direction == "increasing" else -1)
        assert steps.min() >= -1e-5, name


def test_without_its_constraint_the_same_model_would_break_it(tmp_path: Path) -> None:
    context = make_context(make_project("binary"))
    pipeline = fit_small("random_forest", context).pipeline

    def answer(frame: Any) -> Any:
        return pipeline.predict_proba(frame)[:, 1]

    assert broken_constraint(answer, context.train.frame, {"dose": "decreasing"}, seed=1)
    assert broken_constraint(answer, context.train.frame, {"gone": "decreasing"}, seed=1) is None


def test_the_weight_is_read_from_the_part_and_never_an_input(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from training.train.data import inputs_of, read_columns, read_rows

    inputs = (SignatureColumn(name="dose", type="number"),)
    table = pa.table({"dose": [1.0, 2.0], "__label": [0, 1], "__event_time": [1, 2], "__weight": [0.5, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read_rows(tmp_path, inputs, "binary")
    assert rows.weights is not None
    assert rows.take([1]).weights.tolist() == [2.0]  # type: ignore[union-attr]
    project = make_project("binary", weight_column="weight")
    assert "weight" not in {column.name for column in inputs_of(project, [*read_columns(tmp_path), "weight"])}
