"""Spark for data that one machine should not prepare: EMR Serverless, which costs nothing while no job runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import (
    CrossStackReferences,
    ReferenceStrength,
    Stack,
    aws_ecr,
    aws_emrserverless,
    aws_iam,
    aws_kms,
    aws_s3,
)
from constructs import Construct

from infra import permissions as may
from infra.config_parts import Spark

#: Spark 4.0, as the tests' (EMR release guide, "emr-spark-8.0.0"); the image's base is of the same release.
RELEASE: Final = "emr-spark-8.0.0"
SERVICE: Final = "emr-serverless.amazonaws.com"
#: A worker, as `passerelle.domain.requests.spark` asks for it (a test compares).
CORES: Final = 4
MEMORY_GB: Final = 28
DISK_GB: Final = 200


class SparkApplication(Construct):
    """An application without workers of its own, and the role of its jobs."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        spark: Spark,
        environment: str,
        image_uri: str,
        jobs_vpc: Mapping[str, Sequence[str]],
        zones: Mapping[str, aws_s3.IBucket],
        archives: aws_iam.PolicyStatement,
        key: aws_kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        workers = spark.maximum_vcpus // CORES
        network: dict[str, Any] = {}
        if jobs_vpc:
            network["network_configuration"] = aws_emrserverless.CfnApplication.NetworkConfigurationProperty(
                security_group_ids=list(jobs_vpc["SecurityGroupIds"]), subnet_ids=list(jobs_vpc["Subnets"])
            )
        self.application = aws_emrserverless.CfnApplication(
            self,
            "Application",
            name=f"passerelle-{environment}-spark",
            type="SPARK",
            release_label=RELEASE,
            architecture="X86_64",
            image_configuration=aws_emrserverless.CfnApplication.ImageConfigurationInputProperty(image_uri=image_uri),
            auto_start_configuration=aws_emrserverless.CfnApplication.AutoStartConfigurationProperty(enabled=True),
            auto_stop_configuration=aws_emrserverless.CfnApplication.AutoStopConfigurationProperty(
                enabled=True, idle_timeout_minutes=spark.idle_minutes
            ),
            maximum_capacity=aws_emrserverless.CfnApplication.MaximumAllowedResourcesProperty(
                cpu=f"{spark.maximum_vcpus} vCPU",
                memory=f"{workers * MEMORY_GB} GB",
                disk=f"{workers * DISK_GB} GB",
            ),
            **network,
        )
        # A strong reference would be an export: no release could take Spark away while another stack meters it.
        CrossStackReferences.of(self.application).produce(ReferenceStrength.WEAK)
        self.role = self._role(zones, archives, key)

    def run_jobs(self) -> list[may.Statement]:
        """Return what starting a job, waiting for it and cancelling it takes (Step Functions guide, EMR Serverless)."""
        application = self.application.attr_arn
        return [
            may.allow(["emr-serverless:StartJobRun"], application),
            # Tags that a job run is given when it starts (user guide, "Tagging resources").
            may.allow(["emr-serverless:TagResource"], f"{application}/jobruns/*"),
            self.look_at_jobs(),
            may.allow(["emr-serverless:CancelJobRun"], f"{application}/jobruns/*"),
            aws_iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": SERVICE}},
            ),
        ]

    def look_at_jobs(self) -> may.Statement:
        """Return a statement to read what became of a job, and what it was billed for."""
        return may.allow(["emr-serverless:GetJobRun"], f"{self.application.attr_arn}/jobruns/*")

    def list_jobs(self) -> list[may.Statement]:
        """Return what finding the jobs and what they were billed for takes."""
        return [may.allow(["emr-serverless:ListJobRuns"], self.application.attr_arn), self.look_at_jobs()]

    def _role(
        self, zones: Mapping[str, aws_s3.IBucket], archives: aws_iam.PolicyStatement, key: aws_kms.IKey
    ) -> aws_iam.Role:
        """Read raw and curated, write curated, quarantine and the logs, delete what is staged or stale."""
        stack = Stack.of(self)
        applications = f"arn:{stack.partition}:emr-serverless:{stack.region}:{stack.account}:/applications/*"
        conditions = {"StringEquals": {"aws:SourceAccount": stack.account}, "ArnLike": {"aws:SourceArn": applications}}
        role = aws_iam.Role(self, "Role", assumed_by=aws_iam.ServicePrincipal(SERVICE, conditions=conditions))
        curated = zones["curated"]
        for statement in (
            may.list_objects(zones["raw"], curated),
            archives,
            may.read_objects(zones["raw"], versions=True),
            may.read_objects(curated),
            may.write_objects(curated, zones["quarantine"]),
            may.allow(
                ["s3:DeleteObject"], curated.arn_for_objects("*/datasets/*"), curated.arn_for_objects("*/staged/*")
            ),
            *may.use_key(key.key_arn, [may.read_objects(curated), may.write_objects(curated)]),
        ):
            role.add_to_policy(statement)
        return role


def let_pull(repository: aws_ecr.IRepository, stack: Stack) -> None:
    """Let EMR Serverless pull an image (user guide, "Customizing an image", repository policy)."""
    applications = f"arn:{stack.partition}:emr-serverless:{stack.region}:{stack.account}:/applications/*"
    repository.add_to_resource_policy(
        aws_iam.PolicyStatement(
            principals=[aws_iam.ServicePrincipal(SERVICE)],
            actions=["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
            conditions={"ArnLike": {"aws:SourceArn": applications}},
        )
    )
