"""What templates let other services send: schedules, rules, custom resources; and what cfn-lint would notice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.conftest import ENVIRONMENTS
from tests.infra.requests.deployed import Deployed
from tests.infra.requests.integrations import Integration
from tests.infra.requests.judge import problems

pytestmark = pytest.mark.xdist_group("infra")
Synthesise = Callable[[str], Path]
#: EventBridge Scheduler calls an operation as Step Functions' SDK integrations do (user guide, "Universal targets").
_UNIVERSAL: Final = "arn:aws:scheduler:::"
#: Operations that only read cannot be scheduled (the same page).
_READING: Final = ("get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup",
                   "discover", "validate", "batchget", "batchdescribe", "batchread", "transactget", "adminget",
                   "adminlist", "testmigration", "retrieve", "testconnection", "translatedocument", "isauthorized",
                   "invokemodel")  # fmt: skip
#: CloudFormation's own mapping of AWS::Scheduler::Schedule and AWS::Events::Rule: members of one API call.
_OF_SCHEDULE: Final = ("FlexibleTimeWindow", "KmsKeyArn", "ScheduleExpression", "ScheduleExpressionTimezone", "State")


def scheduled(deployed: Deployed) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for schedule in deployed.of_type("AWS::Scheduler::Schedule"):
        yield schedule.label, schedule.properties


def schedule_problems(properties: Mapping[str, Any]) -> list[str]:
    """Return why Scheduler would refuse a schedule, or the service the call that it makes."""
    request = {name: properties[name] for name in _OF_SCHEDULE if name in properties}
    found = problems("scheduler", "CreateSchedule", {"Name": "n", **request, "Target": properties["Target"]})
    target = properties["Target"]
    if str(target["Arn"]).startswith(_UNIVERSAL):
        call = str(target["Arn"]).removeprefix(_UNIVERSAL)
        integration = Integration.of(f"arn:aws:states:::{call}")
        found += integration.judge(json.loads(target["Input"]), {})[1]
        if integration.operation.lower().startswith(_READING):
            found.append(f"{call} only reads, which Scheduler refuses")
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_schedule_and_the_call_that_it_makes_is_one_that_aws_takes(
    synthesised: Synthesise, environment: str
) -> None:
    found = [
        f"{name}: {text}"
        for name, item in scheduled(Deployed(synthesised(environment)))
        for text in schedule_problems(item)
    ]
    assert not found, "\n".join(found)


def test_working_hours_stop_and_start_the_server_and_its_database(synthesised: Synthesise) -> None:
    targets = [item["Target"]["Arn"] for _, item in scheduled(Deployed(synthesised("dev")))]
    calls = sorted(arn.removeprefix(f"{_UNIVERSAL}aws-sdk:") for arn in targets if arn.startswith(_UNIVERSAL))
    assert calls == ["ecs:updateService", "ecs:updateService", "rds:startDBInstance", "rds:stopDBInstance"]


@pytest.mark.parametrize(
    ("call", "given", "says"),
    [
        ("rds:stopDBInstance", {"DBInstanceIdentifier": "d"}, "write DbInstanceIdentifier"),
        ("rds:stopDBInstance", {}, "Missing required parameter"),
        ("ecs:updateService", {"cluster": "c", "Service": "s"}, "write Cluster"),
        ("ecs:updateService", {"Service": "s", "DesiredCount": "0"}, "Invalid type"),
        ("rds:describeDBInstances", {}, "only reads"),
    ],
)
def test_a_scheduled_call_in_the_wrong_case_or_with_a_wrong_value_is_noticed(
    synthesised: Synthesise, call: str, given: dict[str, Any], says: str
) -> None:
    _, properties = next(scheduled(Deployed(synthesised("dev"))))
    target = {**properties["Target"], "Arn": f"{_UNIVERSAL}aws-sdk:{call}", "Input": json.dumps(given)}
    found = schedule_problems({**properties, "Target": target})
    assert any(says in text for text in found), found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_rule_and_its_targets_are_what_eventbridge_takes(synthesised: Synthesise, environment: str) -> None:
    for rule in Deployed(synthesised(environment)).of_type("AWS::Events::Rule"):
        known = {"Name": "n", "State": rule.properties["State"], "Tags": rule.properties.get("Tags", [])}
        known |= (
            {"EventPattern": json.dumps(rule.properties["EventPattern"])} if "EventPattern" in rule.properties else {}
        )
        assert problems("events", "PutRule", known) == [], rule.label
        targets = rule.properties["Targets"]
        assert problems("events", "PutTargets", {"Rule": "n", "Targets": targets}) == [], rule.label
        for target in targets:
            assert _transformed(target) == [], rule.label


def _transformed(target: Mapping[str, Any]) -> list[str]:
    """An input transformer fills `<name>` from its paths: a name that has none stays empty (EventBridge user guide)."""
    transformer = target.get("InputTransformer")
    if not transformer:
        return []
    template, paths = transformer["InputTemplate"], transformer.get("InputPathsMap", {})
    words = [part.partition(">")[0] for part in template.split("<")[1:]]
    return [word for word in words if word not in paths and not word.startswith("aws.events.")] + [
        name for name in paths if name not in words
    ]


def test_a_transformer_that_fills_in_what_it_does_not_have_is_noticed() -> None:
    transformer = {"InputTemplate": '"<run> <what>"', "InputPathsMap": {"run": "$.detail", "unused": "$.x"}}
    assert _transformed({"InputTransformer": transformer}) == ["what", "unused"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_custom_resources_are_given_texts_as_cloudformation_sends_nothing_else(
    synthesised: Synthesise, environment: str
) -> None:
    deployed = Deployed(synthesised(environment))
    ours = [item for item in deployed.resources if item.type.startswith("Custom::Passerelle")]
    assert ours or environment == "laptop"
    for item in ours:
        assert [value for value in _leaves(dict(item.properties)) if not isinstance(value, str)] == [], item.label


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


# cfn-lint, which covers the resources themselves (test_templates.py runs it over every template)


def _change(template: dict[str, Any], type_: str, change: Callable[[dict[str, Any]], None]) -> None:
    change(next(item["Properties"] for item in template["Resources"].values() if item["Type"] == type_))


MODEL: Final[dict[str, Any]] = {
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/r",
    "PrimaryContainer": {"Image": "i"},
}
CHANGES: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "AWS::RDS::DBInstance": lambda given: given.update(StorageEncrypt=given.pop("StorageEncrypted")),
    "AWS::ECS::Service": lambda given: given.update(LaunchType="FARGAT"),
    "AWS::ECS::TaskDefinition": lambda given: given.update(NetworkMode="awsvpcs"),
    "AWS::StepFunctions::StateMachine": lambda given: given.update(StateMachineType="FAST"),
    "AWS::SageMaker::Model": lambda given: given.update(ExecutionRole=given.pop("ExecutionRoleArn")),
}


def test_cfn_lint_would_notice_a_wrong_property_of_each_kind_of_resource(
    synthesised: Synthesise, tmp_path: Path
) -> None:
    templates = [json.loads(path.read_text()) for path in sorted(synthesised("dev").glob("*.template.json"))]
    templates.append({"Resources": {"Model": {"Type": "AWS::SageMaker::Model", "Properties": dict(MODEL)}}})
    for type_, change in CHANGES.items():
        template = next(
            item for item in templates if any(resource["Type"] == type_ for resource in item["Resources"].values())
        )
        only = {name: item for name, item in template["Resources"].items() if item["Type"] == type_}
        copy = json.loads(json.dumps({**template, "Resources": only, "Outputs": {}}))
        _change(copy, type_, change)
        copy.pop("Outputs")
        (tmp_path / f"{type_.replace('::', '')}.template.json").write_text(json.dumps(copy))
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--format", "json", f"{tmp_path}/*.template.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # E3002 and E3003: properties; E3030: allowed values. References to resources that were left out are other rules.
    noticed = {
        Path(match["Filename"]).name.split(".")[0]
        for match in json.loads(done.stdout)
        if match["Rule"]["Id"] in ("E3002", "E3003", "E3030")
    }
    assert noticed == {type_.replace("::", "") for type_ in CHANGES}
