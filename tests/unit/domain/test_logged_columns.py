"""The server of a serverless endpoint is told to log predictions, and which columns beside the model's; no other is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from passerelle.contracts.prediction import LOG_VARIABLE
from passerelle.domain.project import load_project
from passerelle.domain.requests.hosting import HostingPlace, deployment
from tests.e2e.projects import project_document
from training.serve.settings import read_settings

PLACE = HostingPlace(environment="laptop", zones={"predictions": "p"}, image_uri="i", role_arn="r", kms_key_arn="k")
SERVERLESS = {"profile": "serverless", "memory_mb": 2048}
REAL_TIME = {"profile": "real-time", "capture_percent": 100}


def _environment(serving: dict[str, Any], *extra: dict[str, Any], personal: tuple[str, ...] = ()) -> dict[str, str]:
    document = project_document("task-binary", "binary", serving=serving)
    document["data"]["columns"] += extra
    for column in document["data"]["columns"]:
        if column["name"] in personal:
            column["sensitivity"] = "personal"
    project = load_project(yaml.safe_dump(document), source="test")
    made = deployment(PLACE, project, run_id="r1", attempt=1, model_data_url="s3://m", model_version="1")
    environment: dict[str, str] = made.model["PrimaryContainer"]["Environment"]
    return environment


def test_the_entity_comes_first_then_what_no_model_sees_and_the_server_reads_it() -> None:
    logged = read_settings(_environment(SERVERLESS)).logged_columns
    assert logged is not None
    assert logged[:2] == ("customer", "seen_at")
    # No label, nothing that leaks.
    assert set(logged) == {"customer", "seen_at", "plan", "visits", "age"}


def test_no_personal_column_is_logged_not_even_the_entity() -> None:
    logged = read_settings(_environment(SERVERLESS, personal=("customer", "age"))).logged_columns
    assert logged is not None
    assert set(logged) == {"seen_at", "plan", "visits"}


@pytest.mark.parametrize("serving", [REAL_TIME, {**REAL_TIME, "capture_percent": 0}])
def test_an_endpoint_that_sagemaker_can_capture_logs_no_values(serving: dict[str, Any]) -> None:
    assert read_settings(_environment(serving)).logged_columns is None


def test_of_very_many_columns_as_many_are_named_as_one_variable_holds() -> None:
    many = [{"name": f"a_rather_long_name_{number:03}", "type": "number", "nullable": True} for number in range(200)]
    value = _environment(SERVERLESS, *many)[LOG_VARIABLE]
    assert 950 < len(value) <= 1_024  # API reference, ContainerDefinition
    assert json.loads(value)[0] == "customer"
