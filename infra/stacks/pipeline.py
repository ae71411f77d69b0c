"""From dropped files to a registered model: the triggers, the functions, the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import (
    Duration,
    RemovalPolicy,
    Stack,
    aws_events,
    aws_events_targets,
    aws_iam,
    aws_kms,
    aws_lambda,
    aws_s3,
    aws_scheduler,
    aws_sns,
    aws_sqs,
)
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.constructs.function import Function, Place
from infra.constructs.queue_alarm import alarm_on_messages
from infra.constructs.state_machine import StateMachine
from infra.resource_parameters import publish_resources
from infra.runtime import Runtime
from infra.source import git_sha, lock_hash
from infra.stacks.serving import confused_deputy_safe
from passerelle import settings as function_settings

_PROCESSING_RULE = "StepFunctionsGetEventsForSageMakerProcessingJobsRule"
_EXECUTION_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


class PipelineStack(Stack):
    """Everything between the raw zone and the registry. Idle, it costs its alarms and the reconciler's few calls."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        zones: Mapping[str, aws_s3.Bucket],
        runs_table: str,
        runs_table_arn: str,
        archive_bucket_arn: str,
        key: aws_kms.IKey,
        alerts: aws_sns.ITopic,
        layers: Sequence[aws_lambda.ILayerVersion],
        runtime: Runtime,
        deploy_model: StateMachine,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config, self._zones, self._key, self._alerts, self._layers = config, zones, key, alerts, layers
        self._runtime = runtime
        self._archives = may.allow(["s3:GetObject"], f"{archive_bucket_arn}/*")
        self._table = may.table_access(runs_table_arn, "GetItem", "PutItem", "DeleteItem")
        self._search_table = may.table_access(runs_table_arn, "Query")
        #: Why an execution failed: what Step Functions says, and the log of its job.
        self._explain = [
            may.allow(["states:DescribeExecution"], self._arn("states", "execution:*")),
            may.find_job_logs(self),
        ]
        self._shared: dict[str, Any] = {"environment": config.name, "runs_table": runs_table}
        self.dead_letters = self._dead_letters()
        self.job_role = self._job_role(archive_bucket_arn)
        functions = self._pipeline_functions()
        self.pipeline = self._pipeline(functions, deploy_model)
        self._triggers(deploy_model)
        self._publish(deploy_model, runs_table)

    # Parts

    def _dead_letters(self) -> aws_sqs.Queue:
        queue = aws_sqs.Queue(
            self,
            "DeadLetters",
            encryption=aws_sqs.QueueEncryption.KMS,
            encryption_master_key=self._key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarm_on_messages(queue, self._alerts)
        return queue

    def _job_role(self, archive_bucket_arn: str) -> aws_iam.Role:
        """The jobs' role: read raw and what the platform made, write everything but raw, predictions and reports."""
        role = aws_iam.Role(self, "JobRole", assumed_by=confused_deputy_safe(self))
        zones = self._zones
        for statement in (
            *may.sagemaker_role_base(self),
            may.list_objects(zones["raw"], zones["curated"], zones["models"]),
            may.allow(["s3:ListBucket"], archive_bucket_arn),
            self._archives,
            may.read_objects(zones["raw"], versions=True),
            may.read_objects(zones["curated"], zones["models"]),
            may.write_objects(zones["curated"], zones["models"], zones["quarantine"]),
            # Encrypt: where a request names the key of its outputs (developer guide, "SageMaker Roles").
            may.allow(["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"], self._key.key_arn),
            *([may.network_interfaces()] if self._runtime.jobs_vpc else []),
        ):
            role.add_to_policy(statement)
        return role

    def _function(
        self,
        id_: str,
        name: str,
        settings: function_settings.FunctionSettings,
        statements: Sequence[aws_iam.PolicyStatement],
        *,
        timeout_seconds: int = 120,
        memory_mib: int = 512,
        asynchronous: bool = False,
        place: Place | None = None,
    ) -> Function:
        return Function(
            self,
            id_,
            name=name,
            config=self._config,
            settings=settings,
            statements=statements,
            key=self._key,
            alerts=self._alerts,
            layers=self._layers,
            timeout_seconds=timeout_seconds,
            memory_mib=memory_mib,
            dead_letters=self.dead_letters if asynchronous else None,
            place=place,
        )

    def _job_settings(self) -> dict[str, Any]:
        return {
            **self._shared,
            "zones": {name: bucket.bucket_name for name, bucket in self._zones.items()},
            "image_uri": self._runtime.image_uri,
            "vpc": self._runtime.jobs_vpc,
            "job_role_arn": self.job_role.role_arn,
            "region": self._config.region,
            "kms_key_arn": self._key.key_arn,
            "prepare_instance_type": self._config.prepare_instance_type,
            "git_sha": git_sha(),
            "lock_hash": lock_hash(),
        }

    def _pipeline_functions(self) -> dict[str, Function]:
        config, zones, jobs = self._config, self._zones, self._job_settings()
        buckets = jobs["zones"]
        projects = [*may.read_projects(self, config.name), self._archives]
        # Whose execution is gone does not hold the project's lock.
        executions = may.allow(["states:DescribeExecution"], self._arn("states", "execution:*"))
        return {
            "GatherDrop": self._function(
                "GatherDrop",
                "gather_drop",
                function_settings.GatherDropSettings(
                    **jobs, quiet_window_seconds=config.quiet_window_seconds, poll_seconds=config.poll_seconds
                ),
                [
                    self._table,
                    self._search_table,
                    *projects,
                    executions,
                    may.list_objects(zones["raw"]),
                    may.read_objects(zones["raw"], versions=True),
                    may.write_objects(zones["curated"]),
                ],
                timeout_seconds=900,
                memory_mib=1024,
            ),
            "RecordDataset": self._function(
                "RecordDataset",
                "record_dataset",
                function_settings.RecordDatasetSettings(**jobs),
                [
                    self._table,
                    self._search_table,
                    *projects,
                    executions,
                    may.list_objects(zones["curated"]),
                    may.read_objects(zones["curated"]),
                ],
            ),
            "RecordTraining": self._function(
                "RecordTraining",
                "record_training",
                function_settings.RecordTrainingSettings(**jobs),
                [
                    self._table,
                    *projects,
                    executions,
                    may.list_objects(zones["curated"], zones["models"]),
                    may.read_objects(zones["curated"], zones["models"]),
                ],
                memory_mib=1024,
            ),
            "RecordEvaluation": self._function(
                "RecordEvaluation",
                "record_evaluation",
                function_settings.RecordEvaluationSettings(**self._shared, zones=buckets, region=config.region),
                [
                    self._table,
                    executions,
                    may.list_objects(zones["curated"]),
                    may.read_objects(zones["curated"]),
                    may.write_objects(zones["reports"]),
                ],
            ),
            "RegisterModel": self._function(
                "RegisterModel",
                "register_model",
                function_settings.RegisterModelSettings(
                    **self._shared,
                    zones=buckets,
                    **self._runtime.tracking_settings,
                    git_sha=jobs["git_sha"],
                    lock_hash=jobs["lock_hash"],
                ),
                [
                    self._table,
                    executions,
                    may.list_objects(zones["curated"]),
                    may.read_objects(zones["curated"], zones["models"]),
                    *self._runtime.tracking_statements,
                ],
                timeout_seconds=600,
                memory_mib=2048,
                place=self._runtime.function_place,
            ),
            "CloseRun": self._function(
                "CloseRun",
                "close_run",
                function_settings.CloseRunSettings(**self._shared),
                [
                    self._table,
                    may.allow(
                        ["states:GetExecutionHistory", "states:DescribeStateMachineForExecution"],
                        self._arn("states", "execution:*"),
                    ),
                    may.allow(
                        ["lambda:GetFunctionConfiguration"], self._arn("lambda", f"function:passerelle-{config.name}-*")
                    ),
                ],
            ),
        }

    def _arn(self, service: str, rest: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"

    def _pipeline(self, functions: Mapping[str, Function], deploy_model: StateMachine) -> StateMachine:
        processing, training = (
            [f"{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")] + ["AddTags"]
            for kind in ("Processing", "Training")
        )
        nested = deploy_model.machine.state_machine_arn
        executions = self._arn("states", f"execution:{deploy_model.machine.state_machine_name}:*")
        return StateMachine(
            self,
            "TrainingPipeline",
            file="training_pipeline.asl.json",
            config=self._config,
            functions=functions,
            substitutions={"PollSeconds": str(self._config.poll_seconds), "DeployModel": nested},
            statements=[
                may.sagemaker(self, processing, "processing-job"),
                may.sagemaker(self, training, "training-job"),
                may.pass_to_sagemaker(self.job_role),
                may.sync_rules(self, _PROCESSING_RULE, _EXECUTION_RULE),
                may.allow(["states:StartExecution"], nested),
                may.allow(["states:DescribeExecution", "states:StopExecution"], executions),
            ],
            timeout=Duration.days(7),
            key=self._key,
            alerts=self._alerts,
        )

    def _triggers(self, deploy_model: StateMachine) -> None:
        raw, machine = self._zones["raw"], self.pipeline.machine
        drops = {
            **self._shared,
            "raw_bucket": raw.bucket_name,
            "reports_bucket": self._zones["reports"].bucket_name,
            "pipeline_arn": machine.state_machine_arn,
        }
        statements = [
            self._table,
            may.find_projects(self, self._config.name),
            may.list_objects(raw),
            may.read_objects(raw, versions=True),
            may.write_objects(self._zones["reports"]),
            may.allow(["states:StartExecution"], machine.state_machine_arn),
        ]
        claim = self._function(
            "ClaimDrop",
            "claim_drop",
            function_settings.ClaimDropSettings(**drops),
            statements,
            asynchronous=True,
        )
        self._rule(
            "Dropped",
            claim,
            aws_events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [raw.bucket_name]}},
            ),
        )
        fail = self._function(
            "FailRun",
            "fail_run",
            function_settings.FailRunSettings(**self._shared),
            [self._table, *self._explain],
            asynchronous=True,
        )
        self._rule(
            "ExecutionFailed",
            fail,
            aws_events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                    "stateMachineArn": [machine.state_machine_arn, deploy_model.machine.state_machine_arn],
                },
            ),
        )
        self._reconciler(drops, statements)

    def _rule(self, id_: str, function: Function, pattern: aws_events.EventPattern) -> None:
        target = aws_events_targets.LambdaFunction(
            function.function, dead_letter_queue=self.dead_letters, max_event_age=Duration.hours(24), retry_attempts=185
        )
        aws_events.Rule(self, id_, event_pattern=pattern, targets=[target])

    def _reconciler(self, drops: dict[str, Any], statements: Sequence[aws_iam.PolicyStatement]) -> None:
        raw = self._zones["raw"]
        reconcile = self._function(
            "ReconcileDrops",
            "reconcile_drops",
            function_settings.ReconcileDropsSettings(**drops, grace_seconds=300),
            [
                *statements,
                self._search_table,
                may.allow(["s3:ListBucketVersions"], raw.bucket_arn),
                *self._explain,
            ],
            timeout_seconds=600,
            asynchronous=True,
        )
        role = aws_iam.Role(
            self,
            "ReconcilerRole",
            assumed_by=may.service(self, "scheduler"),
        )
        role.add_to_policy(may.allow(["lambda:InvokeFunction"], reconcile.function.function_arn))
        role.add_to_policy(may.allow(["sqs:SendMessage"], self.dead_letters.queue_arn))
        role.add_to_policy(may.allow(["kms:Decrypt", "kms:GenerateDataKey"], self._key.key_arn))
        aws_scheduler.CfnSchedule(
            self,
            "Reconciler",
            flexible_time_window=aws_scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            schedule_expression=f"rate({self._config.reconcile_minutes} minutes)",
            kms_key_arn=self._key.key_arn,
            target=aws_scheduler.CfnSchedule.TargetProperty(
                arn=reconcile.function.function_arn,
                role_arn=role.role_arn,
                dead_letter_config=aws_scheduler.CfnSchedule.DeadLetterConfigProperty(arn=self.dead_letters.queue_arn),
                input="{}",
            ),
        )

    def _publish(self, deploy_model: StateMachine, runs_table: str) -> None:
        """Say where things are: the command line and other tools find them by these parameters."""
        found = {
            "runs-table": runs_table,
            "training-pipeline": self.pipeline.machine.state_machine_arn,
            "deploy-model": deploy_model.machine.state_machine_arn,
            "tracking-uri": self._runtime.tracking_settings["tracking_uri"],
            "job-role": self.job_role.role_arn,
            "dead-letters": self.dead_letters.queue_url,
            **{f"{name}-bucket": bucket.bucket_name for name, bucket in self._zones.items()},
        }
        for construct in self.node.find_all():
            if isinstance(construct, Function):
                name = "".join(f"_{c.lower()}" if c.isupper() else c for c in construct.node.id).lstrip("_")
                found[f"log-group-{name}"] = construct.log_group.log_group_name
        publish_resources(self, self._config.name, found)
