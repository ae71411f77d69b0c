"""Carry a model here from the environment that trained it: start the state machine, or find it at work."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import translated
from passerelle.aws.deployed import DeployedPlatform
from passerelle.contracts import naming
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.errors import (
    BundleError,
    InputError,
    JobFailedError,
    NotFoundError,
    PasserelleError,
    SettingsError,
    TransientError,
)

POLL_SECONDS: Final = 0.5
_ATTEMPTS: Final = 20
#: What the first step raises on purpose, by the name under which Step Functions tells it.
_KINDS: Final[dict[str, type[PasserelleError]]] = {
    kind.__name__: kind for kind in (BundleError, InputError, NotFoundError, SettingsError, TransientError)
}


@dataclass(frozen=True)
class Carrying:
    """One attempt. `execution_arn` is None where the model is here and served already."""

    run_id: str
    attempt: int
    execution_arn: str | None


def start_carrying(platform: DeployedPlatform, project: str, run_id: str, source: str) -> Carrying:
    """Start carrying a run, find it under way, or find that it was carried before.

    Raises SettingsError when the environment takes models from nobody, InputError when it takes them from another one
    than `source` or trained that run itself.
    """
    machine = _machine(platform, source)
    record = platform.runs_table.get(project, run_id)
    if record and record.origin is None:
        raise InputError(f"Run {run_id} was trained in {platform.environment} itself; there is nothing to carry.")
    if record and record.status == "succeeded":
        return Carrying(run_id, record.attempt, None)
    if record and record.status not in FINAL_STATUSES and record.execution_arn:
        return Carrying(run_id, record.attempt, record.execution_arn)
    first = record.attempt + 1 if record else 1
    for attempt in range(first, first + _ATTEMPTS):
        arn = _start(platform, machine, project, run_id, attempt)
        if arn:
            return Carrying(run_id, attempt, arn)
    raise InputError(
        f"Attempts {first} to {attempt} of carrying run {run_id} all ended at once. `passerelle --env "
        f"{platform.environment} logs lambda import_run` shows why."
    )


def await_record(platform: DeployedPlatform, project: str, carrying: Carrying) -> RunRecord:
    """Return the run's record as soon as the attempt has begun.

    Raises what the first step raised when it ended before that.
    """
    while True:
        record = platform.runs_table.get(project, carrying.run_id)
        if record and record.attempt >= carrying.attempt:
            return record
        if carrying.execution_arn:
            _need_no_failure(platform, carrying.execution_arn)
        time.sleep(POLL_SECONDS)


def _machine(platform: DeployedPlatform, source: str) -> str:
    try:
        taken_from = platform.resource("models-from")
    except SettingsError as error:
        raise SettingsError(
            f"Environment {platform.environment!r} takes models from no other. Write `promotion: {{takes_from: "
            f"{source}}}` into environments/{platform.environment}.yaml and `promotion: {{gives_to: "
            f"[{platform.environment}]}}` into environments/{source}.yaml, and deploy both."
        ) from error
    if taken_from != source:
        raise InputError(f"Environment {platform.environment!r} takes models from {taken_from!r}, not from {source!r}.")
    return platform.resource("import-model")


def _start(platform: DeployedPlatform, machine: str, project: str, run_id: str, attempt: int) -> str | None:
    """Start one attempt, or find it at work; returns None when one of its name has ended."""
    name = naming.execution_name(project, run_id, attempt)
    request = json.dumps({"project": project, "run_id": run_id, "attempt": attempt})
    step_functions = platform.client("stepfunctions")
    with translated(f"carrying run {run_id}"):
        try:
            started = step_functions.start_execution(stateMachineArn=machine, name=name, input=request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise InputError(str(error)) from error
            arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
            return arn if platform.execution_status(arn) == "RUNNING" else None
    return str(started["executionArn"])


def _need_no_failure(platform: DeployedPlatform, arn: str) -> None:
    with translated(f"execution {arn}"):
        found = platform.client("stepfunctions").describe_execution(executionArn=arn)
    if found["status"] not in ("RUNNING", "SUCCEEDED", "PENDING_REDRIVE"):
        raise _as_raised(found.get("error"), found.get("cause") or f"It ended {found['status']}.")


def _as_raised(name: str | None, cause: str) -> PasserelleError:
    """Return the error that a function raised, of its own class where that is one of ours."""
    try:
        document = json.loads(cause)
        cause = document["errorMessage"]
    except (ValueError, KeyError, TypeError):
        pass
    return _KINDS.get(str(name), JobFailedError)(cause)
