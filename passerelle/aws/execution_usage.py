"""What an execution has used: state transitions and function calls, from Step Functions' own history."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import client, still_there

LOG: Final = logging.getLogger(__name__)
_LAMBDA: Final = "lambda"
_ENDS: Final = ("TaskSucceeded", "TaskFailed", "TaskTimedOut", "TaskStartFailed", "TaskSubmitFailed")


@dataclass(frozen=True)
class FunctionUsage:
    """Calls of one function: how many, and GB-seconds by the state machine's clock, which is never less than billed."""

    architecture: str
    calls: int
    gb_seconds: float


@dataclass(frozen=True)
class ExecutionUsage:
    """What was used; `functions` is None when their memory could not be learnt."""

    transitions: int
    functions: tuple[FunctionUsage, ...] | None


def usage_of(arn: str) -> ExecutionUsage | None:
    """Return what an execution and the ones it started have used; None when nobody may say."""
    try:
        return _used(_with_nested(arn))
    except (ClientError, BotoCoreError) as error:
        LOG.warning("what %s has used is not known: %s", arn, error)
        return None


def own_usage_of(arn: str) -> ExecutionUsage:
    """Return what an execution has used by itself, without the ones that it started.

    Raises TransientError when AWS does not answer, NotFoundError when the execution is forgotten.
    """
    with still_there(f"history of {arn}"):
        return _used([_read(arn)])


def _used(executions: Iterable[_Execution]) -> ExecutionUsage:
    transitions, seconds = 0, dict[str, list[float]]()
    for execution in executions:
        counted, calls = _count(execution)
        transitions += counted
        for function, duration in calls:
            seconds.setdefault(function, []).append(duration)
    return ExecutionUsage(transitions, _functions(seconds))


@dataclass(frozen=True)
class _Execution:
    events: list[dict[str, Any]]
    states: dict[str, Any]


def _with_nested(arn: str) -> Iterator[_Execution]:
    """Yield an execution and those that its states started under its own name (with a suffix when redriven)."""
    found = _read(arn)
    yield found
    redrives = sum(event["type"] == "ExecutionRedriven" for event in found.events)
    name = arn.rsplit(":", 1)[1]
    for state in found.states.values():
        if ":states:startExecution" not in state.get("Resource", ""):
            continue
        machine = state["Arguments"]["StateMachineArn"].replace(":stateMachine:", ":execution:")
        for suffix in ("", *(f"-{number}" for number in range(1, redrives + 1))):
            try:
                yield _read(f"{machine}:{name}{suffix}")
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                    raise


def _read(arn: str) -> _Execution:
    step_functions = client("stepfunctions")
    pages = step_functions.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=False)
    events = [event for page in pages for event in page["events"]]
    definition = step_functions.describe_state_machine_for_execution(executionArn=arn)["definition"]
    return _Execution(events, json.loads(definition)["States"])


def _count(execution: _Execution) -> tuple[int, list[tuple[str, float]]]:
    """Return transitions (a retry is one more: Step Functions pricing) and (function, seconds) of every call."""
    transitions, calls = 0, list[tuple[str, float]]()
    state, started, tries = "", None, 0
    for event in execution.events:
        kind = str(event["type"])
        if kind.endswith("StateEntered"):
            state, tries = event["stateEnteredEventDetails"]["name"], 0
            transitions += 1
        elif kind == "TaskScheduled":
            started, tries = event["timestamp"], tries + 1
            transitions += tries > 1
        elif kind in _ENDS and started is not None:
            calls += _call(execution.states.get(state, {}), (event["timestamp"] - started).total_seconds())
            started = None
    if started is not None:  # the call that is asking
        calls += _call(execution.states.get(state, {}), (datetime.now(UTC) - started).total_seconds())
    return transitions, calls


def _call(state: dict[str, Any], seconds: float) -> list[tuple[str, float]]:
    if f":{_LAMBDA}:invoke" not in state.get("Resource", ""):
        return []
    return [(str(state["Arguments"]["FunctionName"]), max(0.0, seconds))]


def _functions(seconds: dict[str, list[float]]) -> tuple[FunctionUsage, ...] | None:
    found = []
    try:
        for function, durations in sorted(seconds.items()):
            about = client(_LAMBDA).get_function_configuration(FunctionName=function)
            gigabytes = float(about["MemorySize"]) / 1024
            architecture = (about.get("Architectures") or ["x86_64"])[0]
            found.append(FunctionUsage(architecture, len(durations), gigabytes * sum(durations)))
    except (ClientError, BotoCoreError) as error:
        LOG.warning("what the functions have used is not known: %s", error)
        return None
    return tuple(found)
