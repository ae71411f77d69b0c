"""One page per project: its endpoint, what its model meets and is worth, its training, its money."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, aws_cloudwatch
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs import widgets
from infra.constructs.widgets import graph, search
from passerelle.contracts import metrics, naming
from passerelle.domain.project import Project

#: What a request waits for: the model, and SageMaker itself; in microseconds.
_LATENCIES: Final = ("ModelLatency", "OverheadLatency")


class ProjectDashboard(Construct):
    """`passerelle-<environment>-<project>`. It costs 3 USD a month beyond the account's three free ones."""

    def __init__(self, scope: Construct, id_: str, *, config: PlatformConfig, project: Project) -> None:
        super().__init__(scope, id_)
        self._endpoint = naming.endpoint_name(config.name, project.name)
        self._environment = config.name
        self._terms = project.name.replace("-", " ")
        words = f"# {project.name}, {config.name}\n{project.why.objective} Asked by {project.why.owner}."
        aws_cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._endpoint,
            widgets=[
                [widgets.heading(words)],
                self._requests(),
                self._machines(),
                self._windows(project),
                [
                    *self._training(),
                    widgets.costs("Costs of the month", config.name, project.budget.monthly_usd, project=project.name),
                ],
            ],
        )

    def _of_variants(self, metric: str, statistic: str) -> aws_cloudwatch.MathExpression:
        """Every variant of the endpoint: the champion, and a challenger that is tried in its shadow."""
        schema = "AWS/SageMaker,EndpointName,VariantName"
        return search(schema, metric, f'EndpointName="{self._endpoint}"', statistic)

    def _requests(self) -> list[aws_cloudwatch.IWidget]:
        latencies = [self._of_variants(name, statistic) for name in _LATENCIES for statistic in ("p50", "p99")]
        return [
            graph("Requests", self._of_variants("Invocations", "Sum")),
            graph("Latency of model and SageMaker, p50 and p99", *latencies),
            graph(
                "Errors of the model, of the caller",
                self._of_variants("Invocation5XXErrors", "Sum"),
                right=[self._of_variants("Invocation4XXErrors", "Sum")],
            ),
        ]

    def _machines(self) -> list[aws_cloudwatch.IWidget]:
        schema, own = '"/aws/sagemaker/Endpoints",EndpointName,VariantName', f'EndpointName="{self._endpoint}"'
        used = [search(schema, name, own, "Average") for name in ("CPUUtilization", "MemoryUtilization")]
        return [
            graph("Instances: CPU, memory", *used, width=widgets.HALF),
            graph("Requests an instance", self._of_variants("InvocationsPerInstance", "Sum"), width=widgets.HALF),
        ]

    def _windows(self, project: Project) -> list[aws_cloudwatch.IWidget]:
        """What windows of predictions showed: 0 is quiet, 1 minor, 2 moderate, 3 major (docs/drift.md)."""
        kinds = {
            metrics.ARRIVALS_SEVERITY: "arrivals",
            metrics.QUALITY_SEVERITY: "data quality",
            metrics.DRIFT_SEVERITY: "data drift",
            metrics.ANSWERS_SEVERITY: "the model's answers",
            metrics.WORTH_SEVERITY: "the model's worth",
        }
        worth = {metrics.ESTIMATED: "estimated", metrics.REALISED: "realised, as labels show"}
        rows = [self._watched(project, metrics.WINDOW_ROWS, "Sum", "predictions")]
        gains = self._gains(project)
        width = widgets.HALF // 2 if gains else widgets.THIRD
        return [
            graph("How bad: 1 minor, 2 moderate, 3 major", *(
                self._watched(project, name, "Maximum", label) for name, label in kinds.items()
            ), width=width),
            graph(f"{project.task.metric}", *(
                self._watched(project, name, "Average", label) for name, label in worth.items()
            ), width=width),
            *gains,
            graph("Predictions in windows", *rows, width=width),
        ]  # fmt: skip

    def _gains(self, project: Project) -> list[aws_cloudwatch.IWidget]:
        """The money of windows, where the project says what its model's decisions or errors are worth."""
        if project.why.value is None:
            return []
        gains = {metrics.ESTIMATED_GAIN: "estimated", metrics.REALISED_GAIN: "realised, of those with a label"}
        lines = (self._watched(project, name, "Average", label) for name, label in gains.items())
        title = f"Gain of a window's predictions, {project.why.value.currency}"
        return [graph(title, *lines, width=widgets.HALF // 2)]

    def _watched(self, project: Project, metric: str, statistic: str, label: str) -> aws_cloudwatch.Metric:
        hourly = project.monitoring.schedule == "hourly"
        return aws_cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=metric,
            dimensions_map={metrics.ENVIRONMENT: self._environment, metrics.PROJECT: project.name},
            statistic=statistic,
            period=Duration.hours(1) if hourly else Duration.days(1),
            label=label,
        )

    def _training(self) -> list[aws_cloudwatch.IWidget]:
        """Hosts of jobs are named after project, run and stage."""
        schema = '"/aws/sagemaker/TrainingJobs",Host'
        used = [search(schema, name, self._terms, "Average") for name in ("CPUUtilization", "MemoryUtilization")]
        return [graph("Training: CPU, memory", *used, width=widgets.HALF)]
