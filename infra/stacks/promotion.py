"""Models between environments: the role by which another account reads them, and the machine that takes them over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aws_cdk import (
    Duration,
    RemovalPolicy,
    Stack,
    aws_ecr,
    aws_events,
    aws_events_targets,
    aws_iam,
    aws_kms,
    aws_sqs,
)
from constructs import Construct

from infra import permissions as may
from infra.constructs.function import Function
from infra.constructs.state_machine import StateMachine
from infra.promotion import (
    Peer,
    Peers,
    carried_repository,
    importer_role_name,
    reader_role_name,
    training_repositories,
)
from infra.resource_parameters import publish_resources
from infra.shared import Shared
from infra.stacks.pipeline import PipelineStack
from passerelle.contracts import naming
from passerelle.settings import ImportRunSettings

_EXECUTION_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
#: What the other environment looks up before it reads.
_FOUND = ("runs-table", "models-bucket", "curated-bucket")


class PromotionStack(Stack):
    """Nothing here changes the stacks that hold data. Idle, it costs its alarms and the carried images' layers."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        shared: Shared,
        peers: Peers,
        pipeline: PipelineStack,
        deploy_model: StateMachine,
        dead_letters: aws_sqs.IQueue,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        # The key by its ARN: grants then go into roles here, and none into the key's policy in the data stack.
        self._shared = replace(shared, key=aws_kms.Key.from_key_arn(self, "Key", shared.key.key_arn))
        self.import_model: StateMachine | None = None
        for taker in peers.takers:
            self._lend(taker, takes=peers.source is not None)
        if peers.source is None:
            return
        imports = self._import_run(self._settings(peers.source))
        machine = self.import_model = self._machine(imports, pipeline, deploy_model)
        self._tell_of_failures(machine, pipeline, dead_letters)
        found = {"import-model": machine.machine.state_machine_arn, "models-from": peers.source.name}
        publish_resources(self, shared.config.name, found)

    # Giving

    def _lend(self, taker: Peer, *, takes: bool) -> None:
        """Let one function of another account read runs, artefacts and images: the account says which role it has.

        The role need not exist yet, so either environment may be deployed first (IAM user guide, "aws:PrincipalArn").
        """
        name = self._shared.config.name
        conditions: dict[str, Any] = {
            "ArnEquals": {
                "aws:PrincipalArn": f"arn:{self.partition}:iam::{taker.account}:role/{importer_role_name(taker.name)}"
            }
        }
        if self._shared.config.promotion and self._shared.config.promotion.organization:
            conditions["StringEquals"] = {"aws:PrincipalOrgID": self._shared.config.promotion.organization}
        role = aws_iam.Role(
            self,
            f"ModelsFor{taker.name.capitalize()}",
            role_name=reader_role_name(name, taker.name),
            assumed_by=aws_iam.PrincipalWithConditions(aws_iam.AccountPrincipal(taker.account), conditions),
            description=f"Read by {taker.name}, which serves models that were trained here",
        )
        models, curated = self._shared.zones["models"], self._shared.zones["curated"]
        repositories = [
            self._arn("ecr", f"repository/{repository}") for repository in training_repositories(name, takes=takes)
        ]
        parameters = [self._arn("ssm", f"parameter{naming.resource_parameter(name, resource)}") for resource in _FOUND]
        statements = [
            self._shared.runs("GetItem"),
            may.list_objects(models, curated),
            may.allow(["s3:GetObject"], models.arn_for_objects("*/training/*"), curated.arn_for_objects("*/runs/*")),
            may.allow(["ssm:GetParameter"], *parameters),
            may.allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], *repositories),
        ]
        for statement in (*statements, *may.use_key(self._shared.key.key_arn, statements)):
            role.add_to_policy(statement)

    # Taking

    def _settings(self, source: Peer) -> ImportRunSettings:
        name = self._shared.config.name
        repository = aws_ecr.Repository(
            self,
            "Carried",
            repository_name=carried_repository(name),
            encryption=aws_ecr.RepositoryEncryption.KMS,
            encryption_key=self._shared.key,
            image_scan_on_push=True,
            image_tag_mutability=aws_ecr.TagMutability.IMMUTABLE,
            removal_policy=RemovalPolicy.RETAIN if self._shared.config.retain_data else RemovalPolicy.DESTROY,
            empty_on_delete=not self._shared.config.retain_data,
        )
        self._repository = repository
        return ImportRunSettings(
            **self._shared.settings,
            zones=self._shared.buckets,
            image_uri=self._shared.runtime.image_uri,
            carried_repository=repository.repository_uri,
            source_environment=source.name,
            source_account=source.account,
            source_region=source.region,
            reader_role_arn=(f"arn:{self.partition}:iam::{source.account}:role/{reader_role_name(source.name, name)}"),
            poll_seconds=self._shared.config.poll_seconds,
        )

    def _import_run(self, settings: ImportRunSettings) -> Function:
        zones = self._shared.zones
        push = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ]
        function = self._shared.function_in(
            self,
            "ImportRun",
            "import_run",
            settings,
            [
                self._shared.runs("GetItem", "PutItem", "DeleteItem"),
                self._shared.read_archives(),
                *may.read_projects(self, self._shared.config.name),
                may.allow(["states:DescribeExecution"], self._arn("states", "execution:*")),
                may.allow(["sts:AssumeRole"], settings.reader_role_arn),
                may.list_objects(zones["models"], zones["curated"]),
                may.read_objects(zones["models"], zones["curated"]),
                may.write_objects(zones["models"], zones["curated"], zones["reports"]),
                may.allow(push, self._repository.repository_arn),
            ],
            timeout_seconds=900,
            memory_mib=1024,
        )
        # The other account trusts this one name.
        role = function.role.node.default_child
        assert isinstance(role, aws_iam.CfnRole)
        role.role_name = importer_role_name(self._shared.config.name)
        return function

    def _machine(self, imports: Function, pipeline: PipelineStack, deploy_model: StateMachine) -> StateMachine:
        nested = deploy_model.machine.state_machine_arn
        executions = self._arn("states", f"execution:{deploy_model.machine.state_machine_name}:*")
        return StateMachine(
            self,
            "ImportModel",
            file="import_model.asl.json",
            config=self._shared.config,
            functions={
                "ImportRun": imports,
                "RegisterModel": _function(pipeline, "RegisterModel"),
                "CloseRun": _function(pipeline, "CloseRun"),
            },
            substitutions={"DeployModel": nested},
            statements=[
                may.sync_rules(self, _EXECUTION_RULE),
                may.allow(["states:StartExecution"], nested),
                may.allow(["states:DescribeExecution", "states:StopExecution"], executions),
            ],
            timeout=Duration.days(1),
            key=self._shared.key,
            alerts=self._shared.alerts,
        )

    def _tell_of_failures(self, machine: StateMachine, pipeline: PipelineStack, dead_letters: aws_sqs.IQueue) -> None:
        queue = aws_sqs.Queue.from_queue_arn(self, "DeadLetters", dead_letters.queue_arn)
        target = aws_events_targets.LambdaFunction(
            _function(pipeline, "FailRun").function,
            dead_letter_queue=queue,
            max_event_age=Duration.hours(24),
            retry_attempts=185,
        )
        pattern = aws_events.EventPattern(
            source=["aws.states"],
            detail_type=["Step Functions Execution Status Change"],
            detail={
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                "stateMachineArn": [machine.machine.state_machine_arn],
            },
        )
        aws_events.Rule(self, "ImportFailed", event_pattern=pattern, targets=[target])

    def _arn(self, service: str, rest: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


def _function(pipeline: PipelineStack, name: str) -> Function:
    """Return a function of the pipeline: a carried model is registered, closed and failed by the very same code."""
    found = pipeline.node.find_child(name)
    assert isinstance(found, Function)
    return found
