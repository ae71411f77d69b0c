"""What every part of the pipeline is made from: where it stands, what it shares, what it may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Stack, aws_iam, aws_sqs

from infra import permissions as may
from infra.constructs.function import Function, Place
from infra.shared import Shared
from passerelle.settings import FunctionSettings

#: The kind of a tuning job in an ARN.
TUNING_JOB: Final = "hyper-parameter-tuning-job"


@dataclass(frozen=True, kw_only=True)
class PipelineParts(Shared):
    """Functions are made in the stack itself, whatever file says so: their logical ids are those of the stack."""

    stack: Stack
    dead_letters: aws_sqs.IQueue

    def arn(self, service: str, rest: str) -> str:
        """Return the name of something of this account and region."""
        return f"arn:{self.stack.partition}:{service}:{self.stack.region}:{self.stack.account}:{rest}"

    def write_runs(self) -> may.Statement:
        """Return a statement for a run's record and its lock."""
        return self.runs("GetItem", "PutItem", "DeleteItem")

    def search_runs(self) -> may.Statement:
        """Return a statement to find runs."""
        return self.runs("Query")

    def read_projects(self) -> list[may.Statement]:
        """Return statements to find and read a project."""
        return [*may.read_projects(self.stack, self.config.name), self.read_archives()]

    def look_at_executions(self) -> may.Statement:
        """Return a statement to see how an execution stands: whose execution is gone does not hold the lock."""
        return may.allow(["states:DescribeExecution"], self.arn("states", "execution:*"))

    def explain_failures(self) -> list[may.Statement]:
        """Return statements to learn why an execution failed, and to stop the search that it has left.

        Why: what Step Functions says, and the log of its job.
        """
        stop = may.sagemaker(self.stack, ["StopHyperParameterTuningJob"], TUNING_JOB)
        return [self.look_at_executions(), may.find_job_logs(self.stack), stop]

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
        return self.function_in(
            self.stack,
            id_,
            name,
            settings,
            statements,
            timeout_seconds=timeout_seconds,
            memory_mib=memory_mib,
            dead_letters=self.dead_letters if asynchronous else None,
            place=place,
        )
