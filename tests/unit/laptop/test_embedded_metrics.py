"""Log lines in CloudWatch's embedded metric format become metrics; what breaks the format gives none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laptop.ministack.embedded_metrics import metric_data

NOW = 1_790_000_000.0


def line(root: dict[str, Any] | None = None, *, timestamp: Any = NOW * 1000, **directive: Any) -> str:
    one = {"Namespace": "Shop", "Dimensions": [["Part"]], "Metrics": [{"Name": "Sold", "Unit": "Count"}]} | directive
    meta = {"Timestamp": timestamp, "CloudWatchMetrics": [one]}
    return json.dumps({"_aws": meta, "Part": "door", "Kind": "b", "Sold": 3, **(root or {})})


def put(message: str) -> list[tuple[str, list[dict[str, Any]]]]:
    return list(metric_data(message, now=NOW))


def test_each_set_of_dimensions_is_a_metric_of_its_own() -> None:
    ((namespace, data),) = put(line(Dimensions=[["Part"], ["Part", "Kind"], []]))
    part, kind = {"Name": "Part", "Value": "door"}, {"Name": "Kind", "Value": "b"}
    assert namespace == "Shop"
    assert [datum["Dimensions"] for datum in data] == [[part], [part, kind], []]
    assert {datum["Timestamp"] for datum in data} == {NOW}


def test_a_list_of_values_and_a_unit_are_kept() -> None:
    ((_, data),) = put(line({"Sold": [1, 2.5]}, Metrics=[{"Name": "Sold", "Unit": "Milliseconds"}]))
    assert data == [
        {"MetricName": "Sold", "Dimensions": [{"Name": "Part", "Value": "door"}], "Unit": "Milliseconds",
         "Values": [1.0, 2.5], "Timestamp": NOW}
    ]  # fmt: skip


def test_a_document_may_have_many_namespaces() -> None:
    document = json.loads(line())
    first = document["_aws"]["CloudWatchMetrics"][0]
    document["_aws"]["CloudWatchMetrics"].append(first | {"Namespace": "Other", "Dimensions": []})
    assert [(namespace, len(data)) for namespace, data in put(json.dumps(document))] == [("Shop", 1), ("Other", 1)]


def test_a_metric_that_the_document_does_not_have_is_left_out() -> None:
    ((_, data),) = put(line(Metrics=[{"Name": "Gone"}, {"Name": "Sold"}]))
    assert [(datum["MetricName"], datum["Unit"]) for datum in data] == [("Sold", "None")]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object|not a JSON object"),
        ('{"_aws": 1}', "_aws is no object"),
        (line(timestamp="now"), "Timestamp"),
        (line(timestamp=NOW), "two weeks"),
        (line(Namespace=""), "Namespace"),
        (line(Dimensions=[["Gone"]]), "dimension 'Gone'"),
        (line({"Part": 1}), "dimension 'Part'"),
        (line(Dimensions="Part"), "Dimensions is no list"),
        (line(Dimensions=[[f"d{n}" for n in range(31)]]), "31 dimensions"),
        (line(Metrics=[{"Name": f"m{n}"} for n in range(101)]), "101 metrics"),
        (line({"Sold": "many"}), "no number"),
        (line({"Sold": True}), "no number"),
        (line({"Sold": [1, None]}), "no number"),
        (line({"Sold": float("nan")}), "no number"),
        (line({"Sold": [1] * 101}), "101 values"),
        (line(Metrics=[1]), "Metrics is no object"),
        (line(Metrics=[{"Name": 1}]), "no text"),
    ],
)
def test_what_breaks_the_format_gives_nothing_and_says_why(message: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        put(message)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["_aws", "CloudWatchMetrics", "Timestamp", "Namespace", "Dimensions", "Metrics", "Name"]
                ),
                inner,
            )
        ),
    )
)
def test_no_line_does_more_than_be_refused(document: Any) -> None:
    with contextlib.suppress(ValueError):
        put(json.dumps(document))
