"""The only way to make a Lambda function: its code, settings, role, log group, alarms."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aws_cdk import (
    Duration,
    RemovalPolicy,
    Size,
    aws_ec2,
    aws_iam,
    aws_kms,
    aws_lambda,
    aws_logs,
    aws_sqs,
)
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.constructs.alarm import AlertTopic, alarm
from infra.source import ROOT
from passerelle.errors import SettingsError
from passerelle.settings import FunctionSettings

BUILD: Final = ROOT / ".build"
RUNTIME: Final = aws_lambda.Runtime.PYTHON_3_12
_RETENTION: Final = {
    7: aws_logs.RetentionDays.ONE_WEEK,
    14: aws_logs.RetentionDays.TWO_WEEKS,
    30: aws_logs.RetentionDays.ONE_MONTH,
    60: aws_logs.RetentionDays.TWO_MONTHS,
    90: aws_logs.RetentionDays.THREE_MONTHS,
    180: aws_logs.RetentionDays.SIX_MONTHS,
    365: aws_logs.RetentionDays.ONE_YEAR,
    731: aws_logs.RetentionDays.TWO_YEARS,
}


#: What a function in a VPC needs (Lambda developer guide, "Giving functions access to resources in a VPC").
NETWORK_ACTIONS: Final = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]


#: Alarm -> what it means, and what to do.
_TO_DO: Final = {
    "Errors": "the function raised. Read ERROR in its log group; `passerelle runs` says what failed.",
    "Throttles": "the account's concurrency is used up. Raise the quota of Lambda, or find who uses it up.",
}


def retention(config: PlatformConfig) -> aws_logs.RetentionDays:
    """Return how long logs are kept."""
    return _RETENTION[config.log_retention_days]


@cache
def _staging() -> Path:
    """Return this synthesis's own folder: one of another home may run in the same checkout at the same moment."""
    folder = Path(tempfile.mkdtemp(prefix="passerelle-functions-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def stage_code(name: str) -> Path:
    """Copy the function's own folder and the platform's library into a clean folder; returns it."""
    target = _staging() / name
    shutil.rmtree(target, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(ROOT / "passerelle", target / "passerelle", ignore=ignore)
    shutil.copytree(ROOT / "lambdas" / name, target / "lambdas" / name, ignore=ignore)
    shutil.copy(ROOT / "lambdas" / "__init__.py", target / "lambdas" / "__init__.py")
    return target


def stage_dependencies(architecture: str) -> Path:
    """Download the locked packages of the functions for AWS's platform, without Docker; returns the layer's folder.

    Raises SettingsError with the installer's words when a package cannot be had.
    """
    lock = ROOT / "lambdas" / "requirements.txt"
    target = BUILD / "layers" / architecture
    mark = target / ".lock"
    if mark.is_file() and mark.read_bytes() == lock.read_bytes():
        return target
    shutil.rmtree(target, ignore_errors=True)
    # Lambda's Python 3.12 runs on Amazon Linux 2023 (developer guide, "Lambda runtimes"), whose glibc is 2.34.
    platform = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}[architecture]
    command = [
        str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--require-hashes",
        "--only-binary", ":all:", "--python-version", "3.12", "--python-platform", platform,
        "--target", str(target / "python"), "--requirement", str(lock),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SettingsError(f"The functions' packages cannot be downloaded:\n{done.stderr[-1500:]}")
    mark.write_bytes(lock.read_bytes())
    return target


@dataclass(frozen=True)
class Place:
    """Where in a network a function runs."""

    vpc: aws_ec2.IVpc
    subnets: aws_ec2.SubnetSelection
    group: aws_ec2.ISecurityGroup


class Function(Construct):
    """A Lambda function with a role that may do exactly `statements`. Idle, it costs its alarms only."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        config: PlatformConfig,
        settings: FunctionSettings,
        statements: Sequence[aws_iam.PolicyStatement],
        key: aws_kms.IKey,
        alerts: AlertTopic,
        layers: Sequence[aws_lambda.ILayerVersion],
        timeout_seconds: int,
        memory_mib: int,
        dead_letters: aws_sqs.IQueue | None,
        place: Place | None = None,
        disk_mib: int | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.log_group = aws_logs.LogGroup(
            self,
            "Logs",
            encryption_key=key,
            retention=retention(config),
            removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
        )
        self.role = aws_iam.Role(self, "Role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        given_up = [may.allow(["sqs:SendMessage"], dead_letters.queue_arn)] if dead_letters else []
        allowed = [*statements, *given_up]
        for statement in (*allowed, *may.use_key(key.key_arn, allowed)):
            self.role.add_to_policy(statement)
        self.function = aws_lambda.Function(
            self,
            "Function",
            runtime=RUNTIME,
            architecture=(
                aws_lambda.Architecture.ARM_64
                if config.lambda_architecture == "arm64"
                else aws_lambda.Architecture.X86_64
            ),
            code=aws_lambda.Code.from_asset(str(stage_code(name))),
            handler=f"lambdas.{name}.handler.handler",
            environment={**settings.to_env(), "POWERTOOLS_LOG_LEVEL": "INFO"},
            timeout=Duration.seconds(timeout_seconds),
            memory_size=memory_mib,
            ephemeral_storage_size=Size.mebibytes(disk_mib) if disk_mib else None,
            role=self.role.without_policy_updates(),
            log_group=self.log_group,
            layers=list(layers),
            dead_letter_queue=dead_letters,
            retry_attempts=2,
            tracing=aws_lambda.Tracing.ACTIVE,
            vpc=place.vpc if place else None,
            vpc_subnets=place.subnets if place else None,
            security_groups=[place.group] if place else None,
        )
        tracing = aws_iam.PolicyStatement(
            actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"]
        )
        self.role.add_to_policy(tracing)
        if place:
            self.role.add_to_policy(aws_iam.PolicyStatement(actions=NETWORK_ACTIONS, resources=["*"]))
        for what, metric in {
            "Errors": self.function.metric_errors(period=Duration.minutes(5)),
            "Throttles": self.function.metric_throttles(period=Duration.minutes(5)),
        }.items():
            alarm(self, what, metric, alerts=alerts, description=f"{self.node.path}: {_TO_DO[what]}")
