"""From dropped files to a registered model: the triggers, the functions, the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_iam, aws_kms, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.constructs.alarm import AlertTopic
from infra.constructs.function import Function
from infra.constructs.pipeline_functions import pipeline_functions
from infra.constructs.pipeline_parts import TUNING_JOB, PipelineParts
from infra.constructs.pipeline_triggers import add_triggers
from infra.constructs.queue_alarm import alarm_on_messages
from infra.constructs.spark_application import SparkApplication
from infra.constructs.state_machine import StateMachine
from infra.resource_parameters import publish_resources
from infra.shared import Shared

_SPARK_RULE = "StepFunctionsGetEventsForEMRServerlessJobRule"
_EXECUTION_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


class PipelineStack(Stack):
    """Everything between the raw zone and the registry. Idle, it costs its alarms and the reconciler's few calls."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        shared: Shared,
        deploy_model: StateMachine,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._parts = PipelineParts(
            stack=self, dead_letters=self._dead_letters(shared.key, shared.alerts), **vars(shared)
        )
        self.job_role = self._job_role()
        self.spark = self._spark()
        self.pipeline = self._pipeline(pipeline_functions(self._parts, self.job_role, self.spark), deploy_model)
        add_triggers(self._parts, self.pipeline, deploy_model)
        self._publish(deploy_model)

    def _dead_letters(self, key: aws_kms.IKey, alerts: AlertTopic) -> aws_sqs.Queue:
        queue = aws_sqs.Queue(
            self,
            "DeadLetters",
            encryption=aws_sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarm_on_messages(queue, alerts)
        return queue

    def _job_role(self) -> aws_iam.Role:
        """The jobs' role: read raw and what the platform made, write everything but raw, predictions and reports."""
        role = aws_iam.Role(self, "JobRole", assumed_by=may.sagemaker_service(self))
        parts, zones = self._parts, self._parts.zones
        for statement in (
            *may.sagemaker_role_base(self, parts.runtime.images),
            may.list_objects(zones["raw"], zones["curated"], zones["models"]),
            may.allow(["s3:ListBucket"], parts.archive_bucket_arn),
            parts.read_archives(),
            may.read_objects(zones["raw"], versions=True),
            may.read_objects(zones["curated"], zones["models"]),
            may.write_objects(zones["curated"], zones["models"], zones["quarantine"]),
            # Parts of a dataset that another engine wrote: the newer ones supersede them.
            may.allow(["s3:DeleteObject"], zones["curated"].arn_for_objects("*/datasets/*")),
            # Encrypt: where a request names the key of its outputs (developer guide, "SageMaker Roles").
            may.allow(["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"], parts.key.key_arn),
            *([may.network_interfaces()] if parts.runtime.jobs_vpc else []),
        ):
            role.add_to_policy(statement)
        return role

    def _spark(self) -> SparkApplication | None:
        parts = self._parts
        if parts.config.spark is None:
            return None
        return SparkApplication(
            self,
            "Spark",
            spark=parts.config.spark,
            environment=parts.config.name,
            image_uri=parts.runtime.spark_image_uri,
            jobs_vpc=parts.runtime.jobs_vpc,
            zones=parts.zones,
            archives=parts.read_archives(),
            key=parts.key,
        )

    def _pipeline(self, functions: Mapping[str, Function], deploy_model: StateMachine) -> StateMachine:
        parts = self._parts
        processing, training = (
            [f"{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")] + ["AddTags"]
            for kind in ("Processing", "Training")
        )
        nested = deploy_model.machine.state_machine_arn
        executions = parts.arn("states", f"execution:{deploy_model.machine.state_machine_name}:*")
        return StateMachine(
            self,
            "TrainingPipeline",
            file="training_pipeline.asl.json",
            config=parts.config,
            functions=functions,
            substitutions={"PollSeconds": str(parts.config.poll_seconds), "DeployModel": nested},
            statements=[
                may.sagemaker(self, processing, "processing-job"),
                may.sagemaker(self, training, "training-job"),
                may.sagemaker(
                    self,
                    ["CreateHyperParameterTuningJob", "DescribeHyperParameterTuningJob", "AddTags"],
                    TUNING_JOB,
                ),
                may.pass_to_sagemaker(self.job_role),
                may.sync_rules(self, may.PROCESSING_RULE, _EXECUTION_RULE, *([_SPARK_RULE] if self.spark else [])),
                *(self.spark.run_jobs() if self.spark else []),
                may.allow(["states:StartExecution"], nested),
                may.allow(["states:DescribeExecution", "states:StopExecution"], executions),
            ],
            timeout=Duration.days(7),
            key=parts.key,
            alerts=parts.alerts,
        )

    def _publish(self, deploy_model: StateMachine) -> None:
        """Say where things are: the command line and other tools find them by these parameters."""
        parts = self._parts
        found = {
            "runs-table": parts.runs_table,
            "training-pipeline": self.pipeline.machine.state_machine_arn,
            "deploy-model": deploy_model.machine.state_machine_arn,
            "tracking-uri": parts.runtime.tracking_settings["tracking_uri"],
            "job-role": self.job_role.role_arn,
            "training-image": parts.runtime.image_uri,
            "jobs-vpc": self.to_json_string(parts.runtime.jobs_vpc),
            "data-key": parts.key.key_arn,
            "dead-letters": parts.dead_letters.queue_url,
            **{f"{name}-bucket": bucket for name, bucket in parts.buckets.items()},
        }
        for construct in self.node.find_all():
            if isinstance(construct, Function):
                name = "".join(f"_{c.lower()}" if c.isupper() else c for c in construct.node.id).lstrip("_")
                found[f"log-group-{name}"] = construct.log_group.log_group_name
        publish_resources(self, parts.config.name, found)
