"""What windows show and what things cost, as metrics in CloudWatch's embedded format: its logs make metrics of it."""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from passerelle.contracts import metrics


def emit(environment: str, project: str | None, values: Mapping[str, float]) -> None:
    """Write metrics of a project, or of the whole environment, at this moment.

    At most a hundred; each costs some 0.30 USD a month.
    """
    printed = AmazonCloudWatchEMFProvider(namespace=metrics.NAMESPACE, metric_set={}, dimension_set={})
    printed.add_dimension(metrics.ENVIRONMENT, environment)
    if project is not None:
        printed.add_dimension(metrics.PROJECT, project)
    for name, value in values.items():
        printed.add_metric(name, MetricUnit.NoUnit, value)
    printed.flush_metrics()
