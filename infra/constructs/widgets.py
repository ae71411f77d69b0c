"""Graphs of dashboards. They find what they show by names, so that nothing is exported from stack to stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, aws_cloudwatch
from constructs import Construct

from passerelle.contracts import metrics

HALF: Final = 12
THIRD: Final = 8
WHOLE: Final = 24
_HEIGHT: Final = 6


def search(
    schema: str, metric: str, terms: str, statistic: str, *, label: str = "", seconds: int = 300
) -> aws_cloudwatch.MathExpression:
    """Return every metric of a name whose dimensions hold all terms; at most 100, of the last two weeks.

    User guide, "CloudWatch search expression syntax": terms without quotes match parts of names, cut at `-` and `/`.
    """
    words = " ".join(part for part in [f'{{{schema}}} MetricName="{metric}"', terms] if part)
    expression = f"SEARCH('{words}', '{statistic}', {seconds})"
    return aws_cloudwatch.MathExpression(
        expression=expression, using_metrics={}, label=label, period=Duration.seconds(seconds)
    )


def graph(
    title: str,
    *left: aws_cloudwatch.IMetric,
    right: Sequence[aws_cloudwatch.IMetric] = (),
    width: int = THIRD,
    unit: str = "",
    lines: Sequence[aws_cloudwatch.HorizontalAnnotation] = (),
) -> aws_cloudwatch.GraphWidget:
    """Return a graph whose axis begins at 0."""
    return aws_cloudwatch.GraphWidget(
        title=title,
        left=list(left),
        right=list(right),
        width=width,
        height=_HEIGHT,
        left_y_axis=aws_cloudwatch.YAxisProps(min=0, label=unit or None, show_units=not unit),
        left_annotations=list(lines),
    )


def heading(text: str) -> aws_cloudwatch.TextWidget:
    """Return a line of text across the dashboard."""
    return aws_cloudwatch.TextWidget(markdown=text, width=WHOLE, height=2)


def alarms(scope: Construct, names: Sequence[str], title: str) -> aws_cloudwatch.AlarmStatusWidget:
    """Return the states of alarms that other stacks make."""
    found = [aws_cloudwatch.Alarm.from_alarm_name(scope, f"Alarm-{name}", name) for name in names]
    return aws_cloudwatch.AlarmStatusWidget(title=title, alarms=found, width=WHOLE, height=3)


def costs(title: str, environment: str, budget_usd: float | None, project: str | None = None) -> aws_cloudwatch.IWidget:
    """Return the month's costs beside the budget. The meter of costs writes them, four times a day."""
    dimensions = {metrics.ENVIRONMENT: environment, **({metrics.PROJECT: project} if project else {})}
    shown = [
        aws_cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=name,
            dimensions_map=dimensions,
            statistic="Maximum",
            period=Duration.days(1),
            label=label,
        )
        for name, label in ((metrics.COST_TO_DATE, "month to date"), (metrics.COST_FORECAST, "forecast of the month"))
    ]
    line = aws_cloudwatch.HorizontalAnnotation(value=budget_usd, label="budget") if budget_usd else None
    return graph(title, *shown, width=HALF, unit="USD", lines=[line] if line else [])
