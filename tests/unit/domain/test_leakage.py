"""What leaks is warned of, what is merely good is not; what the contract hides reaches no model, whatever it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.domain.dataset.schema import signature_columns
from passerelle.domain.project import load_project
from passerelle.errors import ProjectError
from tests.e2e.projects import project_document
from tests.unit.training.fitting import make_context, make_project
from training.train import leakage as module
from training.train.context import Context
from training.train.kept import Kept
from training.train.leakage import leakage_warnings, suspected_leakage


def leaking(task: str, column: str) -> Context:
    """Return rows whose column says what the label will be, each tenth of them missing."""
    context = make_context(make_project(task), 900)
    for rows in (context.train, context.validation):
        labels = rows.labels
        if column == "plan":
            rows.frame[column] = np.asarray([f"after {label}" for label in labels], dtype=object)
        elif task == "regression":
            rows.frame[column] = -3.0 * labels.astype(float) + 7
        else:
            codes = np.unique(labels, return_inverse=True)[1]
            rows.frame[column] = np.asarray([5.0, 1.0, 3.0])[codes] + np.random.default_rng(0).uniform(
                0, 0.5, len(codes)
            )
    return context


@pytest.mark.parametrize(
    ("task", "column"),
    [("binary", "dose"), ("binary", "plan"), ("multiclass", "dose"), ("multiclass", "plan"), ("regression", "dose")],
)
def test_a_feature_that_knows_the_label_is_warned_of_by_name(
    task: str, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (warning,) = suspected_leakage(leaking(task, column))
    assert (warning.code, warning.severity, warning.column) == ("suspected_leakage", "warning", column)
    assert "alone tells 'label'" in warning.message
    assert "role: leakage" in warning.remedy
    assert '"event": "suspected_leakage"' in capsys.readouterr().out


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_good_feature_is_not_suspected(task: str) -> None:
    """The dose reaches a ROC AUC of 0.9."""
    assert suspected_leakage(make_context(make_project(task), 900)) == ()


def test_a_column_that_is_empty_or_constant_is_not_suspected_and_breaks_nothing() -> None:
    context = make_context(make_project("binary"), 300)
    for rows in (context.train, context.validation):
        rows.frame["dose"] = np.nan
        rows.frame["visits"] = 1.0
        rows.frame["plan"] = np.asarray([None] * len(rows.labels), dtype=object)
    assert suspected_leakage(context) == ()


COLUMN = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["integer", "number", "boolean", "category", "text", "datetime"]),
        "role": st.sampled_from(["feature", "ignored", "leakage"]),
        "sensitivity": st.sampled_from(["none", "personal", "sensitive"]),
        "nullable": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(COLUMN, max_size=6),
    st.sampled_from(["binary", "multiclass", "regression"]),
    st.booleans(),
    st.sampled_from([[], ["weekday"], ["hour", "month"]]),
    st.sets(st.sampled_from(["c0", "c1", "plan", "customer"])),
)
def test_whatever_the_contract_says_no_model_sees_what_it_hides(
    columns: list[dict[str, Any]], task: str, weighed: bool, times: list[str], dropped: set[str]
) -> None:
    document = project_document("p-x", task)
    document["data"]["columns"] += [{"name": f"c{place}", **column} for place, column in enumerate(columns)]
    document["data"]["columns"].append({"name": "w", "type": "number", "min": 0})
    document["training"] |= {"time_features": times} | ({"weight_column": "w"} if weighed else {})
    try:
        project = load_project(yaml.safe_dump(document), source="p")
    except ProjectError:
        return
    seen = {column.name for column in signature_columns(project, frozenset(dropped))}
    hidden = {c.name for c in project.data.columns if c.role != "feature" or c.sensitivity == "personal"}
    hidden |= {project.data.label.column, *({"w"} if weighed else ()), *dropped}
    assert not seen & hidden
    assert (project.data.event_time in seen) == bool(times)
    if times:  # the moment itself is no number: an encoder makes the declared parts of it
        assert project.training.time_features == tuple(times)


def test_an_attempt_that_follows_takes_the_warnings_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, kept = leaking("binary", "dose"), Kept(tmp_path / "leakage.json", "k", "The search for leakage")
    first = leakage_warnings(context, kept)
    assert len(first) == 1
    monkeypatch.delattr(module, "single_feature_scores")
    assert leakage_warnings(context, kept) == first
