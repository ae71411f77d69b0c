"""What only some projects bring: a key for entities that are personal, and the log of a serverless endpoint."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.assemblies import assembly
from passerelle.contracts import naming
from passerelle.contracts.prediction import LOGGED
from tests.infra.conftest import ENVIRONMENTS, ROOT
from tests.infra.matters import RULES
from tests.infra.matters.platform import Platform

pytestmark = pytest.mark.xdist_group("infra")
PROJECT = "projects/flights/project.yaml"
GROUP = naming.endpoint_log_group(naming.endpoint_name("prod", "flights"))


@pytest.fixture(scope="module")
def templates() -> dict[str, dict[str, Any]]:
    """Production's, with flights about people and served serverless; cdk-nag's rules hold, or there would be none."""
    document = yaml.safe_load((ROOT / PROJECT).read_text())
    (column,) = (item for item in document["data"]["columns"] if item["name"] == "flight")
    column["sensitivity"] = "personal"
    document["serving"] = {"profile": "serverless", "memory_mb": 2048}
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


def test_only_what_spells_personal_entities_may_read_the_key_and_is_told_where_it_is(
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
    assert len(named) == 4
    assert all(name.startswith(("RecordPredictions", "JoinLabels")) for _, name in named)


def test_the_last_project_that_needs_the_key_can_be_taken_away(templates: dict[str, dict[str, Any]]) -> None:
    # An export that is in use can be neither changed nor removed.
    for template in templates.values():
        exported = json.dumps([item["Value"] for item in template.get("Outputs", {}).values() if "Export" in item])
        assert "EntityHashKey" not in exported


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_where_no_entity_is_personal_no_key_is_paid_for(synthesised: Any, environment: str) -> None:
    assert not _keys(_read(synthesised(environment)))


def _serving(templates: dict[str, dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    (template,) = (item for name, item in templates.items() if "Serving" in name)
    return [resource for resource in template["Resources"].values() if resource["Type"] == type_]


def test_the_log_of_a_serverless_endpoint_is_there_before_sagemaker_would_make_one(
    templates: dict[str, dict[str, Any]],
) -> None:
    named = [item for item in _serving(templates, "AWS::Logs::LogGroup") if "LogGroupName" in item["Properties"]]
    (group,) = (item for item in named if item["Properties"]["LogGroupName"] == GROUP)
    assert "KmsKeyId" in group["Properties"]
    assert group["Properties"]["RetentionInDays"] > 0
    # As `cdk deploy --import-existing-resources` wants it: a plain name, and retained.
    assert group["DeletionPolicy"] == "Retain"


def test_its_lines_with_predictions_and_no_others_go_to_what_records_them(templates: dict[str, dict[str, Any]]) -> None:
    (passing,) = _serving(templates, "AWS::Logs::SubscriptionFilter")
    assert passing["Properties"]["FilterPattern"] == LOGGED
    assert passing["Properties"]["DestinationArn"]["Fn::GetAtt"][0].startswith("RecordPredictionsFunction")
    (allowed,) = (
        item["Properties"]
        for item in _serving(templates, "AWS::Lambda::Permission")
        if item["Properties"]["Principal"] == "logs.amazonaws.com"
    )
    assert allowed["FunctionName"] == passing["Properties"]["DestinationArn"]
    assert fnmatch(f"arn:aws:logs:us-east-1:{allowed['SourceAccount']}:log-group:{GROUP}:*", allowed["SourceArn"])
    assert not fnmatch("arn:aws:logs:us-east-1:1:log-group:/aws/lambda/other:*", allowed["SourceArn"])
    # CloudWatch Logs tries the function when the filter is made.
    assert any("EndpointLogs" in name for name in passing["DependsOn"])


def test_what_matters_holds_for_it_and_lines_that_are_not_delivered_ring(templates: dict[str, dict[str, Any]]) -> None:
    platform = Platform("prod", templates)
    assert {name: found for name, rule in RULES.items() if (found := list(rule(platform)))} == {}
    alarms = [item["Properties"] for item in _serving(templates, "AWS::CloudWatch::Alarm")]
    (alarm,) = (item for item in alarms if item.get("MetricName") == "DeliveryErrors")
    assert alarm["Namespace"] == "AWS/Logs"
    (passing,) = _serving(templates, "AWS::Logs::SubscriptionFilter")
    dimensions = {item["Name"]: item["Value"] for item in alarm["Dimensions"]}
    assert dimensions["LogGroupName"] == passing["Properties"]["LogGroupName"]
    assert dimensions["FilterName"] == passing["Properties"]["FilterName"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_project_that_is_captured_has_no_such_filter(synthesised: Any, environment: str) -> None:
    assert not _serving(_read(synthesised(environment)), "AWS::Logs::SubscriptionFilter")
