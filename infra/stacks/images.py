"""The container images of an environment: built once per change of their sources, scanned, pinned by digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack, aws_events, aws_events_targets, aws_kms, aws_lambda, aws_sns, aws_sqs
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.alarm import AlertTopic
from infra.constructs.built_image import SPARK, TRACKING, TRAINING, TRAINING_GPU, BuiltImage, DockerImage
from infra.constructs.function import Function
from infra.constructs.spark_application import let_pull
from passerelle.settings import BuildImageSettings


class ImagesStack(Stack):
    """Builds what the registry lacks at deployment. Idle, it costs stored layers, about 0.10 USD a GB-month.

    The image for GPUs only where a project asks for one.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        key: aws_kms.IKey,
        alerts: AlertTopic,
        layers: Sequence[aws_lambda.ILayerVersion],
        dead_letters: aws_sqs.IQueue,
        gpu: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        if config.images.source == "docker":
            # Docker on the deploying machine builds and pushes before CloudFormation starts.
            self.training: BuiltImage | DockerImage = DockerImage(self, "Training", source=TRAINING)
            self.training_gpu: BuiltImage | DockerImage | None = (
                DockerImage(self, "TrainingGpu", source=TRAINING_GPU) if gpu else None
            )
            self.tracking: BuiltImage | DockerImage | None = (
                DockerImage(self, "Tracking", source=TRACKING) if config.tracking else None
            )
            self.spark: BuiltImage | DockerImage | None = (
                DockerImage(self, "Spark", source=SPARK) if config.spark else None
            )
        else:
            self._built(config, key, alerts, layers, gpu)
        if self.spark:
            let_pull(self.spark.repository, self)
        self._tell_of_findings(alerts, dead_letters)

    def _built(
        self,
        config: PlatformConfig,
        key: aws_kms.IKey,
        alerts: AlertTopic,
        layers: Sequence[aws_lambda.ILayerVersion],
        gpu: bool,
    ) -> None:
        # By its ARN: grants then go into roles here, and none into the key's policy in the data stack.
        key = aws_kms.Key.from_key_arn(self, "Key", key.key_arn)
        builder = Function(
            self,
            "BuildImage",
            name="build_image",
            config=config,
            settings=BuildImageSettings(environment=config.name),
            statements=[],
            key=key,
            alerts=alerts,
            layers=layers,
            timeout_seconds=900,
            memory_mib=256,
            dead_letters=None,
        )
        shared: dict[str, Any] = {"config": config, "key": key, "builder": builder}
        self.training = BuiltImage(self, "Training", source=TRAINING, **shared)
        self.training_gpu = BuiltImage(self, "TrainingGpu", source=TRAINING_GPU, **shared) if gpu else None
        self.tracking = BuiltImage(self, "Tracking", source=TRACKING, **shared) if config.tracking else None
        self.spark = BuiltImage(self, "Spark", source=SPARK, **shared) if config.spark else None

    def _tell_of_findings(self, alerts: AlertTopic, dead_letters: aws_sqs.IQueue) -> None:
        """Tell people of critical findings in an image that was pushed."""
        images = (self.training, self.training_gpu, self.tracking, self.spark)
        repositories = [image.repository.repository_name for image in images if image]
        pattern = aws_events.EventPattern(
            source=["aws.ecr"],
            detail_type=["ECR Image Scan"],
            detail={
                "scan-status": ["COMPLETE"],
                "repository-name": repositories,
                "finding-severity-counts": {"CRITICAL": [{"numeric": [">", 0]}]},
            },
        )
        rule = aws_events.Rule(self, "CriticalFindings", event_pattern=pattern)
        rule.add_target(
            aws_events_targets.SnsTopic(
                # By its name, as the queue by its ARN: else the CDK lets EventBridge of every account use the key.
                aws_sns.Topic.from_topic_arn(self, "Topic", self._topic_arn(alerts)),
                dead_letter_queue=aws_sqs.Queue.from_queue_arn(self, "DeadLetters", dead_letters.queue_arn),
                message=aws_events.RuleTargetInput.from_text(
                    "Critical findings in image "
                    f"{aws_events.EventField.from_path('$.detail.repository-name')}"
                    f"@{aws_events.EventField.from_path('$.detail.image-digest')}: raise the locked packages or the "
                    "base image, and deploy again."
                ),
            )
        )

    def _topic_arn(self, topic: aws_sns.ITopic) -> str:
        return self.format_arn(service="sns", resource=topic.topic_name)
