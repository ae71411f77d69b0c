"""`passerelle dashboard`: a project's page, drawn from what AWS answers, and where the laptop serves it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import metrics, naming
from passerelle.contracts.monitoring import WATCH, WINDOW
from passerelle.contracts.monitoring import Watched as Known
from passerelle.domain.monitoring.incidents import Watch
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.project_board import project_alarms, read_board, read_boards
from tests.unit.cli.test_drift import world  # noqa: F401
from tests.unit.domain.dashboard.boards import incident, moved, window
from tests.unit.steps.watched import Watched

ENDPOINT = naming.endpoint_name("prod", "flights")
OWN = {metrics.ENVIRONMENT: "prod", metrics.PROJECT: "flights"}


@pytest.fixture
def watched(world: Watched) -> Watched:  # noqa: F811
    """The world of `passerelle drift` with windows, an incident, a dashboard, a metric and alarms."""
    table = RunsTable(boto3.client("dynamodb"), world.aws.runs_table)
    for record in (window(19), window(20), moved(21, "distance", 0.3, "moderate")):
        table.put("flights", f"{WINDOW}{record.start}", record=record.model_dump_json())
    known = Known(next="2026-11-22T00:00+00:00", watch=Watch(incidents=(incident(severity="moderate"),)).to_dict())
    table.put("flights", WATCH, watched=known.model_dump_json())
    cloudwatch = boto3.client("cloudwatch")
    metric = [metrics.NAMESPACE, metrics.DRIFT_SEVERITY, *(word for pair in OWN.items() for word in pair)]
    options = {"stat": "Maximum", "period": 3_600, "label": "data drift"}
    graph = {"title": "How bad", "metrics": [[*metric, options]]}
    texts = {"type": "text", "y": 0, "width": 24, "properties": {"markdown": "# flights\nof prod"}}
    body = {"widgets": [texts, {"type": "metric", "y": 1, "width": 12, "properties": graph}]}
    cloudwatch.put_dashboard(DashboardName=ENDPOINT, DashboardBody=json.dumps(body))
    dimensions = [{"Name": name, "Value": value} for name, value in OWN.items()]
    cloudwatch.put_metric_data(
        Namespace=metrics.NAMESPACE,
        MetricData=[{"MetricName": metrics.DRIFT_SEVERITY, "Dimensions": dimensions, "Value": 2.0,
                     "Timestamp": datetime.now(UTC) - timedelta(hours=2)}],
    )  # fmt: skip
    watching = "passerelle-prod-Monitoring-Watch-flights"
    names = (f"{watching}-Drift", f"{watching}-west-Drift", f"{ENDPOINT}.errors.1a", f"{ENDPOINT}-west.errors.1a")
    for name in names:
        cloudwatch.put_metric_alarm(
            AlarmName=name, AlarmDescription=f"about {name}", MetricName="m", Namespace="n", Period=60, Threshold=1,
            EvaluationPeriods=1, Statistic="Sum", ComparisonOperator="GreaterThanThreshold",
            AlarmActions=["arn:aws:sns:us-east-1:123456789012:x-alerts-page-y"] if name.endswith("1a") else [],
        )  # fmt: skip
    boto3.client("cloudwatch").set_alarm_state(AlarmName=names[0], StateValue="ALARM", StateReason="test")
    return world


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--env", "prod", *arguments], catch_exceptions=True)


def test_an_environments_page_is_drawn_into_a_file(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = _run("dashboard", "flights", "--output", str(path), "--span", "3h")
    assert result.exception is None, result.output
    assert path.as_uri() in result.output.replace("\n", "")
    page = path.read_text()
    assert "<title>▲ flights, prod</title>" in page
    assert "distance:" in page
    assert 'aria-label="How bad. data drift: last 2 at ' in page
    assert 'http-equiv="refresh"' not in page


def test_machines_get_the_pages_address(watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = json.loads(_run("dashboard", "flights", "--json").stdout)
    assert answer == {"project": "flights", "url": (tmp_path / "flights-prod.html").as_uri()}


def test_a_project_or_a_span_that_there_is_not_is_named(watched: Watched) -> None:
    assert isinstance(_run("dashboard", "trains").exception, NotFoundError)
    result = _run("dashboard", "flights", "--span", "2y")
    assert isinstance(result.exception, InputError)
    assert "Spans: 3h, 1d, 1w, 4w" in str(result.exception)
    assert _run("dashboard").exit_code != 0


def test_alarms_are_the_projects_own_and_say_whom_they_tell(watched: Watched) -> None:
    found = project_alarms(DeployedPlatform.on_aws("prod"), "flights")
    assert [(alarm.short, alarm.state, alarm.told) for alarm in found] == [
        ("Drift", "ALARM", "nobody"),
        ("Endpoint errors", "OK", "page"),
    ]


def test_graphs_of_long_periods_show_more_than_was_asked_for(watched: Watched) -> None:
    board = read_board(DeployedPlatform.on_aws("prod"), "flights", span="3h")
    graph = board.panels[1]
    assert graph.end - graph.start == timedelta(hours=14)
    assert [line.label for line in graph.lines] == ["data drift"]


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(watched: Watched) -> None:
    boto3.client("cloudwatch").put_dashboard(DashboardName=ENDPOINT, DashboardBody='{"widgets": 1}')
    board = read_board(DeployedPlatform.on_aws("prod"), "flights")
    assert board.missing == ["Not shown: its dashboard. a dashboard's body is an object with widgets"]
    assert len(board.windows) == 3
    boto3.client("cloudwatch").delete_dashboards(DashboardNames=[ENDPOINT])
    assert read_board(DeployedPlatform.on_aws("prod"), "flights").panels == []


def test_the_list_of_all_projects_reads_no_metrics(watched: Watched) -> None:
    (board,) = read_boards(DeployedPlatform.on_aws("prod"))
    assert (board.project, board.panels) == ("flights", [])
    assert [incident.cause for incident in board.incidents] == ["drift"]
