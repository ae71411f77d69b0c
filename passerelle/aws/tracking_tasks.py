"""Find the task that serves MLflow, for a session with it."""

from __future__ import annotations

from typing import Any

from passerelle.errors import TransientError


def session_target(ecs: Any, cluster: str, service: str, container: str) -> str:
    """Return the target of a Session Manager session with a container of a running task.

    ecs:<cluster>_<task id>_<runtime id> (ECS developer guide, "Using ECS Exec").

    Raises TransientError when no task runs: out of hours the server is stopped.
    """
    tasks = ecs.list_tasks(cluster=cluster, serviceName=service, desiredStatus="RUNNING")["taskArns"]
    described = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"] if tasks else []
    for task in described:
        for item in task.get("containers", ()):
            if item["name"] == container and item.get("runtimeId") and item.get("lastStatus") == "RUNNING":
                return f"ecs:{cluster}_{task['taskArn'].rpartition('/')[2]}_{item['runtimeId']}"
    raise TransientError(
        "No task of the tracking server runs. Out of the hours in tracking.hours it is stopped; start it with: "
        f"aws ecs update-service --cluster {cluster} --service {service} --desired-count 1"
    )
