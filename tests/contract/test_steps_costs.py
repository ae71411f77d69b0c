"""What an execution used is counted from the history that Step Functions really gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from passerelle.aws.execution_usage import usage_of
from tests.laptop_platform import LaptopPlatform, unique
from tests.unit.steps.world import embedded

SLOW = "import time\ndef handler(event, context):\n    time.sleep(0.4)\n    return event\n"
FLAKY = """
from pathlib import Path
class TransientError(Exception):
    pass
def handler(event, context):
    mark = Path(event["mark"])
    if not mark.exists():
        mark.write_text("tried")
        raise TransientError("again")
    return event
"""


@pytest.fixture(autouse=True)
def aws(embedded_aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with embedded(embedded_aws.settings, monkeypatch):
        yield


def _call(function: str, **fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, **fields}


def test_states_retries_and_calls_are_counted_also_of_the_execution_that_was_started(
    embedded_aws: LaptopPlatform, tmp_path: Any
) -> None:
    slow = embedded_aws.create_function(SLOW, MemorySize=512, Architectures=["arm64"])
    flaky = embedded_aws.create_function(FLAKY, MemorySize=1024)
    retry = [{"ErrorEquals": ["TransientError"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    nested = embedded_aws.create_machine({"Inner": _call(slow, End=True)})
    machine = embedded_aws.create_machine(
        {
            "First": _call(slow, Next="Second", Output="{% $states.input %}"),
            "Second": _call(flaky, Retry=retry, Next="Deploy"),
            "Deploy": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Arguments": {"StateMachineArn": nested, "Name": "{% $states.context.Execution.Name %}", "Input": {}},
                "End": True,
            },
        }
    )
    execution = embedded_aws.start(machine, {"mark": str(tmp_path / "mark")}, name=unique("run"))
    assert embedded_aws.finish(execution)["status"] == "SUCCEEDED"
    usage = usage_of(execution)
    assert usage is not None
    assert usage.transitions == 3 + 1 + 1  # three states, one retry, one state of the nested machine
    assert usage.functions is not None
    used = {item.architecture: item for item in usage.functions}
    assert {name: item.calls for name, item in used.items()} == {"arm64": 2, "x86_64": 2}
    assert used["arm64"].gb_seconds >= 2 * 0.4 * 0.5


def test_an_execution_that_is_not_known_has_an_unknown_usage(embedded_aws: LaptopPlatform) -> None:
    machine = embedded_aws.create_machine({"Only": {"Type": "Pass", "End": True}})
    assert usage_of(machine.replace(":stateMachine:", ":execution:") + ":none") is None


def test_functions_that_are_gone_make_their_part_unknown_and_not_the_transitions(embedded_aws: LaptopPlatform) -> None:
    function = embedded_aws.create_function(SLOW)
    machine = embedded_aws.create_machine({"Only": _call(function, End=True)})
    execution = embedded_aws.start(machine)
    embedded_aws.finish(execution)
    embedded_aws.client("lambda").delete_function(FunctionName=function)
    usage = usage_of(execution)
    assert usage is not None
    assert (usage.transitions, usage.functions) == (1, None)
