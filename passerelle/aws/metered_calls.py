"""What is paid by the call: executions of state machines that ended, and functions that no machine calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client, still_there, translated
from passerelle.aws.metered_endpoints import daily_sums
from passerelle.contracts import tags

#: No execution of ours lasts longer (the time-out of the training pipeline).
_LONGEST: Final = timedelta(days=8)


@dataclass(frozen=True)
class Execution:
    """An execution that ended, and what it was asked."""

    arn: str
    name: str
    start: datetime
    end: datetime
    request: dict[str, Any]


@dataclass(frozen=True)
class FunctionDay:
    """What a function did within a time; `seconds` in all, None where CloudWatch has none."""

    arn: str
    name: str
    architecture: str
    memory_mib: int
    calls: float
    seconds: float | None


def ended_executions(machine_arn: str, start: datetime, end: datetime) -> Iterator[Execution]:
    """Yield the executions of a machine that ended from `start` until before `end`, the newest first.

    Raises TransientError when Step Functions does not answer.
    """
    step_functions = client("stepfunctions")
    with translated(f"executions of {machine_arn}"):
        for page in step_functions.get_paginator("list_executions").paginate(stateMachineArn=machine_arn):
            for item in page["executions"]:
                if item["startDate"] < start - _LONGEST:
                    return
                if "stopDate" in item and start <= item["stopDate"] < end:
                    arn = item["executionArn"]
                    asked = json.loads(step_functions.describe_execution(executionArn=arn).get("input") or "{}")
                    yield Execution(arn, item["name"], item["startDate"], item["stopDate"], asked)


def definition_of(machine_arn: str) -> str:
    """Return the definition of a state machine."""
    with translated(f"state machine {machine_arn}"):
        return str(client("stepfunctions").describe_state_machine(stateMachineArn=machine_arn)["definition"])


def functions_beside(environment: str, definitions: Sequence[str]) -> list[str]:
    """Return the ARNs of an environment's functions that no machine of these definitions calls."""
    with translated(f"functions of {environment}"):
        pages = client("resourcegroupstaggingapi").get_paginator("get_resources")
        found = pages.paginate(
            ResourceTypeFilters=["lambda:function"], TagFilters=[{"Key": tags.ENVIRONMENT, "Values": [environment]}]
        )
        arns = [item["ResourceARN"] for page in found for item in page["ResourceTagMappingList"]]
    called = " ".join(definitions)
    return [arn for arn in arns if f'"{arn}"' not in called and f'"{arn.rpartition(":")[2]}"' not in called]


def function_day(arn: str, start: datetime, end: datetime) -> FunctionDay | None:
    """Return what a function did between two moments, None where nobody called it."""
    name = arn.rpartition(":")[2]
    dimensions = [{"Name": "FunctionName", "Value": name}]
    found = daily_sums("AWS/Lambda", ("Invocations", "Duration"), dimensions, start, end)
    if not found["Invocations"]:
        return None
    with still_there(f"function {name}"):
        about = client("lambda").get_function_configuration(FunctionName=name)
    took = found["Duration"]
    return FunctionDay(
        arn=arn,
        name=name,
        architecture=(about.get("Architectures") or ["x86_64"])[0],
        memory_mib=int(about["MemorySize"]),
        calls=found["Invocations"],
        seconds=None if took is None else took / 1_000,
    )
