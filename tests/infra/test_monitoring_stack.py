"""Alarms reach people by their severity, say what to do, and have their line in the runbook; dashboards show it all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.config import load_config
from passerelle.contracts import metrics, naming
from tests.infra.conftest import ENVIRONMENTS, ROOT
from tests.infra.iam.templates import Assembly, Resource

pytestmark = pytest.mark.xdist_group("infra")
Synthesised = Callable[[str], Path]
#: What wakes people, by the end of the alarm's name: something is lost or down until a person acts.
#: Alarms that tell nobody, and the one that tells when nothing is heard.
SHOWN = ("-Arrivals", "-Quality", "-Drift", "-Answers", "-Worth")
SILENT = ("-Unwatched", "-Silent")
PAGED = ("DeadLetters-NotEmpty", "Database-FreeStorageSpace", "Door-Unhealthy")


@pytest.fixture(scope="module", params=["laptop", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def assembly(synthesised: Synthesised, environment: str) -> Assembly:
    return Assembly(synthesised(environment))


def _topics(assembly: Assembly) -> dict[str, str]:
    found = {item.logical_id[:4]: assembly.arn_of(item) for item in assembly.of_type("AWS::SNS::Topic")}
    assert set(found) == {"Page", "Aler"}
    return {"page": found["Page"], "notify": found["Aler"]}


def _alarms(assembly: Assembly) -> list[Resource]:
    return assembly.of_type("AWS::CloudWatch::Alarm")


def test_every_alarm_reaches_the_topic_of_its_severity_and_a_pager_hears_the_end_too(assembly: Assembly) -> None:
    topics, paged = _topics(assembly), set()
    for alarm in _alarms(assembly):
        name = alarm.properties["AlarmName"]
        if name.endswith((*SHOWN, *SILENT)):
            continue
        severity = "page" if name.endswith(PAGED) else "notify"
        assert alarm.properties["AlarmActions"] == [topics[severity]], name
        assert alarm.properties.get("OKActions", []) == ([topics["page"]] if severity == "page" else []), name
        assert alarm.properties["TreatMissingData"] == "notBreaching", name
        paged |= {name} if severity == "page" else set()
    assert paged


def test_what_incidents_tell_of_is_shown_by_alarms_that_tell_nobody(assembly: Assembly, environment: str) -> None:
    shown = [alarm.properties for alarm in _alarms(assembly) if alarm.properties["AlarmName"].endswith(SHOWN)]
    assert [found["AlarmName"].rpartition("-")[2] for found in shown] == [
        "Arrivals",
        "Quality",
        "Drift",
        "Answers",
        "Worth",
    ]
    for found in shown:
        assert not {"AlarmActions", "OKActions", "InsufficientDataActions"} & set(found)
        # flights: daily windows, two of the last three
        assert (found["Period"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (86_400, 3, 2)
        assert (found["Statistic"], found["Threshold"], found["TreatMissingData"]) == ("Maximum", 1, "notBreaching")
        assert found["Dimensions"] == [
            {"Name": "Environment", "Value": environment},
            {"Name": "Project", "Value": "flights"},
        ]


def test_somebody_is_told_when_nobody_watches_any_more_but_not_before_anybody_did(assembly: Assembly) -> None:
    found = [alarm.properties for alarm in _alarms(assembly) if alarm.properties["AlarmName"].endswith(SILENT)]
    assert len(found) == len(SILENT)
    for silent in found:
        # It begins without data; only having had some, it loses it (user guide, "Alarm states").
        assert (silent["TreatMissingData"], silent["Statistic"]) == ("missing", "SampleCount")
        assert silent["InsufficientDataActions"] == [_topics(assembly)["notify"]]
        assert "AlarmActions" not in silent
        assert silent["Period"] * silent["EvaluationPeriods"] == 2 * 86_400


def test_a_project_that_costs_more_than_its_budget_is_told_of(assembly: Assembly, environment: str) -> None:
    names = {alarm.properties["AlarmName"]: alarm.properties for alarm in _alarms(assembly)}
    found = names[f"passerelle-{environment}-Monitoring-Watch-flights-Budget"]
    assert (found["MetricName"], found["Statistic"], found["Period"]) == (metrics.COST_TO_DATE, "Maximum", 86_400)
    assert (found["ComparisonOperator"], found["Threshold"]) == ("GreaterThanThreshold", 100)
    assert {item["Name"]: item["Value"] for item in found["Dimensions"]} == {
        metrics.ENVIRONMENT: environment,
        metrics.PROJECT: "flights",
    }


def test_costs_are_metered_four_times_a_day_and_what_is_given_up_is_kept(assembly: Assembly) -> None:
    (schedule,) = [item for item in assembly.of_type("AWS::Scheduler::Schedule") if "Meter" in item.logical_id]
    assert schedule.properties["ScheduleExpression"] == "cron(15 0/6 * * ? *)"
    (function,) = [item for item in assembly.of_type("AWS::Lambda::Function") if "MeterCosts" in item.logical_id]
    assert schedule.properties["Target"]["Arn"] == assembly.arn_of(function)
    assert json.loads(schedule.properties["Target"]["Input"]) == {}
    assert "DeadLetterConfig" in schedule.properties["Target"]
    assert "DeadLetterConfig" in function.properties


def test_each_project_is_watched_when_its_days_are_over_and_records_have_come(
    assembly: Assembly, environment: str
) -> None:
    (machine,) = [
        item for item in assembly.of_type("AWS::StepFunctions::StateMachine") if "WatchProject" in item.logical_id
    ]
    (schedule,) = [item for item in assembly.of_type("AWS::Scheduler::Schedule") if "Watch" in item.logical_id]
    assert schedule.properties["ScheduleExpression"] == "cron(20 0 * * ? *)"
    target = schedule.properties["Target"]
    assert json.loads(target["Input"]) == {"project": "flights"}
    assert target["Arn"] == assembly.arn_of(machine)
    assert "DeadLetterConfig" in target


def test_an_alarm_is_named_after_where_it_stands(assembly: Assembly, environment: str) -> None:
    names = [alarm.properties["AlarmName"] for alarm in _alarms(assembly)]
    assert len(set(names)) == len(names)
    assert f"passerelle-{environment}-Pipeline-GatherDrop-Errors" in names
    assert all(re.fullmatch(rf"passerelle-{environment}-[A-Z]\w+-[\w-]+", name) for name in names)


def test_every_alarm_says_what_it_means_and_what_to_do(assembly: Assembly) -> None:
    for alarm in [*_alarms(assembly), *assembly.of_type("AWS::CloudWatch::CompositeAlarm")]:
        meaning, *to_do = re.split(r"\. (?=[A-Z])", alarm.properties["AlarmDescription"])
        assert len(meaning) > 20, meaning
        assert len(to_do) >= 2, meaning
        assert to_do[-1] == "Runbook: docs/operations.md, Alarms.", meaning


def _runbook() -> dict[str, str]:
    """Return the runbook's alarms, `…` for any beginning, with what to do; `<…>` are named at run time."""
    section = (ROOT / "docs/operations.md").read_text().partition("## Alarms")[2].partition("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(…[\w-]+)`", cells[0]):
            found[name.removeprefix("…")] = cells[-1]
    return found


@pytest.mark.parametrize("every", ENVIRONMENTS)
def test_the_runbook_has_a_line_for_every_alarm_and_none_in_vain(synthesised: Synthesised, every: str) -> None:
    assembly, runbook = Assembly(synthesised(every)), _runbook()
    alarms = [*_alarms(assembly), *assembly.of_type("AWS::CloudWatch::CompositeAlarm")]
    names = {alarm.properties["AlarmName"] for alarm in alarms}
    for name in names:
        lines = [to_do for end, to_do in runbook.items() if name.endswith(end)]
        assert len(lines) == 1, name
        assert len(lines[0]) > 10, name
    if every == "prod":
        # The door stands only where a certificate is given; no project here has a serverless endpoint.
        none = {end for end in runbook if not any(name.endswith(end) for name in names)}
        assert none == {"-Door-Unhealthy", "-Undelivered"}


def test_what_wakes_people_is_marked_in_the_runbook() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    assert set(re.findall(r"\*\*page\*\* `…-([\w-]+)`", text)) == set(PAGED)


def test_the_state_of_the_environment_gathers_what_pages_and_does_not_page_again(
    assembly: Assembly, environment: str
) -> None:
    (state,) = assembly.of_type("AWS::CloudWatch::CompositeAlarm")
    gathered = set(
        re.findall(r'ALARM\("arn:aws:cloudwatch:[a-z0-9-]+:\d+:alarm:([^"]+)"\)', state.properties["AlarmRule"])
    )
    assert gathered == {
        name for name in (alarm.properties["AlarmName"] for alarm in _alarms(assembly)) if name.endswith(PAGED)
    }
    assert state.properties["AlarmRule"].count(" OR ") == len(gathered) - 1
    assert state.properties["AlarmName"] == f"passerelle-{environment}-Monitoring-Unhealthy"
    assert state.properties["AlarmActions"] == [_topics(assembly)["notify"]]


def test_alarms_that_are_named_elsewhere_are_there_before(synthesised: Synthesised, environment: str) -> None:
    manifest = json.loads((synthesised(environment) / "manifest.json").read_text())["artifacts"]
    stacks = {item["displayName"].rpartition("/")[2]: item for item in manifest.values() if "displayName" in item}
    needed = set(stacks["Monitoring"]["dependencies"])
    others = {key for key, item in manifest.items() if item.get("displayName", "").endswith(("Pipeline", "Foundation"))}
    assert others <= needed


@pytest.mark.parametrize("every", ENVIRONMENTS)
def test_mail_goes_to_whom_the_environment_names_and_to_nobody_else(synthesised: Synthesised, every: str) -> None:
    assembly, addresses = Assembly(synthesised(every)), load_config(every).alerts
    topics = _topics(assembly)
    found = {
        (item.properties["TopicArn"], item.properties["Protocol"], item.properties["Endpoint"])
        for item in assembly.of_type("AWS::SNS::Subscription")
    }
    expected = {(topics["page"], "email", address) for address in addresses.page}
    assert found == expected | {(topics["notify"], "email", address) for address in addresses.notify}


def test_topics_are_encrypted_and_only_services_of_this_account_publish(assembly: Assembly) -> None:
    (key,) = assembly.of_type("AWS::KMS::Key")
    assert all(
        item.properties["KmsMasterKeyId"] == assembly.arn_of(key) for item in assembly.of_type("AWS::SNS::Topic")
    )
    topics, found = _topics(assembly), {}
    for policy in assembly.of_type("AWS::SNS::TopicPolicy"):
        statements = policy.properties["PolicyDocument"]["Statement"]
        assert [item["Condition"] for item in statements if item["Effect"] == "Deny"] == [
            {"Bool": {"aws:SecureTransport": "false"}}
        ]
        for item in statements:
            if item["Effect"] == "Allow":
                account = item.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
                found[item["Resource"], item["Principal"]["Service"].partition(".")[0]] = account
    own = assembly.account.number
    # EventBridge passes no source to topics; the key is lent to it for this account's topics only (test_permissions).
    services = {"cloudwatch": own, "budgets": own, "costalerts": own, "events": None}
    assert found == {(topics["page"], "cloudwatch"): own} | {
        (topics["notify"], service): account for service, account in services.items()
    }


def _dashboards(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    return {
        item.properties["DashboardName"]: json.loads(item.properties["DashboardBody"])["widgets"]
        for item in assembly.of_type("AWS::CloudWatch::Dashboard")
    }


def _searches(widgets: list[dict[str, Any]]) -> list[str]:
    return [
        metric[0]["expression"]
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], dict)
    ]


def test_there_is_one_dashboard_for_the_platform_and_one_for_each_project(assembly: Assembly, environment: str) -> None:
    projects = load_config(environment).projects
    names = {f"passerelle-{environment}", *(naming.endpoint_name(environment, name) for name in projects)}
    found = _dashboards(assembly)
    assert set(found) == names
    for widgets in found.values():
        for widget in widgets:
            assert widget["x"] + widget["width"] <= 24
        assert all(
            re.fullmatch(r"SEARCH\('\{[^}]+\} MetricName=\"\w+\" [^']+', '\w+', \d+\)", item)
            for item in _searches(widgets)
        )


def test_the_platforms_dashboard_shows_runs_functions_queues_tracking_endpoints_and_costs(
    assembly: Assembly, environment: str
) -> None:
    widgets = _dashboards(assembly)[f"passerelle-{environment}"]
    searched = {re.search(r'\{([^,]+),.* MetricName="(\w+)"', item).groups() for item in _searches(widgets)}  # type: ignore[union-attr]
    expected = {
        *(("AWS/Lambda", name) for name in ("Errors", "Throttles", "Duration")),
        *(("AWS/SageMaker", f"Invocation{name}") for name in ("s", "4XXErrors", "5XXErrors")),
        ("AWS/SageMaker", "ModelLatency"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/Athena", "ProcessedBytes"),
    }
    if environment != "laptop":
        expected |= {("AWS/ECS", name) for name in ("CPUUtilization", "MemoryUtilization")}
        expected |= {("AWS/RDS", name) for name in ("CPUUtilization", "DatabaseConnections", "FreeStorageSpace")}
    assert searched == expected
    assert all(environment in item for item in _searches(widgets))
    shown = json.dumps(widgets)
    for machine in assembly.of_type("AWS::StepFunctions::StateMachine"):
        if machine.logical_id.startswith(("TrainingPipeline", "DeployModel")):
            started = ["AWS/States", "ExecutionsStarted", "StateMachineArn", assembly.arn_of(machine)]
            assert json.dumps(started)[1:-1] in shown
    for name in ("ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionTime"):
        assert name in shown
    assert f'["{metrics.NAMESPACE}", "{metrics.COST_TO_DATE}", "{metrics.ENVIRONMENT}", "{environment}"' in shown
    (status,) = [widget for widget in widgets if widget["type"] == "alarm"]
    states = [alarm.properties["AlarmName"] for alarm in _alarms(assembly)] + [
        f"passerelle-{environment}-Monitoring-Unhealthy"
    ]
    assert {arn.rpartition(":")[2] for arn in status["properties"]["alarms"]} <= set(states)


def test_a_projects_dashboard_has_its_endpoint_its_training_and_its_budget(
    assembly: Assembly, environment: str
) -> None:
    endpoint = naming.endpoint_name(environment, "flights")
    widgets = _dashboards(assembly)[endpoint]
    searches = _searches(widgets)
    for name in ("Invocations", "ModelLatency", "Invocation5XXErrors", "CPUUtilization"):
        assert any(f'MetricName="{name}" EndpointName="{endpoint}"' in item for item in searches), name
    assert any("/aws/sagemaker/TrainingJobs" in item and " flights'" in item for item in searches)
    (costs,) = [widget for widget in widgets if widget["properties"].get("title", "").startswith("Costs")]
    assert costs["properties"]["annotations"]["horizontal"] == [{"value": 100, "label": "budget", "yAxis": "left"}]
    dimensions = [metrics.ENVIRONMENT, environment, metrics.PROJECT, "flights"]
    assert costs["properties"]["metrics"][0][:6] == [metrics.NAMESPACE, metrics.COST_TO_DATE, *dimensions]


def test_a_projects_dashboard_shows_what_its_windows_showed(assembly: Assembly, environment: str) -> None:
    widgets = _dashboards(assembly)[naming.endpoint_name(environment, "flights")]
    own = [metrics.ENVIRONMENT, environment, metrics.PROJECT, "flights"]
    shown = {
        metric[1]: widget["properties"]["title"]
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], str) and metric[0] == metrics.NAMESPACE and metric[2:6] == own
    }
    bad = "How bad: 1 minor, 2 moderate, 3 major"
    assert {name for name, title in shown.items() if title == bad} == {
        metrics.ARRIVALS_SEVERITY,
        metrics.QUALITY_SEVERITY,
        metrics.DRIFT_SEVERITY,
        metrics.ANSWERS_SEVERITY,
        metrics.WORTH_SEVERITY,
    }
    assert (shown[metrics.ESTIMATED], shown[metrics.REALISED]) == ("roc_auc", "roc_auc")
    assert metrics.WINDOW_ROWS in shown
    gain = "Gain of a window's predictions, USD"
    assert (shown[metrics.ESTIMATED_GAIN], shown[metrics.REALISED_GAIN]) == (gain, gain)
