"""How models are served: the servers' role, the state machine that changes endpoints, what records predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack, aws_iam, aws_kms, aws_s3, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.constructs.prediction_records import add_prediction_records
from infra.constructs.state_machine import StateMachine
from infra.projects import ProjectSource
from infra.resource_parameters import publish_resources
from infra.shared import Shared
from passerelle.contracts import naming, zones
from passerelle.settings import (
    BeginExperimentSettings,
    JudgeShadowSettings,
    PlanDeploymentSettings,
    PromoteModelSettings,
    RecordShadowSettings,
    SmokeTestSettings,
)


class ServingStack(Stack):
    """Endpoints are changed by the state machine here, never by hand. Idle, it costs its alarms."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        shared: Shared,
        dead_letters: aws_sqs.IQueue,
        projects: Sequence[ProjectSource],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        config, key, runtime = shared.config, shared.key, shared.runtime
        #: How the names of this environment's endpoints, configurations and models begin (contracts.naming).
        self._names = f"{naming.endpoint_name(config.name, '')}*"
        self.model_role = self._model_role(shared)
        self.judge_role = self._judge_role(shared)
        plan = shared.function_in(
            self,
            "PlanDeployment",
            "plan_deployment",
            PlanDeploymentSettings(
                **shared.settings,
                zones=shared.buckets,
                image_uri=runtime.image_uri,
                vpc=runtime.jobs_vpc,
                model_role_arn=self.model_role.role_arn,
                kms_key_arn=key.key_arn,
                alerts_topic_arn=shared.alerts.topic_arn,
                rollout_wait_seconds=config.rollout_wait_seconds,
            ),
            [
                *may.read_projects(self, config.name),
                shared.read_archives(),
                shared.runs("GetItem"),
                may.sagemaker(self, ["DescribeEndpoint", "DeleteEndpoint"], "endpoint", names=self._names),
                may.sagemaker(self, ["DescribeEndpointConfig"], "endpoint-config", names=self._names),
                may.sagemaker(
                    self,
                    ["DescribeInferenceComponent", "DeleteInferenceComponent"],
                    "inference-component",
                    names=self._names,
                ),
            ],
        )
        smoke = shared.function_in(
            self,
            "SmokeTest",
            "smoke_test",
            SmokeTestSettings(**shared.settings, zones=shared.buckets),
            [
                may.read_objects(shared.zones["models"]),
                may.sagemaker(self, ["InvokeEndpoint"], "endpoint", "inference-component", names=self._names),
            ],
        )
        judge = shared.function_in(
            self,
            "JudgeShadow",
            "judge_shadow",
            JudgeShadowSettings(
                **shared.settings,
                zones=shared.buckets,
                image_uri=runtime.image_uri,
                judge_role_arn=self.judge_role.role_arn,
                kms_key_arn=key.key_arn,
                prepare_instance_type=config.prepare_instance_type,
                vpc=runtime.jobs_vpc,
            ),
            [
                *may.read_projects(self, config.name),
                shared.read_archives(),
                shared.runs("GetItem"),
                may.list_objects(shared.zones["predictions"]),
                may.write_objects(shared.zones["curated"]),
                # CloudWatch knows no resource for it (service authorization reference).
                may.allow(["cloudwatch:GetMetricData"], "*"),
            ],
        )
        record = shared.function_in(
            self,
            "RecordShadow",
            "record_shadow",
            RecordShadowSettings(**shared.settings, zones=shared.buckets),
            [
                shared.runs("GetItem", "PutItem"),
                may.list_objects(shared.zones["curated"]),
                may.read_objects(shared.zones["curated"]),
                may.write_objects(shared.zones["reports"]),
            ],
        )
        begin = shared.function_in(
            self,
            "BeginExperiment",
            "begin_experiment",
            BeginExperimentSettings(**shared.settings),
            [shared.runs("GetItem", "PutItem")],
        )
        promote = shared.function_in(
            self,
            "PromoteModel",
            "promote_model",
            PromoteModelSettings(**shared.settings, **runtime.tracking_settings),
            [shared.runs("GetItem", "PutItem"), *runtime.tracking_statements],
            place=runtime.function_place,
        )
        self.deploy_model = StateMachine(
            self,
            "DeployModel",
            file="deploy_model.asl.json",
            config=config,
            functions={
                "PlanDeployment": plan,
                "JudgeShadow": judge,
                "RecordShadow": record,
                "SmokeTest": smoke,
                "BeginExperiment": begin,
                "PromoteModel": promote,
            },
            substitutions={"PollSeconds": str(config.poll_seconds)},
            statements=self._changing_endpoints(key),
            # Three days in the shadow, its judgement of at most three hours, and three updates of at most eight;
            # project.yaml allows no longer ones.
            timeout=Duration.days(5),
            key=key,
            alerts=shared.alerts,
        )
        add_prediction_records(self, shared, dead_letters, projects)
        # By which the command line starts back-tests.
        publish_resources(self, config.name, {"judge-role": self.judge_role.role_arn})

    def _changing_endpoints(self, key: aws_kms.IKey) -> list[aws_iam.PolicyStatement]:
        """What the state machine itself calls."""
        alarms = ("PutMetricAlarm", "TagResource", "DescribeAlarms", "DeleteAlarms")
        endpoints = ["CreateEndpoint", "UpdateEndpoint"]
        return [
            may.sagemaker(self, ["CreateModel", "AddTags"], "model", names=self._names),
            may.sagemaker(self, ["CreateEndpointConfig", "AddTags"], "endpoint-config", names=self._names),
            # An endpoint is changed together with its configuration (service authorization reference).
            may.sagemaker(self, endpoints, "endpoint", "endpoint-config", names=self._names),
            may.sagemaker(self, ["DescribeEndpoint", "AddTags"], "endpoint", names=self._names),
            # A component is created at its endpoint.
            may.sagemaker(self, ["CreateInferenceComponent"], "inference-component", "endpoint", names=self._names),
            may.sagemaker(
                self,
                ["UpdateInferenceComponent", "DescribeInferenceComponent", "AddTags"],
                "inference-component",
                names=self._names,
            ),
            may.sagemaker(
                self,
                ["CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob", "AddTags"],
                "processing-job",
            ),
            may.sync_rules(self, may.PROCESSING_RULE),
            may.pass_to_sagemaker(self.model_role, self.judge_role),
            # The caller grants the endpoint its key (SageMaker API permissions reference, CreateEndpoint).
            may.allow(["kms:CreateGrant"], key.key_arn),
            may.endpoint_alarms(self, self._names, *alarms),
            *may.scale_endpoints(self, self._names),
        ]

    def _model_role(self, shared: Shared) -> aws_iam.Role:
        """The servers' role: read models and batches, write captured predictions and batches, nothing else."""
        role = aws_iam.Role(self, "ModelRole", assumed_by=may.sagemaker_service(self))
        for statement in (
            *may.sagemaker_role_base(self, shared.runtime.images),
            may.read_objects(shared.zones["models"]),
            may.write_objects(shared.zones["predictions"]),
            *self._batches(shared.zones["predictions"]),
            # By which SageMaker rolls an update back (developer guide, "Auto-Rollback Configuration and Monitoring").
            may.endpoint_alarms(self, self._names, "DescribeAlarms"),
            *([may.network_interfaces()] if shared.runtime.jobs_vpc else []),
        ):
            role.add_to_policy(statement)
        role.add_to_policy(may.allow(["kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"], shared.key.key_arn))
        return role

    def _batches(self, predictions: aws_s3.IBucket) -> list[aws_iam.PolicyStatement]:
        """Transform jobs take on the model's role, and read the folder of the predictions zone that is theirs."""
        inputs = predictions.arn_for_objects(f"{zones.batch_prefix('*')}/*")
        return [may.allow(["s3:GetObject"], inputs), may.list_objects(predictions)]

    def _judge_role(self, shared: Shared) -> aws_iam.Role:
        """The role of jobs that compare models, and may change none: read data and models, write what they showed."""
        role = aws_iam.Role(self, "JudgeRole", assumed_by=may.sagemaker_service(self))
        predictions, curated, models = (shared.zones[zone] for zone in ("predictions", "curated", "models"))
        key = shared.key.key_arn
        for statement in (
            *may.sagemaker_role_base(self, shared.runtime.images),
            may.list_objects(predictions, curated, models),
            may.allow(["s3:ListBucket"], shared.archive_bucket_arn),
            shared.read_archives(),
            may.read_objects(predictions, curated, models),
            may.write_objects(curated),
            *([may.network_interfaces()] if shared.runtime.jobs_vpc else []),
            may.allow(["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"], key),
        ):
            role.add_to_policy(statement)
        return role
