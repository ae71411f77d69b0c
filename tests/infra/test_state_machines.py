"""The state machines: every way leads somewhere, every task is tried again, every call is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonata import Jsonata

from tests.infra.conftest import ROOT

FILES = sorted((ROOT / "infra" / "state_machines").glob("*.asl.json"))
Find = Callable[[str, str], dict[str, dict[str, Any]]]


def _targets(state: dict[str, Any]) -> set[str]:
    named = [state.get("Next"), state.get("Default")]
    named += [item["Next"] for key in ("Choices", "Catch") for item in state.get(key, ())]
    return {name for name in named if name}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_state_is_reached_and_every_way_ends(path: Any) -> None:
    machine = json.loads(path.read_text())
    states = machine["States"]
    reached, waiting = set(), {machine["StartAt"]}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= _targets(states[name]) - reached
    assert reached == set(states)
    for name, state in states.items():
        ends = state.get("End") or state["Type"] in ("Succeed", "Fail", "Choice")
        assert ends or state.get("Next"), name


def _deploys(state: dict[str, Any]) -> bool:
    return "${DeployModel}" in json.dumps(state)


def test_no_way_leads_to_a_deployment_but_the_gates_yes() -> None:
    """A deployment is begun only behind a choice for `passed`, after the verdict was read from what evaluate wrote."""
    guarded = []
    for path in FILES:
        states = json.loads(path.read_text())["States"]
        for name in (name for name, state in states.items() if _deploys(state)):
            guarded.append(path.name)
            assert [other for other, state in states.items() if name in _targets(state)] == ["IsModelAccepted"]
            choice = states["IsModelAccepted"]
            assert choice["Choices"] == [{"Condition": "{% $states.input.status = 'passed' %}", "Next": name}]
            assert choice["Default"] == "CloseRun"
            assert [other for other, one in states.items() if "IsModelAccepted" in _targets(one)] == ["RegisterModel"]
    assert guarded == ["import_model.asl.json", "training_pipeline.asl.json"]


def test_only_the_deployment_changes_endpoints_and_it_begins_by_asking_for_the_verdict() -> None:
    changing = re.compile(r":(create|update)(Endpoint|InferenceComponent)$")
    for path in FILES:
        machine = json.loads(path.read_text())
        changes = [name for name, state in machine["States"].items() if changing.search(state.get("Resource", ""))]
        assert bool(changes) == (path.name == "deploy_model.asl.json"), path.name
        if changes:
            assert "${PlanDeployment}" in json.dumps(machine["States"][machine["StartAt"]])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_task_but_a_nested_execution_is_tried_again_with_jitter(path: Any) -> None:
    for name, state in json.loads(path.read_text())["States"].items():
        if state["Type"] != "Task" or "startExecution" in state["Resource"]:
            continue
        assert state["Retry"], name
        assert all(item["JitterStrategy"] == "FULL" and item["MaxDelaySeconds"] for item in state["Retry"]), name
        assert "States.ALL" not in json.dumps(state), name


@pytest.mark.parametrize(
    ("machine", "role"), [("training_pipeline", "TrainingPipelineRole"), ("deploy_model", "DeployModelRole")]
)
def test_the_role_may_do_what_the_states_call(resources: Find, machine: str, role: str) -> None:
    states = json.loads((ROOT / "infra/state_machines" / f"{machine}.asl.json").read_text())["States"]
    called = {
        state["Resource"].split(":")[-1].removesuffix(".sync")
        for state in states.values()
        if ":sagemaker:" in state.get("Resource", "")
    }
    policies = [item for name, item in resources("prod", "AWS::IAM::Policy").items() if role in name]
    granted = {
        action
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    needed = {f"sagemaker:{name[0].upper()}{name[1:]}" for name in called}
    assert needed <= granted
    if any(".sync" in state.get("Resource", "") and ":sagemaker:" in state["Resource"] for state in states.values()):
        assert {"sagemaker:AddTags", "events:PutRule", "events:PutTargets", "events:DescribeRule"} <= granted
        assert "sagemaker:StopProcessingJob" in granted


#: What states may call. A new integration needs its permissions first.
INTEGRATIONS = {
    "lambda:invoke",
    "sagemaker:createProcessingJob.sync",
    "emr-serverless:startJobRun.sync",
    "states:startExecution.sync:2",
    "aws-sdk:sagemaker:createHyperParameterTuningJob",
    "aws-sdk:sagemaker:describeHyperParameterTuningJob",
    "aws-sdk:sagemaker:createTrainingJob",
    "aws-sdk:sagemaker:describeTrainingJob",
    "aws-sdk:sagemaker:stopTrainingJob",
    "aws-sdk:sagemaker:createModel",
    "aws-sdk:sagemaker:createEndpointConfig",
    "aws-sdk:sagemaker:createEndpoint",
    "aws-sdk:sagemaker:updateEndpoint",
    "aws-sdk:sagemaker:describeEndpoint",
    "aws-sdk:sagemaker:createInferenceComponent",
    "aws-sdk:sagemaker:updateInferenceComponent",
    "aws-sdk:sagemaker:describeInferenceComponent",
    "aws-sdk:sfn:startExecution",
    "aws-sdk:cloudwatch:putMetricAlarm",
    "aws-sdk:cloudwatch:describeAlarms",
    "aws-sdk:cloudwatch:deleteAlarms",
    "aws-sdk:applicationautoscaling:registerScalableTarget",
    "aws-sdk:applicationautoscaling:deregisterScalableTarget",
    "aws-sdk:applicationautoscaling:putScalingPolicy",
}


def test_states_call_known_integrations_only() -> None:
    states = [state for path in FILES for state in json.loads(path.read_text())["States"].values()]
    called = {state["Resource"].removeprefix("arn:aws:states:::") for state in states if state["Type"] == "Task"}
    assert called == INTEGRATIONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_placeholder_of_a_definition_is_filled_and_none_is_filled_in_vain(resources: Find, path: Any) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", path.read_text()))
    name = "".join(part.capitalize() for part in path.name.split(".")[0].split("_"))
    machines = resources("prod", "AWS::StepFunctions::StateMachine")
    (machine,) = [item for logical, item in machines.items() if logical.split("/")[1].startswith(f"{name}Machine")]
    assert set(machine["Properties"]["DefinitionSubstitutions"]) == placeholders


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _expressions(item)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_expression_is_closed_and_is_jsonata(path: Any) -> None:
    found = list(_expressions(json.loads(path.read_text().replace("${PollSeconds}", "30"))))
    assert found
    for expression in found:
        assert expression.endswith("%}"), expression
        Jsonata(expression[2:-2].strip())
