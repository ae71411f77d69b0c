"""The key that personal entities are hashed with: made for a project that needs it, and read by one function alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.assemblies import assembly
from tests.infra.conftest import ENVIRONMENTS, ROOT

pytestmark = pytest.mark.xdist_group("infra")
PROJECT = "projects/flights/project.yaml"


@pytest.fixture(scope="module")
def templates() -> dict[str, dict[str, Any]]:
    """Production's, with flights about people; cdk-nag's rules hold, or there would be none."""
    document = yaml.safe_load((ROOT / PROJECT).read_text())
    (column,) = (item for item in document["data"]["columns"] if item["name"] == "flight")
    column["sensitivity"] = "personal"
    return _read(assembly("prod", {PROJECT: yaml.safe_dump(document)}))


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.template.json")}


def _keys(templates: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: resource
        for template in templates.values()
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::SecretsManager::Secret" and name.startswith("EntityHashKey")
    }


def test_the_key_is_random_encrypted_by_the_platforms_key_and_outlives_its_stack(
    templates: dict[str, dict[str, Any]],
) -> None:
    (key,) = _keys(templates).values()
    assert key["Properties"]["GenerateSecretString"]["PasswordLength"] >= 32
    assert "SecretString" not in key["Properties"]
    assert "KmsKeyId" in key["Properties"]
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"


def test_only_what_records_predictions_may_read_the_key_and_is_told_where_it_is(
    templates: dict[str, dict[str, Any]],
) -> None:
    (output,) = (
        name
        for template in templates.values()
        for name, item in template.get("Outputs", {}).items()
        if any(key in json.dumps(item["Value"]) for key in _keys(templates))
    )
    named = {
        (resource["Type"], name)
        for template in templates.values()
        for name, resource in template["Resources"].items()
        if output in json.dumps(resource)
    }
    assert {type_ for type_, _ in named} == {"AWS::IAM::Policy", "AWS::Lambda::Function"}
    assert len(named) == 2
    assert all(name.startswith("RecordPredictions") for _, name in named)


def test_the_last_project_that_needs_the_key_can_be_taken_away(templates: dict[str, dict[str, Any]]) -> None:
    # An export that is in use can be neither changed nor removed.
    for template in templates.values():
        exported = json.dumps([item["Value"] for item in template.get("Outputs", {}).values() if "Export" in item])
        assert "EntityHashKey" not in exported


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_where_no_entity_is_personal_no_key_is_paid_for(synthesised: Any, environment: str) -> None:
    assert not _keys(_read(synthesised(environment)))
