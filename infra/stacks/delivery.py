"""How GitHub Actions reaches this environment: a role for what each kind of job does."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import Stack, aws_dynamodb, aws_iam, aws_kms, aws_s3
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.config_parts import Delivery
from infra.constructs.github_provider import GithubProvider
from infra.constructs.state_machine import StateMachine
from passerelle.contracts import naming

#: What `cdk deploy` and `cdk publish` take on. Not the image role: images are built by CodeBuild, none is pushed.
CDK_ROLES: Final = ("deploy", "file-publishing", "lookup")
#: Where the jobs of SageMaker log, which `passerelle drop` shows live.
JOB_LOGS: Final = ("ProcessingJobs", "TrainingJobs")


def github_role_name(environment: str, purpose: str) -> str:
    """Name of a role, which the workflows build alike: they cannot ask an account that they have not entered."""
    return f"passerelle-{environment}-github-{purpose}"


class DeliveryStack(Stack):
    """No key is kept at GitHub: its jobs prove repository, branch and environment. Idle, it costs nothing."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        delivery: Delivery,
        raw: aws_s3.IBucket,
        runs_table: aws_dynamodb.ITable,
        key: aws_kms.IKey,
        import_model: StateMachine | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config, self._delivery = config, delivery
        github = GithubProvider(self, "Github", config=config, delivery=delivery)
        in_environment = github.jobs_in_environment(config.name)
        self._role("Deploy", in_environment, "Deploys by the CDK's own roles", [self._take_cdk_roles()])
        self._role("Diff", github.jobs_that_read(), "Compares templates, and reads nothing else", [self._templates()])
        smoke = [*self._look(runs_table, key), *(self._drop(raw, runs_table, key) if delivery.smoke == "drop" else [])]
        self._role("Smoke", in_environment, "Tries the platform after a deployment", smoke)
        if import_model:
            carry = self._carry(import_model, runs_table, key)
            self._role("Carry", in_environment, "Has a model of another environment served here", carry)

    def _role(
        self, purpose: str, trusted: aws_iam.IPrincipal, description: str, statements: list[may.Statement]
    ) -> None:
        role = aws_iam.Role(
            self,
            purpose,
            role_name=github_role_name(self._config.name, purpose.lower()),
            assumed_by=trusted,
            description=description,
        )
        for statement in statements:
            role.add_to_policy(statement)

    def _take_cdk_roles(self) -> may.Statement:
        place = f"{self.account}-{self.region}"
        named = f"arn:{self.partition}:iam::{self.account}:role/cdk-hnb659fds"
        return may.allow(["sts:AssumeRole"], *(f"{named}-{role}-role-{place}" for role in CDK_ROLES))

    def _templates(self) -> may.Statement:
        """Not the CDK's lookup role: that one reads nearly everything, and pull requests run unreviewed code."""
        stacks = f"arn:{self.partition}:cloudformation:{self.region}:{self.account}:stack"
        return may.allow(
            ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"],
            f"{stacks}/passerelle-{self._config.name}-*/*",
        )

    def _look(self, runs_table: aws_dynamodb.ITable, key: aws_kms.IKey) -> list[may.Statement]:
        """What `passerelle status` and `passerelle predict` ask."""
        name = self._config.name
        found = f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter"
        sagemaker = f"arn:{self.partition}:sagemaker:{self.region}:{self.account}"
        endpoints, components = f"{sagemaker}:endpoint", f"{sagemaker}:inference-component"
        return [
            may.allow(["ssm:GetParametersByPath"], f"{found}/passerelle/{name}/projects"),
            may.allow(["ssm:GetParameter"], f"{found}{naming.resource_parameter(name, 'runs-table')}"),
            may.allow(["dynamodb:Query", "dynamodb:GetItem"], runs_table.table_arn),
            may.allow(["kms:Decrypt"], key.key_arn),
            may.allow(
                ["sagemaker:DescribeEndpoint"],
                *(f"{endpoints}/{naming.endpoint_name(name, project)}" for project in self._config.projects),
            ),
            may.allow(
                ["sagemaker:InvokeEndpoint"],
                f"{endpoints}/{naming.endpoint_name(name, self._delivery.smoke_project)}",
                # Where it scales to zero.
                f"{components}/{naming.component_name(name, self._delivery.smoke_project)}",
            ),
        ]

    def _drop(self, raw: aws_s3.IBucket, runs_table: aws_dynamodb.ITable, key: aws_kms.IKey) -> list[may.Statement]:
        """What `passerelle drop` needs besides: write into one project's folder, follow the run and its logs."""
        found = f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter"
        logs = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:/aws/sagemaker"
        folder = raw.arn_for_objects(f"{self._delivery.smoke_project}/*")
        return [
            may.allow(["ssm:GetParameter"], f"{found}{naming.resource_parameter(self._config.name, 'raw-bucket')}"),
            # Large files go up in parts, and what remains of a broken upload is removed.
            may.allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"], folder),
            may.allow(["kms:GenerateDataKey"], key.key_arn),
            may.allow(["dynamodb:GetItem"], runs_table.table_arn),
            may.allow(["logs:FilterLogEvents"], *(f"{logs}/{group}:*" for group in JOB_LOGS)),
        ]

    def _carry(
        self, import_model: StateMachine, runs_table: aws_dynamodb.ITable, key: aws_kms.IKey
    ) -> list[may.Statement]:
        """What `passerelle carry` asks: which model is taken over decide the machine's own functions."""
        found = f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter"
        names = ("runs-table", "import-model", "models-from")
        return [
            may.allow(
                ["ssm:GetParameter"],
                *(f"{found}{naming.resource_parameter(self._config.name, name)}" for name in names),
            ),
            may.allow(["dynamodb:GetItem"], runs_table.table_arn),
            may.allow(["kms:Decrypt"], key.key_arn),
            may.allow(["states:StartExecution"], import_model.machine.state_machine_arn),
            may.allow(
                ["states:DescribeExecution"], f"arn:{self.partition}:states:{self.region}:{self.account}:execution:*"
            ),
        ]
