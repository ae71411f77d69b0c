"""What writes the ledger: a function that asks AWS four times a day what ran and ended, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, Stack, aws_cloudwatch, aws_logs, aws_sqs

from infra import permissions as may
from infra.constructs.alarm import alarm, alarm_on_silence
from infra.constructs.function import Function
from infra.constructs.schedules import Schedules
from infra.constructs.spark_application import SparkApplication
from infra.constructs.state_machine import StateMachine
from infra.shared import Shared
from passerelle.contracts import metrics, naming, zones
from passerelle.settings import MeterCostsSettings

#: A quarter past midnight, UTC, and every six hours: yesterday is whole then, and what is deleted was metered before.
_TIMES: Final = "cron(15 0/6 * * ? *)"
_JOBS: Final = ("Training", "Processing", "Transform")
_UNMETERED: Final = (
    "jobs, endpoints or files of the ledger could not be metered. The ERRORs in its log group say which."
)


def add_cost_meter(
    stack: Stack,
    shared: Shared,
    dead_letters: aws_sqs.IQueue,
    *,
    pipeline: StateMachine,
    deploy_model: StateMachine,
    watch: StateMachine,
    spark: SparkApplication | None,
) -> Function:
    """Add the function, its schedule and its alarms; the executions of these machines are metered.

    Idle, it costs its four alarms, three metrics, and some cents a month for its calls.
    """
    arns = [item.machine.state_machine_arn for item in (pipeline, deploy_model, watch)]
    # By its ARN: what events of this stack may send is said where the queue is.
    queue = aws_sqs.Queue.from_queue_arn(stack, "LedgerDeadLetters", dead_letters.queue_arn)
    meter = shared.function_in(
        stack,
        "MeterCosts",
        "meter_costs",
        MeterCostsSettings(
            **shared.settings,
            zones=shared.buckets,
            region=shared.config.region,
            training_pipeline_arn=arns[0],
            deploy_model_arn=arns[1],
            watch_project_arn=arns[2],
            spark_application=spark.application.ref if spark else "",
        ),
        [
            *may.read_projects(stack, shared.config.name),
            shared.read_archives(),
            may.allow(["s3:ListBucket"], shared.archive_bucket_arn),
            shared.runs("GetItem"),
            *_ledger(shared),
            *_jobs(stack),
            *_endpoints(stack, f"{naming.endpoint_name(shared.config.name, '')}*"),
            *_calls(stack, shared, arns),
            # CloudWatch and Tagging know no resource for these (service authorization reference).
            may.allow(["cloudwatch:GetMetricData", "tag:GetResources"], "*"),
            *(spark.list_jobs() if spark else []),
        ],
        timeout_seconds=900,
        memory_mib=1024,
        dead_letters=queue,
    )
    schedules = Schedules(
        stack,
        "MeterRole",
        statements=[may.allow(["lambda:InvokeFunction"], meter.function.function_arn)],
        dead_letters=dead_letters,
        key=shared.key,
    )
    schedules.add(stack, "MeterSchedule", expression=_TIMES, target_arn=meter.function.function_arn, request={})
    _alarms(meter, shared)
    return meter


def _ledger(shared: Shared) -> list[may.Statement]:
    """What the ledger's own folders need, and nothing beside them."""
    reports = shared.zones["reports"]
    files = reports.arn_for_objects(f"{zones.ledger_prefix('*')}/*")
    return [may.list_objects(reports), may.allow(["s3:GetObject", "s3:PutObject"], files)]


def _jobs(stack: Stack) -> list[may.Statement]:
    kinds = [f"{kind.lower()}-job" for kind in _JOBS]
    return [
        # SageMaker knows no resource for its lists (service authorization reference).
        may.allow([f"sagemaker:List{kind}Jobs" for kind in _JOBS] + ["sagemaker:ListEndpoints"], "*"),
        *(
            may.sagemaker(stack, [f"Describe{kind}Job", "ListTags"], name)
            for kind, name in zip(_JOBS, kinds, strict=True)
        ),
    ]


def _endpoints(stack: Stack, names: str) -> list[may.Statement]:
    return [
        may.sagemaker(stack, ["DescribeEndpoint", "ListTags"], "endpoint", names=names),
        may.sagemaker(stack, ["DescribeEndpointConfig"], "endpoint-config", names=names),
        may.sagemaker(stack, ["DescribeInferenceComponent"], "inference-component", names=names),
        may.sagemaker(stack, ["DescribeModel", "ListTags"], "model", names=names),
        may.allow(["application-autoscaling:DescribeScalingActivities"], "*"),
    ]


def _calls(stack: Stack, shared: Shared, arns: Sequence[str]) -> list[may.Statement]:
    account = f"{stack.region}:{stack.account}"
    functions = f"arn:{stack.partition}:lambda:{account}:function:passerelle-{shared.config.name}-*"
    return [
        may.allow(["states:ListExecutions", "states:DescribeStateMachine"], *arns),
        may.allow(
            ["states:DescribeExecution", "states:GetExecutionHistory", "states:DescribeStateMachineForExecution"],
            f"arn:{stack.partition}:states:{account}:execution:*",
        ),
        may.allow(["lambda:GetFunctionConfiguration"], functions),
    ]


def _alarms(meter: Function, shared: Shared) -> None:
    """Alarm on what could not be metered, and when nothing was metered for two days."""
    filtered = aws_logs.MetricFilter(
        meter,
        "Unreadable",
        log_group=meter.log_group,
        metric_namespace=f"{metrics.NAMESPACE}/{shared.config.name}",
        metric_name=metrics.UNMETERED,
        filter_pattern=aws_logs.FilterPattern.number_value("$.answer.broken", ">", 0),
        metric_value="$.answer.broken",
    )
    unmetered = filtered.metric(period=Duration.minutes(5), statistic="Sum")
    alarm(meter, "Unmetered", unmetered, alerts=shared.alerts, description=f"{meter.node.path}: {_UNMETERED}")
    told = aws_cloudwatch.Metric(
        namespace=metrics.NAMESPACE,
        metric_name=metrics.COST_TO_DATE,
        dimensions_map={metrics.ENVIRONMENT: shared.config.name},
        statistic="SampleCount",
        period=Duration.days(1),
    )
    alarm_on_silence(
        meter,
        "Silent",
        told,
        alerts=shared.alerts,
        description=f"{meter.node.path}: nothing was metered for two days. See its log group, and its schedule.",
        periods=2,
    )
