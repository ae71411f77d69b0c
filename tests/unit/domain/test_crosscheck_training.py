"""What a project asks of its candidates is checked when the file is read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from passerelle.domain.project import load_project
from passerelle.errors import ProjectError
from tests.e2e.projects import project_document


def told(task: str, training: dict[str, Any], **weight: Any) -> str:
    document = project_document("p-x", task)
    document["training"] |= training
    document["data"]["columns"].append({"name": "w", "type": "number", **weight})
    with pytest.raises(ProjectError) as caught:
        load_project(yaml.safe_dump(document), source="p.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "training", "says"),
    [
        ("binary", {"monotone": {"plan": "increasing"}}, "monotone.plan: column 'plan' is of type category; only a number"),
        ("binary", {"monotone": {"visit": "increasing"}}, "'visit' is no feature; did you mean 'visits'?"),
        ("binary", {"monotone": {"spend": "increasing"}}, "'spend' is no feature"),
        ("binary", {"monotone": {"visits": "up"}}, "monotone.visits: Input should be 'increasing' or 'decreasing'"),
        ("multiclass", {"monotone": {"visits": "increasing"}}, "with several classes there is no one answer"),
        ("binary", {"class_weight": {"yes": 2}}, "class_weight.yes: 'yes' is no class of the label; known: negative, positive"),
        ("binary", {"class_weight": {"positive": -1}}, "greater than 0"),
        ("regression", {"class_weight": "balanced"}, "a regression has no classes"),
        ("binary", {"instance_type": "ml.g5.xlarge"}, "training.instance_type: ml.g5.xlarge has a GPU, which the training"),
        ("binary", {"fallback_instance_types": ["ml.p3.2xlarge"]}, "fallback_instance_types.0: ml.p3.2xlarge has a GPU"),
        ("regression", {"calibration": "isotonic"}, "a regression has no probabilities"),
        ("binary", {"weight_column": "ww"}, "weight_column: 'ww' is not among data.columns; did you mean 'w'?"),
        ("binary", {"weight_column": "plan"}, "is of type category; a weight is a number"),
        ("binary", {"weight_column": "w"}, "declare column 'w' with min: 0"),
        ("binary", {"weight_column": "churned"}, "is the label or the event time"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_remedy(task: str, training: dict[str, Any], says: str) -> None:
    assert says in told(task, training)


def test_a_weight_that_may_be_missing_is_refused() -> None:
    assert "remove nullable" in told("binary", {"weight_column": "w"}, min=0, nullable=True)


def test_only_a_project_that_weighs_its_rows_has_another_contract() -> None:
    document = project_document("p-x", "binary")
    document["data"]["columns"].append({"name": "w", "type": "number", "min": 0, "role": "ignored"})
    plain = load_project(yaml.safe_dump(document), source="p").contract_hash()
    document["training"] |= {"calibration": "sigmoid", "class_weight": "balanced", "monotone": {"age": "increasing"}}
    assert load_project(yaml.safe_dump(document), source="p").contract_hash() == plain
    document["training"]["weight_column"] = "w"
    assert load_project(yaml.safe_dump(document), source="p").contract_hash() != plain


def test_classes_that_yaml_reads_as_numbers_or_truth_values_are_named_as_the_data_names_them() -> None:
    document = project_document("p-x", "multiclass")
    document["training"]["class_weight"] = {7: 2, False: 3}
    assert load_project(yaml.safe_dump(document), source="p").training.class_weight == {"7": 2.0, "false": 3.0}
