"""What CloudWatch knows of a dashboard: its definition, the metrics of its graphs, the states of alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.deployed import DeployedPlatform, refusals_translated
from passerelle.domain.dashboard.board import Alarm, Panel
from passerelle.domain.dashboard.body import Body, Graph, Query
from passerelle.domain.dashboard.lines import Answer, lines_of, problems_of

#: Points of a line, at most: more are finer than a screen.
_POINTS: Final = 150
#: Periods of a graph, at least: a day's one point of a day is no line.
_PERIODS: Final = 14
_ROUND: Final = 300
#: What CloudWatch keeps for so long is kept by periods of an hour only (user guide, "Metrics retention").
_FIVE_MINUTES_FOR: Final = timedelta(days=63)


def read_body(platform: DeployedPlatform, name: str) -> Body | None:
    """Return a dashboard's definition, None where there is no dashboard of that name."""
    with refusals_translated(platform.environment):
        try:
            found = platform.client("cloudwatch").get_dashboard(DashboardName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "DashboardNotFoundError"):
                return None
            raise
    return Body.parse(found["DashboardBody"])


def read_panels(platform: DeployedPlatform, body: Body, *, now: datetime, span: timedelta) -> list[Panel]:
    """Return a dashboard's widgets with what they show of the last `span`, and of longer where periods are long.

    On AWS 1,000 metrics that are read cost 0.01 USD.
    """
    return [
        _panel(platform, widget, now=now, span=span)
        if isinstance(widget, Graph)
        else Panel(widget=widget, start=now - span, end=now)
        for widget in body.widgets
    ]


def _panel(platform: DeployedPlatform, graph: Graph, *, now: datetime, span: timedelta) -> Panel:
    span = max(span, timedelta(seconds=graph.period * _PERIODS))
    finest = -(-int(span.total_seconds()) // _POINTS // _ROUND) * _ROUND
    if span > _FIVE_MINUTES_FOR:
        finest = max(finest, 3_600)
    shown = replace(graph, queries=tuple(query.over(finest) for query in graph.queries))
    start = now - span
    answers = _answers(platform, shown.queries, start, now)
    lines, problems = lines_of(shown, answers), problems_of(shown, answers)
    return Panel(widget=shown, start=start, end=now, lines=lines, problems=problems)


def _answers(
    platform: DeployedPlatform, queries: Sequence[Query], start: datetime, end: datetime
) -> Mapping[str, list[Answer]]:
    """Return what came by query: nothing, one line, or for a search as many as it found."""
    found: dict[str, list[Answer]] = {query.id: [] for query in queries}
    with refusals_translated(platform.environment):
        pages = (
            platform.client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=[_asked(query) for query in queries],
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampAscending",
            )
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                _add(found.setdefault(result["Id"], []), result)
    return found


def _add(answers: list[Answer], result: Mapping[str, Any]) -> None:
    """Add a result, or the next page of one that is there."""
    label, points = result.get("Label", ""), tuple(zip(result["Timestamps"], result["Values"], strict=True))
    told = [f"{message['Code']}: {message['Value']}" for message in result.get("Messages", ())]
    failed = result.get("StatusCode") in ("InternalError", "Forbidden")
    problem = (" ".join(told) or str(result["StatusCode"])) if failed else ""
    known = next((place for place, one in enumerate(answers) if one.label == label), None)
    if known is None:
        answers.append(Answer(label=label, points=points, problem=problem))
    else:
        answers[known] = replace(answers[known], points=(*answers[known].points, *points))


def _asked(query: Query) -> dict[str, Any]:
    label = {"Label": query.label} if query.label else {}
    if query.expression:
        period = {} if "SEARCH(" in query.expression else {"Period": query.period}
        return {"Id": query.id, "Expression": query.expression, "ReturnData": not query.hidden, **label, **period}
    dimensions = [{"Name": name, "Value": value} for name, value in query.dimensions]
    metric = {"Namespace": query.namespace, "MetricName": query.name, "Dimensions": dimensions}
    statistic = {"Metric": metric, "Period": query.period, "Stat": query.stat}
    return {"Id": query.id, "MetricStat": statistic, "ReturnData": not query.hidden, **label}


def read_alarms(platform: DeployedPlatform, prefixes: Iterable[str]) -> list[Alarm]:
    """Return the alarms whose names begin so, by name."""
    found: dict[str, Alarm] = {}
    with refusals_translated(platform.environment):
        pages = platform.client("cloudwatch").get_paginator("describe_alarms")
        for prefix in prefixes:
            kinds = ["MetricAlarm", "CompositeAlarm"]
            for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=kinds):
                for item in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
                    found[item["AlarmName"]] = _alarm(item)
    return [found[name] for name in sorted(found)]


def _alarm(item: Mapping[str, Any]) -> Alarm:
    actions = (*item.get("AlarmActions", ()), *item.get("InsufficientDataActions", ()))
    pages = any("alerts-page" in action for action in actions)
    return Alarm(
        name=item["AlarmName"],
        arn=item.get("AlarmArn", ""),
        state=item["StateValue"],
        since=item.get("StateTransitionedTimestamp") or item["StateUpdatedTimestamp"],
        description=item.get("AlarmDescription", ""),
        told="page" if pages else "notify" if actions else "nobody",
    )
