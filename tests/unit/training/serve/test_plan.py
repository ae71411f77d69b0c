"""A plan answers as the pipeline that it was made of does, for every candidate and every task; or there is none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline

from passerelle.contracts.bundle import BundleSignature, TaskType
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.project.metric_names import CANDIDATES
from passerelle.errors import BundleError
from tests.serving import INPUTS, NAMES, make_bundle, rows_of
from training.bundle.compile import NoPlanError, compile_plan
from training.bundle.ensemble import same_answers
from training.bundle.plan import read_plan, write_plan
from training.bundle.prove import Holdout, prove_plan
from training.serve.inputs import check_inputs
from training.serve.request import Table

ROWS = 2_500
TASKS: tuple[TaskType, ...] = ("binary", "multiclass", "regression")


def unknown_rows() -> dict[str, list[Any]]:
    """Return rows that no model was fitted on, with missing cells, unseen levels and numbers far out."""
    columns, _ = check_inputs(Table(rows_of(ROWS, seed=99), ROWS), INPUTS, frozenset(("",)))
    for row in range(0, ROWS, 7):
        columns["tailnum"][row] = "never seen"
        columns["distance"][row] = (-1e30, 1e30, 0.0)[row % 3]
    columns["time_hour"][0], columns["time_hour"][1] = "2012-12-31T23:30:00-05:00", "2016-12-31"
    return columns


@pytest.mark.parametrize("task", TASKS)
def test_every_candidate_has_a_plan_that_answers_as_its_pipeline(task: TaskType, tmp_path: Path) -> None:
    columns = unknown_rows()
    frame = typed_frame(columns, INPUTS)
    for candidate in CANDIDATES[task]:
        bundle = make_bundle(task, tmp_path / candidate, candidate=candidate)
        assert bundle.plan is not None, candidate
        wanted = bundle.pipeline.predict(frame) if task == "regression" else bundle.pipeline.predict_proba(frame)
        given = bundle.plan.answer(columns, ROWS)
        assert same_answers(given, wanted), candidate
        one = {name: values[:1] for name, values in columns.items()}
        assert same_answers(bundle.plan.answer(one, 1), wanted[:1]), candidate
        if task != "regression":
            assert bundle.plan.classes.tolist() == bundle.pipeline.classes_.tolist()


def fitted(model: Any) -> Any:
    """Return a pipeline of the platform's encoder and a model of somebody else's."""
    columns = rows_of(300)
    frame = typed_frame(columns, INPUTS)
    own = make_candidate("random_forest", task="binary", inputs=INPUTS, time_parts=(), seed=1, threads=1)
    return Pipeline([("encode", own.steps[0][1]), ("model", model)]).fit(frame, frame["hour"] > 12)


def test_a_model_that_plans_do_not_know_has_none() -> None:
    pipeline = fitted(ExtraTreesClassifier(5, random_state=0))
    with pytest.raises(NoPlanError, match="ExtraTreesClassifier has no plan"):
        compile_plan(pipeline, classes=pipeline.classes_)


def test_a_plan_that_answers_otherwise_than_its_pipeline_is_not_shipped() -> None:
    columns = rows_of(3)
    example = {
        "dataframe_split": {"columns": NAMES, "data": [list(row) for row in zip(*columns.values(), strict=True)]}
    }
    signature = BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"))
    own = make_candidate("random_forest", task="binary", inputs=INPUTS, time_parts=(), seed=1, threads=1)
    frame = typed_frame(rows_of(300), INPUTS)
    pipeline = own.fit(frame, frame["hour"] > 12)
    answers = pipeline.predict_proba(frame)
    plan, found = prove_plan(pipeline, signature, example, Holdout(frame, answers))
    assert plan is not None
    assert (found.used, found.rows) == (True, 300)
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-6
    answers[299] = answers[299][::-1] + 0.001
    plan, found = prove_plan(pipeline, signature, example, Holdout(frame, answers))
    assert plan is None
    assert re.fullmatch(
        r"the plan differs from the pipeline by up to \S+ on rows 0 to 299 of the holdout", found.reason
    )
    shares = pipeline.predict_proba
    pipeline.predict_proba = lambda frame: np.sqrt(shares(frame))
    assert "rows that were made odd" in prove_plan(pipeline, signature, example, None)[1].reason


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", np.lib.format.magic(1, 0)])
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"plan\.npz"):
        read_plan(content)


def test_a_plan_with_a_pickle_inside_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle("binary", tmp_path, candidate="baseline")
    assert bundle.plan is not None
    arrays = {**bundle.plan.arrays, "value": np.asarray([{"a": 1}], dtype=object)}
    with (tmp_path / "evil.npz").open("wb") as file:
        np.savez(file, description=np.frombuffer(b"{}", dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="cannot be read"):
        read_plan((tmp_path / "evil.npz").read_bytes())


def test_a_plan_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    bundle = make_bundle("multiclass", tmp_path, candidate="xgboost")
    assert bundle.plan is not None
    again = read_plan(write_plan(bundle.plan.description, bundle.plan.arrays))
    columns = unknown_rows()
    assert np.array_equal(again.answer(columns, ROWS), bundle.plan.answer(columns, ROWS))
