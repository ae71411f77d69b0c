"""One page that says how an environment fares: runs, functions, queues, tracking server, endpoints, costs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch, aws_stepfunctions
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs import widgets
from infra.constructs.widgets import graph, search

_FUNCTIONS = "AWS/Lambda,FunctionName"
_ENDPOINTS = "AWS/SageMaker,EndpointName,VariantName"
_DATABASE = "AWS/RDS,DBInstanceIdentifier"
_TASKS = "AWS/ECS,ClusterName,ServiceName"


class PlatformDashboard(Construct):
    """`passerelle-<environment>`. It costs 3 USD a month beyond the account's three free ones."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        pipeline: aws_stepfunctions.IStateMachine,
        deploy_model: aws_stepfunctions.IStateMachine,
        watched: Sequence[str],
    ) -> None:
        super().__init__(scope, id_)
        self._config, self._terms = config, f"passerelle {config.name.replace('-', ' ')}"
        words = (
            f"# Passerelle, {config.name}\nWhat an alarm means and what to do is in `docs/operations.md`. "
            "A run's story: `passerelle runs show RUN`."
        )
        rows: list[list[aws_cloudwatch.IWidget]] = [
            [widgets.heading(words)],
            [widgets.alarms(self, watched, "Somebody must act")],
            self._runs("Training", pipeline),
            self._runs("Deployment", deploy_model),
            self._functions(),
            *([self._tracking()] if config.tracking else []),
            self._endpoints(),
            self._data(),
        ]
        aws_cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=f"passerelle-{config.name}", widgets=rows, default_interval=None
        )

    def _runs(self, what: str, machine: aws_stepfunctions.IStateMachine) -> list[aws_cloudwatch.IWidget]:
        ended = [machine.metric_failed(), machine.metric_timed_out(), machine.metric_aborted()]
        durations = [machine.metric_time(statistic=statistic) for statistic in ("p50", "p99")]
        return [
            graph(f"{what}: runs", machine.metric_started(), machine.metric_succeeded()),
            graph(f"{what}: runs without an end of their own", *ended),
            graph(f"{what}: how long a run takes", *durations),
        ]

    def _functions(self) -> list[aws_cloudwatch.IWidget]:
        return [
            graph("Functions: errors", search(_FUNCTIONS, "Errors", self._terms, "Sum")),
            graph("Functions: throttled", search(_FUNCTIONS, "Throttles", self._terms, "Sum")),
            graph("Functions: duration, slowest of 100", search(_FUNCTIONS, "Duration", self._terms, "p99")),
        ]

    def _tracking(self) -> list[aws_cloudwatch.IWidget]:
        terms = f"{self._terms} tracking"
        return [
            graph(
                "Tracking server: CPU and memory",
                search(_TASKS, "CPUUtilization", terms, "Average"),
                search(_TASKS, "MemoryUtilization", terms, "Average"),
            ),
            graph(
                "Database: CPU, connections",
                search(_DATABASE, "CPUUtilization", terms, "Average"),
                right=[search(_DATABASE, "DatabaseConnections", terms, "Maximum")],
            ),
            graph("Database: free storage", search(_DATABASE, "FreeStorageSpace", terms, "Minimum")),
        ]

    def _endpoints(self) -> list[aws_cloudwatch.IWidget]:
        return [
            graph("Endpoints: requests", search(_ENDPOINTS, "Invocations", self._terms, "Sum")),
            graph("Endpoints: model latency, slowest of 100", search(_ENDPOINTS, "ModelLatency", self._terms, "p99")),
            graph(
                "Endpoints: errors of the model, of the caller",
                search(_ENDPOINTS, "Invocation5XXErrors", self._terms, "Sum"),
                right=[search(_ENDPOINTS, "Invocation4XXErrors", self._terms, "Sum")],
            ),
        ]

    def _data(self) -> list[aws_cloudwatch.IWidget]:
        budget = self._config.budget.monthly_usd if self._config.budget else None
        waiting = search("AWS/SQS,QueueName", "ApproximateNumberOfMessagesVisible", self._terms, "Maximum")
        return [
            graph("Queues: events given up", waiting, width=widgets.HALF // 2),
            graph(
                "Queries: bytes read",
                search("AWS/Athena,QueryState,QueryType,WorkGroup", "ProcessedBytes", self._terms, "Sum"),
                width=widgets.HALF // 2,
            ),
            widgets.costs("Costs of the month", self._config.name, budget),
        ]
