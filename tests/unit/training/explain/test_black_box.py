"""Models that plans do not know: Kernel SHAP, permutation importance, partial dependence, LIME."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.calibrated import CalibratedClassifier
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.explain.dependence import at_part, dependences
from passerelle.domain.explain.importance import permutation_costs
from passerelle.domain.explain.kernel import kernel_shap
from passerelle.domain.explain.lime import lime
from tests.serving import INPUTS, make_bundle, rows_of
from training.bundle import Bundle, write_bundle
from training.explain.explainer import Explainer, model_of


def table(columns: int, rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(rows)
    return pd.DataFrame({f"c{place}": random.normal(size=rows) for place in range(columns)})


def product(frame: pd.DataFrame) -> Any:
    """Return a model with interactions, of the first three columns only."""
    values = frame.to_numpy()
    return (values[:, 0] * values[:, 1] + np.sin(values[:, 2]))[:, None]


def test_with_few_columns_kernel_values_are_those_of_the_package_shap() -> None:
    shap = pytest.importorskip("shap")
    frame, background = table(4, rows=3), table(4, rows=15)
    values, base = kernel_shap(product, frame, background, seed=0)
    exact = shap.explainers.Exact(lambda rows: product(pd.DataFrame(rows))[:, 0], background.to_numpy())
    np.testing.assert_allclose(values[:, :, 0], exact(frame.to_numpy()).values, atol=1e-9)
    np.testing.assert_allclose(base, product(background).mean(axis=0))
    np.testing.assert_allclose(values[:, 3], 0, atol=1e-9)  # not read by the model


def test_with_many_columns_kernel_values_add_up_and_find_the_columns_that_matter() -> None:
    frame, background = table(12, rows=4), table(12, rows=20)
    values, base = kernel_shap(product, frame, background, seed=0)
    np.testing.assert_allclose(base + values.sum(axis=1), product(frame))
    assert np.abs(values[:, 3:]).max() < np.abs(values[:, :3]).max() / 4
    again, _ = kernel_shap(product, frame, background, seed=0)
    assert np.array_equal(values, again)


def calibrated(method: Any, candidate: str, folder: Path) -> Bundle:
    made = make_bundle("binary", folder / "raw", candidate=candidate)
    columns = rows_of(300, seed=8)
    frame = typed_frame(columns, INPUTS)
    late = frame["hour"].to_numpy() + np.random.default_rng(3).normal(0, 6, 300) > 12
    encoder, model = (step for _, step in made.pipeline.steps)
    model = CalibratedClassifier(model, method).fit(encoder.transform(frame), late.astype(np.int8))
    made.pipeline.steps[-1] = ("model", model)
    shares = made.pipeline.predict_proba(frame.head(3))
    example = {**made.example, "probabilities": shares.tolist()}
    parts: dict[str, Any] = {"signature": made.signature, "profile": made.profile, "metadata": made.metadata}
    return write_bundle(folder / "model", pipeline=made.pipeline, example=example, background=frame.head(30), **parts)


@pytest.mark.parametrize(
    ("method", "candidate", "space"),
    [
        ("sigmoid", "logistic", "log-odds"),
        ("isotonic", "logistic", "probability"),
        ("sigmoid", "random_forest", "probability before calibration"),
    ],
)
def test_a_calibrated_model_is_explained_with_its_calibration_or_says_that_it_is_without(
    method: str, candidate: str, space: str, tmp_path: Path
) -> None:
    bundle = calibrated(method, candidate, tmp_path)
    columns = rows_of(4, seed=9)
    found = Explainer(bundle).explain(columns)
    assert found.space == space
    frame = typed_frame(columns, INPUTS)
    answers, totals = model_of(bundle)(frame), found.totals
    if space == "probability before calibration":
        raw = bundle.pipeline.steps[-1][1].estimator_
        answers = raw.predict_proba(bundle.pipeline.steps[0][1].transform(frame))[:, 1:]
    np.testing.assert_allclose(1 / (1 + np.exp(-totals)) if space == "log-odds" else totals, answers, atol=1e-6)


def test_a_pipeline_without_a_plan_is_explained_by_asking_it(tmp_path: Path) -> None:
    made = make_bundle("regression", tmp_path, candidate="linear")
    columns = rows_of(2, seed=4)
    with_plan, without = (Explainer(bundle).explain(columns) for bundle in (made, replace(made, plan=None)))
    assert (with_plan.method, without.method) == ("linear", "kernel")
    # A linear model has one explanation; the two differ by their background rows only.
    np.testing.assert_allclose(with_plan.totals, without.totals)
    moved = with_plan.values[0] - with_plan.values[1], without.values[0] - without.values[1]
    np.testing.assert_allclose(*moved, atol=1e-6)


def test_shuffling_costs_only_where_the_model_looks() -> None:
    frame = table(3, rows=500)
    costs = permutation_costs(
        lambda rows: float(np.mean((rows["c1"] - frame["c1"]) ** 2)),
        frame,
        [str(name) for name in frame],
        seed=1,
        greater_is_better=False,
        repeats=3,
    )
    assert costs.shape == (3, 3)
    assert np.all(costs[1] > 1)
    assert not costs[[0, 2]].any()


def test_dependence_of_a_number_is_that_of_scikit_learn() -> None:
    frame = table(2, rows=200)
    model = DecisionTreeRegressor(random_state=0).fit(frame, frame["c0"] * frame["c1"])
    column = SignatureColumn(name="c0", type="number")
    (ours,) = dependences(lambda rows: model.predict(rows)[:, None], frame, column)
    theirs = partial_dependence(
        model, frame, ["c0"], kind="both", method="brute", custom_values={"c0": np.asarray(ours.grid)}
    )
    assert len(ours.grid) == 20
    np.testing.assert_allclose(ours.mean[:, 0], theirs["average"][0])
    np.testing.assert_allclose(ours.rows[:, :, 0], theirs["individual"][0])


def test_dependence_of_a_category_moves_over_its_most_frequent_levels() -> None:
    frame = pd.DataFrame({"carrier": ["UA"] * 5 + ["AA"] * 3 + [None]}, dtype=object)
    column = SignatureColumn(name="carrier", type="category")

    def united(rows: pd.DataFrame) -> Any:
        return (rows["carrier"] == "UA").to_numpy(dtype=np.float64)[:, None]

    (found,) = dependences(united, frame, column)
    assert found.grid == ("UA", "AA")
    assert found.mean[:, 0].tolist() == [1, 0]
    constant = frame.assign(carrier="UA")
    assert not list(dependences(lambda rows: np.zeros((len(rows), 1)), constant, column))


@pytest.mark.parametrize("part", ["weekday", "hour", "month", "day_of_year"])
def test_a_part_of_a_moment_takes_each_value_of_the_grid(part: str) -> None:
    moments = pd.Series(pd.to_datetime(["2013-01-31 23:30", "2012-02-29 00:00", "2013-12-31 12:15", "NaT"]))
    frame = pd.DataFrame({"at": moments})
    read = {"weekday": "day_of_week", "hour": "hour", "month": "month", "day_of_year": "day_of_year"}[part]
    column = SignatureColumn(name="at", type="datetime")
    seen = []

    def model(rows: pd.DataFrame) -> Any:
        seen.append(getattr(rows["at"].dt, read).to_numpy().reshape(-1, 4)[:, :3])
        return np.zeros((len(rows), 1))

    (found,) = dependences(model, frame, column, (part,))
    assert np.array_equal(seen[0], np.tile(np.asarray(found.grid)[:, None], 3))
    if part == "month":
        assert at_part(moments, part, 2)[0] == pd.Timestamp("2013-02-28 23:30")


def test_lime_finds_the_slopes_of_a_linear_model_as_the_package_lime_does() -> None:
    tabular = pytest.importorskip("lime.lime_tabular")
    frame = table(5, rows=400)
    model = LinearRegression().fit(frame, frame["c0"] * 3 - frame["c1"] * 2 + frame["c2"])
    row = frame.iloc[[7]]
    ours = lime(lambda rows: model.predict(rows)[:, None], row, frame, seed=0, samples=3_000)
    explainer = tabular.LimeTabularExplainer(frame.to_numpy(), mode="regression", random_state=0)
    theirs = explainer.explain_instance(
        row.to_numpy()[0], lambda rows: model.predict(pd.DataFrame(rows, columns=frame.columns)), num_samples=3_000
    )
    weights = dict(theirs.as_map()[1])
    expected = np.asarray([weights.get(place, 0.0) for place in range(5)])
    assert np.corrcoef(ours.weights[:, 0], expected)[0, 1] > 0.98
    assert np.abs(ours.weights[3:, 0]).max() < 0.2
    assert 0 < ours.fit[0] < 1
