"""Where alarms go, and what the functions share."""

from __future__ import annotations

from typing import Any, cast

from aws_cdk import (
    CfnDeletionPolicy,
    CfnResource,
    CrossStackReferences,
    Duration,
    ReferenceStrength,
    RemovalPolicy,
    Stack,
    aws_iam,
    aws_kms,
    aws_lambda,
    aws_sns,
    aws_sns_subscriptions,
    aws_sqs,
)
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.alarm import AlertTopic
from infra.constructs.function import RUNTIME, stage_dependencies
from infra.constructs.queue_alarm import alarm_on_messages
from infra.resource_parameters import publish_resources


class FoundationStack(Stack):
    """The topics of alerts, a queue for lost events, and on AWS the layer of the functions. Idle, it costs nothing."""

    def __init__(self, scope: Construct, id_: str, *, config: PlatformConfig, key: aws_kms.IKey, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        page = aws_sns.Topic(
            self, "Page", master_key=key, enforce_ssl=True, display_name=f"Passerelle {config.name}: act now"
        )
        self.alerts = AlertTopic(self, "Alerts", key=key, display_name=f"Passerelle {config.name}", page=page)
        for topic, addresses, senders in (
            (page, config.alerts.page, ("cloudwatch",)),
            (self.alerts, config.alerts.notify, ("cloudwatch", "budgets", "costalerts")),
        ):
            for service in senders:
                self._let_publish(topic, service)
            for address in addresses:
                topic.add_subscription(aws_sns_subscriptions.EmailSubscription(address))
        self._let_rules_publish()
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
            layer = aws_lambda.LayerVersion(
                self,
                "Dependencies",
                code=aws_lambda.Code.from_asset(str(stage_dependencies(architecture))),
                compatible_runtimes=[RUNTIME],
                compatible_architectures=[kind],
                description="Locked packages of the functions (lambdas/requirements.txt)",
            )
            # As for images: a strong reference would be an export, which no release could change while it is in use.
            CrossStackReferences.of(layer).produce(ReferenceStrength.WEAK)
            # A function that is rolled back asks for the version before: Lambda gives none that was deleted.
            cast(CfnResource, layer.node.default_child).cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
            self.layers.append(layer)

        publish_resources(self, config.name, {"alerts-page": page.topic_arn, "alerts-notify": self.alerts.topic_arn})

    def _let_publish(self, topic: aws_sns.Topic, service: str) -> None:
        """A topic with a policy of its own loses the default one, by which this account's alarms could publish."""
        # Cost management user guide, "SNS topic for notifications": unusual costs are known by their account only.
        sources = {
            "cloudwatch": f"arn:{self.partition}:cloudwatch:{self.region}:{self.account}:alarm:*",
            "budgets": f"arn:{self.partition}:budgets::{self.account}:*",
        }
        ours: dict[str, object] = {"StringEquals": {"aws:SourceAccount": self.account}}
        if service in sources:
            ours["ArnLike"] = {"aws:SourceArn": sources[service]}
        topic.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=ours,
            )
        )

    def _let_rules_publish(self) -> None:
        """No condition: EventBridge passes none to topics (user guide, "Using resource-based policies", Amazon SNS).

        Its messages are encrypted, and the key is lent to EventBridge for this account's topics only.
        """
        self.alerts.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.alerts.topic_arn],
            )
        )
