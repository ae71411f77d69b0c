"""The log of a serverless endpoint's servers, and what passes its predictions on: SageMaker captures none there."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack, aws_cloudwatch, aws_lambda, aws_logs, aws_logs_destinations
from constructs import Construct

from infra.constructs.alarm import alarm
from infra.constructs.function import Function, retention
from infra.shared import Shared
from passerelle.contracts import naming
from passerelle.contracts.prediction import LOGGED

_FILTER: Final = "predictions"
_UNDELIVERED: Final = (
    "logged predictions did not reach record_predictions, and CloudWatch Logs gave some up or tries again. "
    "See whether the function and its permission for logs.amazonaws.com are there"
)


def let_logs_invoke(stack: Stack, record: Function, environment: str) -> aws_lambda.CfnPermission:
    """Let CloudWatch Logs pass on what the environment's endpoints log.

    One permission for all of them: a function's policy has room for about fifty (developer guide, "Lambda quotas").
    """
    names = naming.endpoint_log_group(naming.endpoint_name(environment, "*"))
    return aws_lambda.CfnPermission(
        stack,
        "EndpointLogs",
        action="lambda:InvokeFunction",
        function_name=record.function.function_arn,
        principal="logs.amazonaws.com",
        source_account=stack.account,
        source_arn=f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:{names}:*",
    )


class PredictionLog(Construct):
    """The log group of one endpoint, as SageMaker names it and would make it: without key, and kept for ever.

    It is there before the endpoint is. One that SageMaker has made already is in its way (docs/predictions.md).
    """

    def __init__(self, scope: Construct, project: str, *, shared: Shared, record: Function) -> None:
        super().__init__(scope, project)
        config = shared.config
        self.log_group = aws_logs.LogGroup(
            self,
            "Logs",
            log_group_name=naming.endpoint_log_group(naming.endpoint_name(config.name, project)),
            encryption_key=shared.key,
            retention=retention(config),
            removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
        )
        self.filter = aws_logs.SubscriptionFilter(
            self,
            "Predictions",
            log_group=self.log_group,
            filter_name=_FILTER,
            filter_pattern=aws_logs.FilterPattern.literal(LOGGED),
            destination=aws_logs_destinations.LambdaDestination(record.function, add_permissions=False),
        )
        # CloudWatch Logs user guide, "Monitoring with CloudWatch metrics": it tries again for a day.
        failed = aws_cloudwatch.Metric(
            namespace="AWS/Logs",
            metric_name="DeliveryErrors",
            dimensions_map={
                "LogGroupName": self.log_group.log_group_name,
                "DestinationType": "Lambda",
                "FilterName": _FILTER,
            },
            period=Duration.minutes(5),
            statistic="Sum",
        )
        meaning = f"{project}: {_UNDELIVERED}."
        alarm(self, "Undelivered", failed, alerts=shared.alerts, description=meaning)
