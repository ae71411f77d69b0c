"""One-shot Fargate tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated
from passerelle.errors import TransientError


@dataclass(frozen=True)
class TaskPlace:
    """Where and as what a task runs."""

    cluster: str
    task_definition: str
    subnets: Sequence[str]
    security_groups: Sequence[str]
    public_address: bool


@dataclass(frozen=True)
class TaskState:
    """PENDING … RUNNING … STOPPED; the container's exit code once known, and why the task stopped."""

    status: str
    exit_code: int | None
    reason: str


def run_task(place: TaskPlace, *, token: str) -> str:
    """Start a task and return its ARN; the same token starts no second one.

    Raises TransientError when Fargate has no capacity now.
    """
    network = {
        "subnets": list(place.subnets),
        "securityGroups": list(place.security_groups),
        "assignPublicIp": "ENABLED" if place.public_address else "DISABLED",
    }
    with translated(f"task {place.task_definition}"):
        answer = client("ecs").run_task(
            cluster=place.cluster,
            taskDefinition=place.task_definition,
            launchType="FARGATE",
            count=1,
            clientToken=token,
            networkConfiguration={"awsvpcConfiguration": network},
        )
    if answer["failures"]:
        reasons = "; ".join(f"{item.get('reason')} {item.get('detail', '')}".strip() for item in answer["failures"])
        raise TransientError(f"ECS did not start {place.task_definition}: {reasons}")
    return str(answer["tasks"][0]["taskArn"])


def describe_task(cluster: str, task: str) -> TaskState:
    """Return how a task goes."""
    with translated(f"task {task}"):
        found: list[dict[str, Any]] = client("ecs").describe_tasks(cluster=cluster, tasks=[task])["tasks"]
    if not found:
        return TaskState("STOPPED", None, "the task is gone")
    containers = found[0].get("containers", ())
    codes = [item["exitCode"] for item in containers if item.get("exitCode") is not None]
    words = [found[0].get("stoppedReason", ""), *(item.get("reason", "") for item in containers)]
    return TaskState(found[0]["lastStatus"], max(codes, default=None), " ".join(word for word in words if word))


def last_lines(log_group: str, stream: str, *, limit: int = 15) -> list[str]:
    """Return the end of a task's log; a task that never started has none."""
    with translated(f"log {log_group} {stream}"):
        try:
            events = client("logs").get_log_events(
                logGroupName=log_group, logStreamName=stream, limit=limit, startFromHead=False
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            raise
    return [str(event["message"]) for event in events["events"]]
