"""Bring the tracking database's schema up to date before the new server rolls: servers refuse any other schema."""

from __future__ import annotations

import time
from typing import Final

from passerelle.aws import tasks
from passerelle.aws.custom_resource import Made, Resource
from passerelle.errors import PasserelleError, TransientError

POLL_SECONDS: Final = 5.0
#: The task's log stream is prefix/container/task id (ECS developer guide, "awslogs").
STREAM: Final = "schema/schema"


class SchemaUpgradeError(PasserelleError):
    """The migration failed; the servers that run go on with the schema they know."""


def upgrade_schema(resource: Resource, *, poll_seconds: float = POLL_SECONDS) -> Made:
    """Run the migration task to its end.

    Raises SchemaUpgradeError with the end of its log when it fails: the stack rolls back and the old servers go on.
    """
    wanted = resource.properties
    place = tasks.TaskPlace(
        cluster=wanted["Cluster"],
        task_definition=wanted["TaskDefinition"],
        subnets=wanted["Subnets"],
        security_groups=wanted["SecurityGroups"],
        public_address=wanted["PublicAddress"] == "true",
    )
    task = tasks.run_task(place, token=wanted["Token"])
    state = tasks.describe_task(place.cluster, task)
    while state.status != "STOPPED":
        if time.monotonic() > resource.deadline:
            raise TransientError(f"The migration in task {task} goes on. Deploy again when it has ended.")
        time.sleep(poll_seconds)
        state = tasks.describe_task(place.cluster, task)
    if state.exit_code != 0:
        raise SchemaUpgradeError(
            f"The migration ended with exit code {state.exit_code}: {state.reason} {_log(wanted['LogGroup'], task)} "
            "Running servers go on. Repair, or restore the database to a moment before, and deploy again."
        )
    return Made(f"schema-{wanted['Token']}")


def _log(group: str, task: str) -> str:
    lines = tasks.last_lines(group, f"{STREAM}/{task.rpartition('/')[2]}")
    return f"The end of its log in {group}: {' | '.join(lines)}" if lines else f"It wrote no log to {group}."
