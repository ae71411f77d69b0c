"""Executions of the deploy state machine that a person starts, for a model that exists already."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import MISSING_CODES, is_transient
from passerelle.contracts.zones import s3_uri
from passerelle.errors import InputError, JobFailedError, NotFoundError, SettingsError, TransientError

POLL_SECONDS: Final = 0.5
#: Storage classes whose objects are read only after hours (S3 user guide, "Understanding archived objects").
_ARCHIVES: Final = ("GLACIER", "DEEP_ARCHIVE")
#: A name that another deployment of the same second has: StartExecution wants another one then.
_NAMES: Final = 10
#: Between two states lie no more events than these.
_EVENTS: Final = 25


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment at work; `request` is what the state machine got."""

    execution_arn: str
    request: dict[str, Any]


def start_deployment(step_functions: Any, machine_arn: str, request: dict[str, Any]) -> Deployment:
    """Start the deploy state machine. It makes what is missing and changes nothing that is as it should be."""
    base = f"{request['project']}-{request['run_id']}-{request['attempt']}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    with_errors = _Translated("the deployment of a model")
    for number in range(_NAMES):
        name = f"{base}-{number}" if number else base
        try:
            with with_errors:
                answer = step_functions.start_execution(
                    stateMachineArn=machine_arn, name=name, input=json.dumps(request)
                )
            return Deployment(execution_arn=str(answer["executionArn"]), request=request)
        except _TakenError:
            continue
    raise TransientError(f"{_NAMES} deployments of {request['project']} were started within one second. Try again.")


def need_no_deployment(step_functions: Any, machine_arn: str, project: str) -> None:
    """Refuse to begin while another deployment of the project is at work: of two, the later one would win by chance.

    Raises TransientError naming it, and how it is ended where it must not be waited for.
    """
    with _Translated("the deployments at work"):
        pages = step_functions.get_paginator("list_executions").paginate(
            stateMachineArn=machine_arn, statusFilter="RUNNING"
        )
        running = [item for page in pages for item in page["executions"]]
    arns = [item["executionArn"] for item in running if re.match(rf"{re.escape(project)}-r\d{{14}}-", item["name"])]
    if arns:
        raise TransientError(
            f"A deployment of {project} is at work: {arns[0]}. Wait for it; or, where what is live must not wait for "
            f"its shadow or its steps, end it with `aws stepfunctions stop-execution --execution-arn {arns[0]}` and "
            "try again."
        )


def need_bundle(s3: Any, bucket: str, key: str) -> None:
    """Refuse a version whose bundle no server could load, before anything changes.

    Raises NotFoundError for one that is gone, InputError for one that lies in an archive of S3.
    """
    uri = s3_uri(bucket, key)
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_transient(error):
            raise TransientError(f"{uri}: {error}. Try again in a while.") from error
        if error.response["Error"]["Code"] not in MISSING_CODES:
            raise SettingsError(
                f"{uri}: S3 refuses to say whether it is there: {error}. Your role needs s3:GetObject on it; without "
                "s3:ListBucket, S3 answers so for what is gone, too."
            ) from error
        raise NotFoundError(
            f"The bundle {uri} is gone, so its version cannot be served. An earlier version of the object can be "
            "brought back (docs/recovery.md); else name another version of the model."
        ) from error
    except BotoCoreError as error:
        raise TransientError(f"{uri}: S3 does not answer: {error}") from error
    if found.get("StorageClass") in _ARCHIVES and 'ongoing-request="false"' not in found.get("Restore", ""):
        raise InputError(
            f"The bundle {uri} lies in {found['StorageClass']}, which no server reads. "
            f"`aws s3api restore-object --bucket {bucket} --key {key} --restore-request Days=7` fetches it, in hours; "
            "else name another version of the model."
        )


def await_deployment(step_functions: Any, started: Deployment, progress: Callable[[str], None]) -> None:
    """Wait until the endpoint serves the version; `progress` gets the state that the execution is in.

    Raises JobFailedError with the state machine's reason when it does not come to that.
    """
    while True:
        with _Translated("the deployment of a model"):
            found = step_functions.describe_execution(executionArn=started.execution_arn)
        not_served = f"Version {started.request['model_version']} of {started.request['project']} is not served"
        if found["status"] == "SUCCEEDED":
            ended = json.loads(found.get("output") or "{}")
            if ended.get("status") == "refused":
                raise JobFailedError(
                    f"{not_served}: after its shadow, {ended['verdict']}. The champion goes on serving."
                )
            return
        if found["status"] not in ("RUNNING", "PENDING_REDRIVE"):
            raise JobFailedError(
                f"{not_served}: its deployment {found['status'].lower()}: {found.get('error', '')} "
                f"{found.get('cause', '')}".rstrip()
            )
        progress(_state(step_functions, started.execution_arn))
        time.sleep(POLL_SECONDS)


def _state(step_functions: Any, execution_arn: str) -> str:
    """Return the state that was entered last, empty when that is not told: waiting goes on without it."""
    try:
        found = step_functions.get_execution_history(
            executionArn=execution_arn, reverseOrder=True, maxResults=_EVENTS, includeExecutionData=False
        )
    except (BotoCoreError, ClientError):
        return ""
    entered = (event["stateEnteredEventDetails"] for event in found["events"] if "stateEnteredEventDetails" in event)
    return next((str(details["name"]) for details in entered), "")


class _TakenError(Exception):
    """An execution has that name already."""


class _Translated:
    """botocore's errors become ours; a name that is taken is told apart."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, BotoCoreError):
            raise TransientError(f"{self._what}: Step Functions does not answer: {error}") from error
        if isinstance(error, ClientError):
            if error.response["Error"]["Code"] == "ExecutionAlreadyExists":
                raise _TakenError from error
            if is_transient(error):
                raise TransientError(f"{self._what}: {error}. Try again in a while.") from error
            raise SettingsError(f"{self._what}: Step Functions refuses: {error}") from error
