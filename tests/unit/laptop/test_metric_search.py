"""Which metrics a search expression finds."""

from __future__ import annotations

import pytest

from laptop.ministack.metric_search import Found, Search, labels

CHAMPION = Found("AWS/SageMaker", "Invocations", {"EndpointName": "passerelle-dev-flights", "VariantName": "champion"})
OTHER = Found("AWS/SageMaker", "Invocations", {"EndpointName": "passerelle-dev-flights-b", "VariantName": "champion"})
JOB = Found("/aws/sagemaker/TrainingJobs", "CPUUtilization", {"Host": "flights-20261122t1-train-1/algo-1"})
FUNCTION = Found("AWS/Lambda", "Errors", {"FunctionName": "passerelle-dev-WatchDrift"})


@pytest.mark.parametrize(
    ("metric", "terms", "found"),
    [
        (CHAMPION, 'MetricName="Invocations" EndpointName="passerelle-dev-flights"', True),
        (OTHER, 'MetricName="Invocations" EndpointName="passerelle-dev-flights"', False),
        (CHAMPION, 'MetricName="ModelLatency"', False),
        (OTHER, "passerelle dev", True),
        (OTHER, "passerelle AND staging", False),
        (OTHER, '"passerelle-dev-flights-b"', True),
        (OTHER, '"passerelle-dev"', False),
    ],
)
def test_terms_in_quotes_are_whole_names_and_others_parts_of_them(metric: Found, terms: str, found: bool) -> None:
    search = Search.parse(f"SEARCH('{{AWS/SageMaker,EndpointName,VariantName}} {terms}', 'Sum', 300)")
    assert search.matches(metric) is found


def test_dimensions_are_exactly_those_of_the_metric() -> None:
    search = Search.parse("SEARCH('{AWS/SageMaker,EndpointName} MetricName=\"Invocations\"', 'Sum', 300)")
    assert not search.matches(CHAMPION)


def test_a_namespace_may_be_in_quotes_and_names_are_cut_where_capitals_begin() -> None:
    search = Search.parse(
        "SEARCH('{\"/aws/sagemaker/TrainingJobs\",Host} MetricName=\"CPUUtilization\" flights', 'Average', 60)"
    )
    assert search.matches(JOB)
    assert (search.stat, search.period) == ("Average", 60)
    assert Search.parse("SEARCH('{AWS/Lambda,FunctionName} watch', 'Sum')").matches(FUNCTION)


@pytest.mark.parametrize(
    "expression", ["METRICS()", "SEARCH('{A,B} x OR y', 'Sum', 300)", "SUM(SEARCH('{A} x', 'Sum'))"]
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="laptop"):
        Search.parse(expression)


def test_labels_tell_what_is_found_apart() -> None:
    assert labels([CHAMPION]) == ["Invocations"]
    assert labels([CHAMPION, OTHER]) == ["passerelle-dev-flights", "passerelle-dev-flights-b"]
