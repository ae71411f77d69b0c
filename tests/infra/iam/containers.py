"""ECS tasks and image builds: what ECS and CodeBuild do in the name of roles, and what runs inside."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.infra.iam.botocore_model import METHODS, operations
from tests.infra.iam.jobs import repository_of
from tests.infra.iam.needs import ACTIONS, ON_BUCKET, Need
from tests.infra.iam.templates import Assembly, Resource

_PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_PUSH: Final = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
_WRITE_LOG: Final = ("logs:CreateLogStream", "logs:PutLogEvents")
#: ECS developer guide, "Using ECS Exec", and "Logging": the agent's channels, and the log of what was typed.
_EXEC: Final = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "logs:DescribeLogGroups",
)
_EXEC_LOG: Final = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
#: The module of MLflow that keeps artefacts in S3: what the server calls in the name of its task.
_MLFLOW_S3: Final = "mlflow.store.artifact.s3_artifact_repo"


def container_needs(assembly: Assembly) -> dict[str, list[Need]]:
    """Return what the roles of tasks and of builds need."""
    found: defaultdict[str, list[Need]] = defaultdict(list)
    for definition in assembly.of_type("AWS::ECS::TaskDefinition"):
        found[definition.properties["ExecutionRoleArn"]] += _execution(definition, assembly)
        found[definition.properties["TaskRoleArn"]] += _task(definition, assembly)
    for project in assembly.of_type("AWS::CodeBuild::Project"):
        found[project.properties["ServiceRole"]] += _build(project, assembly)
    return found


# ECS


def _execution(definition: Resource, assembly: Assembly) -> Iterator[Need]:
    """What ECS does before the container starts (ECS developer guide, "Task execution IAM role")."""
    for container in definition.properties["ContainerDefinitions"]:
        why = f"ECS starts container {container['Name']} of {definition.logical_id}"
        yield Need("ecr:GetAuthorizationToken", "*", why)
        yield from (Need(action, repository_of(container["Image"], assembly), why) for action in _PULL)
        group = container.get("LogConfiguration", {}).get("Options", {}).get("awslogs-group")
        if group:
            log = assembly.account.arn("logs", f"log-group:{group}:*")
            yield from (Need(action, log, f"{why}: its log") for action in _WRITE_LOG)
        for secret in container.get("Secrets", ()):
            arn = ":".join(secret["ValueFrom"].split(":")[:7])
            yield Need("secretsmanager:GetSecretValue", arn, f"{why}: {secret['Name']}")


def _task(definition: Resource, assembly: Assembly) -> Iterator[Need]:
    arn = assembly.arn_of(definition)
    for service in assembly.of_type("AWS::ECS::Service"):
        if service.properties["TaskDefinition"] == arn and service.properties.get("EnableExecuteCommand"):
            yield from _exec(service, assembly)
    for container in definition.properties["ContainerDefinitions"]:
        command = container.get("Command", [])
        if "--artifacts-destination" in command:
            place = command[command.index("--artifacts-destination") + 1]
            yield from _artifacts(place.removeprefix("s3://"))


def _exec(service: Resource, assembly: Assembly) -> Iterator[Need]:
    why = f"people open a shell in {service.logical_id} (ECS Exec)"
    yield from (Need(action, "*", why) for action in _EXEC)
    for cluster in assembly.of_type("AWS::ECS::Cluster"):
        command = cluster.properties.get("Configuration", {}).get("ExecuteCommandConfiguration", {})
        group = command.get("LogConfiguration", {}).get("CloudWatchLogGroupName")
        if group:
            log = assembly.account.arn("logs", f"log-group:{group}:*")
            yield from (Need(action, log, f"{why}: what was typed") for action in _EXEC_LOG)


def _artifacts(place: str) -> Iterator[Need]:
    bucket = place.partition("/")[0]
    for action in sorted(_mlflow_actions()):
        resource = f"arn:aws:s3:::{bucket}" if action in ON_BUCKET else f"arn:aws:s3:::{place}/any"
        yield Need(action, resource, f"MLflow's server keeps artefacts in S3 ({_MLFLOW_S3})")


def _mlflow_actions() -> set[str]:
    """Return the actions behind the methods of S3's client that the installed MLflow calls."""
    spec = importlib.util.find_spec(_MLFLOW_S3)
    assert spec
    assert spec.origin
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    called = {
        node.func for node in ast.walk(tree) if isinstance(node, ast.Call) if isinstance(node.func, ast.Attribute)
    }
    methods = {call.attr for call in called if "s3_client" in ast.unparse(call.value)} & METHODS
    methods |= {
        f"get_paginator:{node.args[0].value!s}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_paginator"
        if isinstance(node.args[0], ast.Constant)
    }
    # A presigned address does what its operation does; those here are parts of an upload and downloads.
    methods -= {"get_paginator", "generate_presigned_url"}
    found = {f"{item.prefix}:{item.name}" for method in methods for item in operations("s3", method)}
    return {ACTIONS.get(name, name) for name in found}


# CodeBuild


def _build(project: Resource, assembly: Assembly) -> Iterator[Need]:
    """CodeBuild user guide, "Create a service role", and what the commands of the build specification do."""
    properties = project.properties
    why = f"CodeBuild, project {project.logical_id}"
    if properties["Source"]["Type"] == "S3":
        source = f"arn:aws:s3:::{properties['Source']['Location']}"
        yield from (Need(action, source, f"{why}: its source") for action in ("s3:GetObject", "s3:GetObjectVersion"))
    group = properties.get("LogsConfig", {}).get("CloudWatchLogs", {}).get("GroupName")
    if group:
        log = assembly.account.arn("logs", f"log-group:{group}:*")
        yield from (Need(action, log, f"{why}: its log") for action in _WRITE_LOG)
    if properties.get("EncryptionKey"):
        # The same guide, "Encrypt build outputs": whatever a build keeps is encrypted with the project's key.
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            yield Need(action, properties["EncryptionKey"], f"{why}: what it keeps is encrypted")
    commands = list(_commands(json.loads(properties["Source"]["BuildSpec"])))
    if any("aws ecr get-login-password" in command for command in commands):
        yield Need("ecr:GetAuthorizationToken", "*", f"{why}: aws ecr get-login-password")
    if any(command.startswith("docker push") for command in commands):
        image = next(
            item["Value"] for item in properties["Environment"]["EnvironmentVariables"] if item["Name"] == "IMAGE"
        )
        repository = assembly.account.arn("ecr", f"repository/{image.partition('/')[2].partition(':')[0]}")
        # ECR user guide, "IAM permissions for pushing an image".
        yield from (Need(action, repository, f"{why}: docker push") for action in (*_PUSH, *_PULL))


def _commands(specification: dict[str, Any]) -> Iterator[str]:
    for phase in specification["phases"].values():
        yield from phase["commands"]
