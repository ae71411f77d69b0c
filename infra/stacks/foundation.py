"""Where alarms go, and what the functions share."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_iam, aws_kms, aws_lambda, aws_sns, aws_sqs
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.function import RUNTIME, stage_dependencies
from infra.constructs.queue_alarm import alarm_on_messages


class FoundationStack(Stack):
    """The alert topic, a queue for lost events, and on AWS the layer of the functions. Idle, it costs nothing."""

    def __init__(self, scope: Construct, id_: str, *, config: PlatformConfig, key: aws_kms.IKey, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self.alerts = aws_sns.Topic(self, "Alerts", master_key=key, enforce_ssl=True)
        self._let_alarms_publish()
        #: Where events of the platform itself end that nobody could be told of.
        self.dead_letters = aws_sqs.Queue(
            self,
            "DeadLetters",
            encryption=aws_sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarm_on_messages(self.dead_letters, self.alerts)
        # Not per rule: the rules are in stacks above this one.
        self.dead_letters.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.dead_letters.queue_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
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
        # No condition: EventBridge passes none to topics (user guide, "Using resource-based policies", Amazon SNS). Its
        # messages are encrypted, and the key is lent to EventBridge for this account's topics only.
        self.alerts.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.alerts.topic_arn],
            )
        )
