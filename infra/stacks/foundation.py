"""Where alarms go, and what the functions share."""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack, aws_iam, aws_kms, aws_lambda, aws_sns
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.function import RUNTIME, stage_dependencies


class FoundationStack(Stack):
    """The alert topic, and on AWS the layer with the functions' packages. Idle, it costs nothing."""

    def __init__(self, scope: Construct, id_: str, *, config: PlatformConfig, key: aws_kms.IKey, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self.alerts = aws_sns.Topic(self, "Alerts", master_key=key, enforce_ssl=True)
        self._let_alarms_publish()
        self.layers: list[aws_lambda.ILayerVersion] = []
        if config.lambda_dependencies == "layer":
            architecture = config.lambda_architecture
            kind = aws_lambda.Architecture.ARM_64 if architecture == "arm64" else aws_lambda.Architecture.X86_64
            self.layers.append(
                aws_lambda.LayerVersion(
                    self,
                    "Dependencies",
                    code=aws_lambda.Code.from_asset(str(stage_dependencies(architecture))),
                    compatible_runtimes=[RUNTIME],
                    compatible_architectures=[kind],
                    description="Locked packages of the functions (lambdas/requirements.txt)",
                )
            )

    def _let_alarms_publish(self) -> None:
        """A topic with a policy of its own loses the default one, by which this account's alarms could publish."""
        alarms = f"arn:{self.partition}:cloudwatch:{self.region}:{self.account}:alarm:*"
        self.alerts.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.alerts.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}, "ArnLike": {"aws:SourceArn": alarms}},
            )
        )
