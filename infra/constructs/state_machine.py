"""A state machine from an .asl.json file, with logs, tracing and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aws_cdk import Duration, RemovalPolicy, aws_iam, aws_kms, aws_logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.alarm import AlertTopic, alarm
from infra.constructs.function import Function, retention

FOLDER: Final = Path(__file__).resolve().parent.parent / "state_machines"


class StateMachine(Construct):
    """A Standard state machine whose role may invoke `functions` and do exactly `statements`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        file: str,
        config: PlatformConfig,
        functions: Mapping[str, Function],
        substitutions: Mapping[str, str],
        statements: Sequence[aws_iam.PolicyStatement],
        timeout: Duration,
        key: aws_kms.IKey,
        alerts: AlertTopic,
        to_do: str = "See why in `passerelle runs`, then `runs retry`",
    ) -> None:
        super().__init__(scope, id_)
        self.log_group = aws_logs.LogGroup(
            self,
            "Logs",
            # Step Functions may write to groups of this prefix without growing a resource policy.
            log_group_name=f"/aws/vendedlogs/states/passerelle-{config.name}-{id_}",
            encryption_key=key,
            retention=retention(config),
            removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
        )
        self.role = aws_iam.Role(self, "Role", assumed_by=aws_iam.ServicePrincipal("states.amazonaws.com"))
        invoke = aws_iam.PolicyStatement(
            actions=["lambda:InvokeFunction"],
            resources=[function.function.function_arn for function in functions.values()],
        )
        for statement in (invoke, *statements):
            self.role.add_to_policy(statement)
        names = {name: function.function.function_arn for name, function in functions.items()}
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            definition_body=sfn.DefinitionBody.from_string((FOLDER / file).read_text(encoding="utf-8")),
            definition_substitutions={**names, **substitutions},
            state_machine_type=sfn.StateMachineType.STANDARD,
            role=self.role,
            timeout=timeout,
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=self.log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
        )
        for what, metric in {
            "Failed": self.machine.metric_failed(period=Duration.minutes(5)),
            "TimedOut": self.machine.metric_timed_out(period=Duration.minutes(5)),
        }.items():
            words = f"{self.node.path}: an execution ended {what}. {to_do}."
            alarm(self, what, metric, alerts=alerts, description=words)
