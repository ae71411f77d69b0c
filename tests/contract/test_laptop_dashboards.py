"""The laptop's dashboards: what their graphs mean is found, and pages are shown to this machine only."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from laptop.dashboards import PREFIX, dashboard_url, of_this_machine
from tests.laptop_platform import LaptopPlatform, unique, wait_for

SCHEMA = "{AWS/SageMaker,EndpointName,VariantName}"


def _data(embedded_aws: LaptopPlatform, *queries: dict[str, Any]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    found = embedded_aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=list(queries), StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=5)
    )
    return list(found["MetricDataResults"])


def _put(embedded_aws: LaptopPlatform, endpoint: str, variant: str, *values: float) -> None:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    data = [{"MetricName": "ModelLatency", "Dimensions": dimensions, "Value": value} for value in values]
    embedded_aws.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def test_a_search_gives_each_metric_it_finds_with_what_tells_it_apart(embedded_aws: LaptopPlatform) -> None:
    endpoint = unique("endpoint")
    _put(embedded_aws, endpoint, "champion", 10, 20, 30)
    _put(embedded_aws, endpoint, "challenger", 5)
    _put(embedded_aws, unique("endpoint"), "champion", 7)
    words = f'{SCHEMA} MetricName="ModelLatency" EndpointName="{endpoint}"'
    query = {"Id": "a", "Expression": f"SEARCH('{words}', 'Maximum', 3600)"}
    found = wait_for(lambda: len(rows := _data(embedded_aws, query)) == 2 and rows)
    told = {row["Label"]: (row["Id"], max(row["Values"]), row["StatusCode"]) for row in found}
    assert told == {"champion": ("a", 30, "Complete"), "challenger": ("a", 5, "Complete")}
    nothing = query | {"Expression": f"SEARCH('{SCHEMA} MetricName=\"{unique('none')}\"', 'Sum', 300)"}
    assert _data(embedded_aws, nothing) == []


def test_an_expression_that_is_not_evaluated_says_so_and_does_not_look_empty(embedded_aws: LaptopPlatform) -> None:
    (found,) = _data(embedded_aws, {"Id": "a", "Expression": f"SEARCH('{SCHEMA} a OR b', 'Sum', 300)"})
    assert found["StatusCode"] == "InternalError"
    assert found["Messages"]


def _get(embedded_aws: LaptopPlatform, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
    request = urllib.request.Request(f"{embedded_aws.settings.endpoint_url}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_pages_may_load_nothing_and_stand_in_no_frame(embedded_aws: LaptopPlatform) -> None:
    assert dashboard_url(embedded_aws.settings) == f"{embedded_aws.settings.endpoint_url}{PREFIX}"
    status, page, headers = _get(embedded_aws, PREFIX)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "No project is deployed." in page
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_project_that_is_not_there_is_named(embedded_aws: LaptopPlatform) -> None:
    status, page, _ = _get(embedded_aws, f"{PREFIX}%3Cb%3Etrains")
    assert status == 404
    assert "&#x27;&lt;b&gt;trains&#x27; is not deployed" in page


def test_pages_are_read_only_and_of_this_machine_only(embedded_aws: LaptopPlatform) -> None:
    assert _get(embedded_aws, PREFIX, "POST")[0] == 405
    assert _get(embedded_aws, PREFIX, Host="pages.example:4566")[0] == 403
    assert _get(embedded_aws, PREFIX, **{"Sec-Fetch-Site": "cross-site"})[0] == 403


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1:4566", True), ("localhost", True), ("[::1]:80", True), ("127.0.0.1.example:80", False), ("", False)],
)
def test_a_name_of_elsewhere_is_not_this_machines(host: str, own: bool) -> None:
    assert of_this_machine(host) is own
