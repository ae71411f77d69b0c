"""Contributions add up to what the pipeline answers, and are those of the reference implementations."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from passerelle.contracts.bundle import TaskType
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.explain.contributions import Contributions, answered
from passerelle.domain.project.metric_names import CANDIDATES
from tests.serving import INPUTS, NAMES, make_bundle, rows_of
from training.bundle import Bundle
from training.explain.explainer import Explainer, model_of

TASKS: tuple[TaskType, ...] = ("binary", "multiclass", "regression")
PAIRS = [(task, name) for task in TASKS for name in CANDIDATES[task]]
SMALL: dict[str, dict[str, int]] = {
    "random_forest": {"n_estimators": 10, "min_samples_leaf": 5},
    "hist_gradient_boosting": {"max_iter": 12},
    "xgboost": {"n_estimators": 20},
}
_BUNDLES: dict[tuple[str, str], tuple[Bundle, Explainer]] = {}


def explained(task: TaskType, candidate: str, folder: Path) -> tuple[Bundle, Explainer]:
    """Return a bundle and its explainer, fitted once for all tests of this file."""
    if (task, candidate) not in _BUNDLES:
        bundle = make_bundle(task, folder / f"{task}-{candidate}", candidate=candidate, params=SMALL.get(candidate, {}))
        _BUNDLES[task, candidate] = bundle, Explainer(bundle)
    return _BUNDLES[task, candidate]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


def assert_adds_up(found: Contributions, answers: Any) -> None:
    """Compare what the contributions add up to, turned into answers, with the pipeline's own."""
    totals = found.totals
    if found.space == "log-odds":
        totals = 1 / (1 + np.exp(-totals))
    elif found.space == "score":
        powers = np.exp(totals - totals.max(axis=1, keepdims=True))
        totals = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(totals, answers, rtol=1e-5, atol=1e-6)


ROWS = st.lists(
    st.tuples(
        st.integers(-5, 40),
        st.floats(-1e3, 2e4, width=32),
        st.none() | st.floats(-50, 90, width=32),
        st.booleans(),
        st.sampled_from(["UA", "AA", "DL", "B6", "never seen"]),
        st.none() | st.sampled_from(["N1", "N2", "N14228"]),
        st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z"),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize(("task", "candidate"), PAIRS)
@given(rows=ROWS)
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_base_and_contributions_add_up_to_what_the_pipeline_answers(
    folder: Path, task: TaskType, candidate: str, rows: list[tuple[Any, ...]]
) -> None:
    bundle, explainer = explained(task, candidate, folder)
    columns = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))
    found = explainer.explain(columns)
    assert found.columns == tuple(NAMES)
    assert found.values.shape == (len(rows), len(NAMES), len(explainer.outputs))
    assert_adds_up(found, model_of(bundle)(typed_frame(columns, INPUTS)))


@pytest.mark.parametrize("task", TASKS)
def test_boosted_trees_are_explained_as_xgboost_explains_them(folder: Path, task: TaskType) -> None:
    from xgboost import DMatrix

    bundle, explainer = explained(task, "xgboost", folder)
    columns = rows_of(30, seed=4)
    model = bundle.pipeline.steps[-1][1]
    booster = getattr(model, "estimator_", model).get_booster()
    encoded = bundle.pipeline.steps[0][1].transform(typed_frame(columns, INPUTS))
    theirs = booster.predict(DMatrix(encoded), pred_contribs=True).reshape(30, len(explainer.outputs), -1)
    ours = explainer.explain(columns)
    np.testing.assert_allclose(ours.base, theirs[0, :, -1], atol=1e-4)
    # The encoder puts numbers first, then texts, then the parts of the datetime.
    by_column = [theirs[:, :, place] for place in range(6)] + [theirs[:, :, 6] + theirs[:, :, 7]]
    np.testing.assert_allclose(ours.values, np.stack(by_column, axis=1), atol=1e-4)


@pytest.mark.parametrize("candidate", ["hist_gradient_boosting", "random_forest"])
@pytest.mark.parametrize("task", TASKS)
def test_trees_of_scikit_learn_are_explained_as_the_package_shap_explains_them(
    folder: Path, task: TaskType, candidate: str
) -> None:
    shap = pytest.importorskip("shap")
    bundle, explainer = explained(task, candidate, folder)
    columns = rows_of(10, seed=5)
    encoded = bundle.pipeline.steps[0][1].transform(typed_frame(columns, INPUTS))
    theirs = shap.TreeExplainer(bundle.pipeline.steps[-1][1], feature_perturbation="tree_path_dependent")
    values = np.asarray(theirs.shap_values(encoded)).reshape(10, 8, -1)
    values = values[:, :, 1:] if values.shape[2] == 2 else values
    by_column = np.concatenate([values[:, :6], values[:, 6:].sum(axis=1, keepdims=True)], axis=1)
    np.testing.assert_allclose(explainer.explain(columns).values, by_column, atol=1e-9)


def test_a_linear_model_is_explained_by_its_coefficients(folder: Path) -> None:
    bundle, explainer = explained("regression", "linear", folder)
    columns = rows_of(3, seed=6)
    moved = columns | {"distance": [value + 100 for value in columns["distance"]]}
    encoder, model = bundle.pipeline.steps[0][1], bundle.pipeline.steps[-1][1]
    slope = model.coef_[1] / encoder.named_transformers_["numbers"][-1].scale_[1]
    change = explainer.explain(moved).values - explainer.explain(columns).values
    np.testing.assert_allclose(change[:, 1, 0], 100 * slope)
    np.testing.assert_allclose(np.delete(change, 1, axis=1), 0, atol=1e-12)


def test_a_column_that_the_model_does_not_read_contributes_nothing(folder: Path) -> None:
    _, explainer = explained("binary", "baseline", folder)
    found = explainer.explain(rows_of(4))
    assert found.space == "probability"
    assert not found.values.any()
    assert answered(np.asarray([[0.5, 0.5]]))[0] == pytest.approx(found.base)
