"""Step Functions executions."""

from __future__ import annotations

import json
from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import client

AT_WORK: Final = ("RUNNING", "PENDING_REDRIVE")


def start_once(state_machine_arn: str, name: str, request: dict[str, Any]) -> bool:
    """Start an execution, or find it running; returns False when one of that name has ended.

    Starting one that runs, with the same name and input, succeeds and changes nothing; "already exists" is said of one
    that has ended (Step Functions API reference, StartExecution).
    """
    try:
        client("stepfunctions").start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(request))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return False
    return True


def describe(arn: str) -> dict[str, Any] | None:
    """Return Step Functions' description of an execution, None when it does not exist."""
    try:
        return dict(client("stepfunctions").describe_execution(executionArn=arn))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
            return None
        raise


def console_url(arn: str) -> str:
    """Return where the AWS console shows an execution."""
    region = arn.split(":")[3]
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"


def is_running(arn: str) -> bool:
    """Return whether an execution runs, or is about to go on; one that does not exist does not."""
    found = describe(arn)
    return found is not None and found["status"] in AT_WORK
