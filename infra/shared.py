"""What the stacks with functions share: the data, its key, where alarms go, and what jobs and functions run in."""

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
class Shared:
    """Made once per environment (infra/platform.py), given whole to each of those stacks."""

    config: PlatformConfig
    zones: Mapping[str, aws_s3.Bucket]
    runs_table: str
    runs_table_arn: str
    archive_bucket_arn: str
    key: aws_kms.IKey
    alerts: AlertTopic
    layers: Sequence[aws_lambda.ILayerVersion]
    runtime: Runtime
    #: By which personal entities are hashed; "" where no project has such.
    hash_key_secret: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Return what every function is told."""
        return {"environment": self.config.name, "runs_table": self.runs_table}

    @property
    def buckets(self) -> dict[str, str]:
        """Return the bucket of each zone."""
        return {name: bucket.bucket_name for name, bucket in self.zones.items()}

    def runs(self, *actions: str) -> may.Statement:
        """Return a statement for the table of runs."""
        return may.table_access(self.runs_table_arn, *actions)

    def read_archives(self) -> may.Statement:
        """Return a statement to read the projects' archives."""
        return may.allow(["s3:GetObject"], f"{self.archive_bucket_arn}/*")

    def function_in(
        self,
        stack: Stack,
        id_: str,
        name: str,
        settings: FunctionSettings,
        statements: Sequence[aws_iam.PolicyStatement],
        *,
        timeout_seconds: int = 120,
        memory_mib: int = 512,
        dead_letters: aws_sqs.IQueue | None = None,
        place: Place | None = None,
        disk_mib: int | None = None,
    ) -> Function:
        """Make a function in a stack; where it is invoked asynchronously, what it gives up lands in `dead_letters`.

        Without `disk_mib` its /tmp has the 512 MiB that cost nothing.
        """
        return Function(
            stack,
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
            dead_letters=dead_letters,
            place=place,
            disk_mib=disk_mib,
        )
