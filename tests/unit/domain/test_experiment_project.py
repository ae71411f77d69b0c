"""The A/B test that a project declares is checked when the file is read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from passerelle.domain.project import Project, load_project
from passerelle.errors import ProjectError
from tests.e2e.projects import project_document

MONEY = {"true_positive": 10.0, "false_positive": -2.0, "true_negative": 0.0, "false_negative": 0.0}


def document(task: str, experiment: dict[str, Any], value: dict[str, Any] | None) -> str:
    made = project_document("p-x", task)
    made["serving"] = {"profile": "real-time", "capture_percent": 100, "experiment": {"effect": 0.5} | experiment}
    made["why"]["value"] = value
    made["data"]["columns"].append({"name": "refund", "type": "number", "role": "leakage"})
    made["data"]["columns"].append({"name": "card", "type": "text", "sensitivity": "personal"})
    return yaml.safe_dump(made)


@pytest.mark.parametrize(
    ("task", "experiment", "value", "says"),
    [
        ("binary", {"entity": "visit"}, MONEY, "serving.experiment.entity.0: 'visit' is not among data.columns; did you mean 'visits'?"),
        ("binary", {"entity": "refund"}, MONEY, "'refund' is known only after the prediction"),
        ("binary", {"entity": "card"}, MONEY, "column 'card' is personal, so that records of predictions do not keep it"),
        ("binary", {"entity": "churned"}, MONEY, "'churned' is known only after the prediction"),
        ("binary", {}, None, "serving.experiment.outcome: value needs money in why.value (true_positive"),
        ("binary", {}, {"currency": "EUR"}, "declare it, or use right"),
        ("regression", {}, {"currency": "EUR"}, "per_error_unit"),
        ("regression", {"outcome": "right"}, None, "a regression is never quite right"),
        ("multiclass", {}, MONEY, "of several classes use right"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_remedy(
    task: str, experiment: dict[str, Any], value: dict[str, Any] | None, says: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(document(task, experiment, value), source="p.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("task", "experiment", "value"),
    [
        ("binary", {"percent": 50, "entity": "plan"}, MONEY),
        ("binary", {"outcome": "right"}, None),
        ("multiclass", {"outcome": "right"}, None),
        ("regression", {}, {"per_error_unit": -3.0}),
    ],
)
def test_what_can_be_measured_is_allowed(task: str, experiment: dict[str, Any], value: dict[str, Any] | None) -> None:
    found: Project = load_project(document(task, experiment, value), source="p.yaml")
    assert found.serving.experiment is not None
    assert found.serving.experiment.share == found.serving.experiment.percent / 100
