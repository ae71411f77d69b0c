"""All that a project may declare at once, with every candidate: the server and MLflow answer as the fitted pipeline does.

Text labels, texts, moments, missing values, class weights, a weight column, a monotone constraint, calibration.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest

from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.project.metric_names import CANDIDATES, OWN, RULE, complexity
from passerelle.domain.rule import columns_of, parse_rule
from tests.unit.training.fitting import make_context, make_project, make_rows
from tests.unit.training.test_own_model import SOURCE
from tests.unit.training.test_weighing import SMALL
from training.bundle import Bundle, load_bundle
from training.bundle.ensemble import same_answers
from training.bundle.own_code import module_name
from training.serve.app import Application
from training.serve.scorer import Scorer
from training.serve.settings import read_settings
from training.train.candidate import train_candidate, write_artifacts
from training.train.context import Context
from training.train.reduce import with_features

#: What the rule answers: a probability, a class, a number.
ANSWERS = {"binary": ("0.6", "0.1"), "multiclass": ("true", "low"), "regression": ("7.5", "2")}
PAIRS = [(task, name) for task in ANSWERS for name in (*CANDIDATES[task], RULE, OWN)]  # type: ignore[index]
ROWS = 700


def everything(task: str) -> Context:
    """Return what a job reads of a project that declares all it may."""
    high, low = ANSWERS[task]
    training: dict[str, Any] = {
        "model": "model.py",
        "rule": [f"dose >= 6 or plan in ['ü'] and visits < 3 -> {high}", f"otherwise -> {low}"],
        "weight_column": "weight",
        "time_features": ["weekday", "hour"],
    }
    if task != "regression":
        training |= {"class_weight": "balanced", "calibration": "sigmoid"}
    if task != "multiclass":
        training |= {"monotone": {"dose": "increasing"}}
    weights = np.random.default_rng(3).uniform(0.2, 3, ROWS)
    context = make_context(make_project(task, **training), ROWS, weights=weights)
    object.__setattr__(context, "own", SOURCE)
    return context


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_the_server_and_mlflow_answer_as_the_fitted_pipeline(tmp_path: Path, task: str, name: str) -> None:
    context = everything(task)
    seen = with_features(context, columns_of(parse_rule(context.project.training.rule))) if name == RULE else context
    folder, rank = tmp_path / "bundle", complexity(task, name)
    bundle, result, predicted = train_candidate(name, rank, seen, folder, params=SMALL.get(name, {}))
    columns, _ = make_rows(task, 120, seed=9)
    columns = {column.name: columns[column.name] for column in seen.signature.inputs}
    frame = typed_frame(columns, seen.signature.inputs)
    predictions = bundle.pipeline.predict(frame)
    sys.modules.pop(module_name(SOURCE), None)
    document = _served(folder, columns)
    if task == "regression":
        assert same_answers(document["predictions"], predictions)
    else:
        shares = bundle.pipeline.predict_proba(frame)
        np.testing.assert_allclose(document["probabilities"], shares, rtol=1e-5, atol=1e-6)
    if task == "multiclass":
        assert document["predictions"] == predictions.tolist()
        write_artifacts(bundle, result, predicted, seen, tmp_path)
        _assert_told(bundle, tmp_path / result.directory / "model", frame)


def _assert_told(bundle: Bundle, folder: Path, frame: Any) -> None:
    """MLflow's own loader reads the folder that a run logs, and predicts the same."""
    told = mlflow.pyfunc.load_model(str(folder)).predict(frame)
    np.testing.assert_array_equal(np.asarray(told), bundle.pipeline.predict(frame))


def _served(folder: Path, columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Ask the application that a server runs, as a caller would."""
    application = Application(Scorer(load_bundle(folder, plan_suffices=True, project_code=True)), read_settings({}))
    data = [list(row) for row in zip(*columns.values(), strict=True)]
    body = json.dumps({"dataframe_split": {"columns": list(columns), "data": data}}).encode()
    answer = application.answer("POST", "/invocations", body, "application/json", "", "id", None)
    assert answer.status == 200, answer.body
    return dict(json.loads(answer.body))
