"""Dashboards as CloudWatch stores them, and the lines that its answers become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passerelle.domain.dashboard.body import AlarmStates, Body, Graph, Other, Text, measured
from passerelle.domain.dashboard.lines import Answer, lines_of, problems_of, unit_of

SEARCH = "SEARCH('{AWS/SageMaker,EndpointName,VariantName} MetricName=\"ModelLatency\" EndpointName=\"e\"', 'p99', 300)"
MOMENT = datetime(2026, 11, 22, tzinfo=UTC)


def _body(*widgets: dict[str, Any]) -> Body:
    return Body.parse(json.dumps({"widgets": widgets}))


def _graph(metrics: list[Any], **properties: Any) -> Graph:
    (found,) = _body({"type": "metric", "width": 8, "properties": {"metrics": metrics, **properties}}).widgets
    assert isinstance(found, Graph)
    return found


def test_widgets_are_read_from_above_and_from_the_left() -> None:
    texts = [
        {"type": "text", "x": x, "y": y, "width": 12, "properties": {"markdown": f"{x} {y}"}}
        for x, y in ((12, 1), (0, 2), (0, 1))
    ]
    assert [one.markdown for one in _body(*texts).widgets if isinstance(one, Text)] == ["0 1", "12 1", "0 2"]


def test_a_metric_has_its_dimensions_its_own_period_and_else_the_graphs() -> None:
    graph = _graph(
        [["N", "M", "A", "1", "B", "2", {"stat": "Sum", "label": "l"}], ["N", "M2", {"period": 60, "yAxis": "right"}]],
        period=86_400,
        yAxis={"left": {"label": "USD"}},
        annotations={"horizontal": [{"value": 100, "label": "budget"}]},
    )
    first, second = graph.queries
    assert (first.namespace, first.name, first.dimensions) == ("N", "M", (("A", "1"), ("B", "2")))
    assert (first.stat, first.period, first.label, first.right) == ("Sum", 86_400, "l", False)
    assert (second.stat, second.period, second.right) == ("Average", 60, True)
    assert (graph.unit, graph.limits[0].value, graph.limits[0].label) == ("USD", 100, "budget")


def test_dots_repeat_what_the_metric_before_had() -> None:
    queries = _graph([["N", "M", "A", "1", "B", "2"], [".", "M2", ".", ".", ".", "3"], ["...", "4"]]).queries
    assert [(one.name, one.dimensions) for one in queries] == [
        ("M", (("A", "1"), ("B", "2"))),
        ("M2", (("A", "1"), ("B", "3"))),
        ("M2", (("A", "1"), ("B", "4"))),
    ]


def test_a_search_tells_its_metric_its_statistic_and_its_period_which_can_be_made_longer() -> None:
    (query,) = _graph([[{"expression": SEARCH}]]).queries
    assert (measured(query), query.stat, query.period) == ("ModelLatency", "p99", 300)
    assert query.over(60) == query
    longer = query.over(3_600)
    assert (longer.period, longer.expression) == (3_600, SEARCH.replace("300", "3600"))


def test_alarms_are_read_and_what_is_not_drawn_is_named() -> None:
    alarms, other = _body(
        {"type": "alarm", "y": 0, "properties": {"title": "t", "alarms": ["arn:a"]}},
        {"type": "explorer", "y": 1, "properties": {}},
    ).widgets
    assert isinstance(alarms, AlarmStates)
    assert alarms.arns == ("arn:a",)
    assert isinstance(other, Other)
    assert other.type == "explorer"


def test_a_body_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="an object with widgets"):
        Body.parse("[]")


def test_latencies_become_milliseconds_in_the_order_of_time() -> None:
    graph = _graph([[{"expression": SEARCH}]])
    query = graph.queries[0]
    later = MOMENT + timedelta(hours=1)
    (line,) = lines_of(graph, {query.id: [Answer(label="champion", points=((later, 2_000.0), (MOMENT, 1_000.0)))]})
    assert line.points == ((MOMENT, 1.0), (later, 2.0))
    assert unit_of(query) == "ms"


def test_lines_of_one_name_are_told_apart_by_metric_and_by_statistic() -> None:
    p50, other = SEARCH.replace("p99", "p50"), SEARCH.replace("ModelLatency", "OverheadLatency")
    graph = _graph([[{"expression": SEARCH}], [{"expression": p50}], [{"expression": other}]])
    answers = {query.id: [Answer(label="champion", points=((MOMENT, 1.0),))] for query in graph.queries}
    assert [line.label for line in lines_of(graph, answers)] == [
        "champion, ModelLatency, p99",
        "champion, ModelLatency, p50",
        "champion, OverheadLatency",
    ]


def test_what_was_not_answered_is_said_once_and_hidden_metrics_are_not_drawn() -> None:
    graph = _graph([["N", "A"], ["N", "B"], ["N", "C", {"visible": False}]])
    first, second, hidden = graph.queries
    answers = {
        first.id: [Answer(label="a", problem="Unsupported")],
        second.id: [Answer(label="b", problem="Unsupported")],
        hidden.id: [Answer(label="c", points=((MOMENT, 1.0),))],
    }
    assert lines_of(graph, answers) == ()
    assert problems_of(graph, answers) == ("Unsupported",)
