"""The state machines: every way leads somewhere, every task is tried again, every call is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

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
