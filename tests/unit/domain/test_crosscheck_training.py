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
        ("binary", {"instance_type": "ml.g5.xlarge", "candidates": ["logistic"]}, "training.instance_type: ml.g5.xlarge has a GPU and none of the candidates (logistic) uses it; add xgboost to training.candidates, or choose a type without one"),
        ("binary", {"fallback_instance_types": ["ml.p3.2xlarge"], "candidates": ["logistic"]}, "fallback_instance_types.0: ml.p3.2xlarge has a GPU and none"),
        ("binary", {"instance_type": "ml.p2.xlarge"}, "ml.p2.xlarge has a GPU that training cannot use (its K80 is older than CUDA 12 supports)"),
        ("binary", {"fallback_instance_types": ["ml.p6e-gb200.36xlarge"]}, "its processor is Arm, and the training image is x86-64"),
        ("regression", {"calibration": "isotonic"}, "a regression has no probabilities"),
        ("binary", {"weight_column": "ww"}, "weight_column: 'ww' is not among data.columns; did you mean 'w'?"),
        ("binary", {"weight_column": "plan"}, "is of type category; a weight is a number"),
        ("binary", {"weight_column": "w"}, "declare column 'w' with min: 0"),
        ("binary", {"weight_column": "churned"}, "is the label or the event time"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_remedy(task: str, training: dict[str, Any], says: str) -> None:
    assert says in told(task, training)


@pytest.mark.parametrize(
    "training",
    [
        {"instance_type": "ml.g5.xlarge", "candidates": ["baseline", "xgboost"]},
        {"fallback_instance_types": ["ml.g6.xlarge", "ml.g4dn.12xlarge"], "candidates": ["baseline", "xgboost"]},
        {"instance_type": "ml.p5.4xlarge", "candidates": ["baseline", "logistic"], "model": "model.py"},
    ],
)
def test_a_gpu_is_allowed_where_a_candidate_may_use_it(training: dict[str, Any]) -> None:
    document = project_document("p-x", "binary")
    document["training"] |= training
    assert load_project(yaml.safe_dump(document), source="p.yaml").training.may_use_gpu


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
