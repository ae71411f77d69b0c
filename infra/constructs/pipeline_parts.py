"""What every part of the pipeline is made from: where it stands, what it shares, what it may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Stack, aws_iam, aws_kms, aws_lambda, aws_s3, aws_sqs

from infra import permissions as may
from infra.config import PlatformConfig
from infra.constructs.alarm import AlertTopic
from infra.constructs.function import Function, Place
from infra.runtime import Runtime
from passerelle.settings import FunctionSettings


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """Functions are made in the stack itself, whatever file says so: their logical ids are those of the stack."""

    stack: Stack
    config: PlatformConfig
    zones: Mapping[str, aws_s3.Bucket]
    runs_table: str
    runs_table_arn: str
    archive_bucket_arn: str
    key: aws_kms.IKey
    alerts: AlertTopic
    layers: Sequence[aws_lambda.ILayerVersion]
    runtime: Runtime
    dead_letters: aws_sqs.IQueue

    @property
    def shared_settings(self) -> dict[str, Any]:
        """Return what every function is told."""
        return {"environment": self.config.name, "runs_table": self.runs_table}

    def arn(self, service: str, rest: str) -> str:
        """Return the name of something of this account and region."""
        return f"arn:{self.stack.partition}:{service}:{self.stack.region}:{self.stack.account}:{rest}"

    def write_runs(self) -> may.Statement:
        """Return a statement for a run's record and its lock."""
        return may.table_access(self.runs_table_arn, "GetItem", "PutItem", "DeleteItem")

    def search_runs(self) -> may.Statement:
        """Return a statement to find runs."""
        return may.table_access(self.runs_table_arn, "Query")

    def read_archives(self) -> may.Statement:
        """Return a statement to read the projects' archives."""
        return may.allow(["s3:GetObject"], f"{self.archive_bucket_arn}/*")

    def read_projects(self) -> list[may.Statement]:
        """Return statements to find and read a project."""
        return [*may.read_projects(self.stack, self.config.name), self.read_archives()]

    def look_at_executions(self) -> may.Statement:
        """Return a statement to see how an execution stands: whose execution is gone does not hold the lock."""
        return may.allow(["states:DescribeExecution"], self.arn("states", "execution:*"))

    def explain_failures(self) -> list[may.Statement]:
        """Return statements to learn why an execution failed: what Step Functions says, and the log of its job."""
        return [self.look_at_executions(), may.find_job_logs(self.stack)]

    def function(
        self,
        id_: str,
        name: str,
        settings: FunctionSettings,
        statements: Sequence[aws_iam.PolicyStatement],
        *,
        timeout_seconds: int = 120,
        memory_mib: int = 512,
        asynchronous: bool = False,
        place: Place | None = None,
    ) -> Function:
        """Make a function; one that is invoked asynchronously leaves what it gave up in the queue."""
        return Function(
            self.stack,
            id_,
            name=name,
            config=self.config,
            settings=settings,
            statements=statements,
            key=self.key,
            alerts=self.alerts,
            layers=self.layers,
            timeout_seconds=timeout_seconds,
            memory_mib=memory_mib,
            dead_letters=self.dead_letters if asynchronous else None,
            place=place,
        )
