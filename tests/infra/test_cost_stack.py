"""Who is told when too much is spent, and by what it is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.config import load_config
from passerelle.contracts import tags
from tests.infra.iam.templates import Assembly

pytestmark = pytest.mark.xdist_group("infra")
Synthesised = Callable[[str], Path]


@pytest.fixture(scope="module", params=["dev", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def assembly(synthesised: Synthesised, environment: str) -> Assembly:
    return Assembly(synthesised(environment))


def _tag(key: str, value: str) -> dict[str, Any]:
    return {"Tags": {"Key": key, "Values": [value], "MatchOptions": ["EQUALS"]}}


def _notify(assembly: Assembly) -> str:
    (topic,) = [item for item in assembly.of_type("AWS::SNS::Topic") if item.logical_id.startswith("Alerts")]
    return assembly.arn_of(topic)


def test_environment_and_projects_have_budgets_that_count_what_bears_their_tags(
    assembly: Assembly, environment: str
) -> None:
    config = load_config(environment)
    assert config.budget
    own = _tag(tags.ENVIRONMENT, environment)
    found = {item.logical_id: item.properties["Budget"] for item in assembly.of_type("AWS::Budgets::Budget")}
    limits = {name: (item["BudgetLimit"], item["FilterExpression"]) for name, item in found.items()}
    assert limits == {
        "Environment": ({"Amount": config.budget.monthly_usd, "Unit": "USD"}, own),
        "Projectflights": ({"Amount": 100, "Unit": "USD"}, {"And": [own, _tag(tags.PROJECT, "flights")]}),
    }
    assert {(item["BudgetType"], item["TimeUnit"]) for item in found.values()} == {("COST", "MONTHLY")}


def test_people_are_told_of_what_is_spent_and_of_what_will_be(assembly: Assembly, environment: str) -> None:
    budget = load_config(environment).budget
    assert budget
    expected = [*(("ACTUAL", percent) for percent in budget.actual_percents), ("FORECASTED", budget.forecast_percent)]
    for item in assembly.of_type("AWS::Budgets::Budget"):
        told = item.properties["NotificationsWithSubscribers"]
        rules = [entry["Notification"] for entry in told]
        assert [(rule["NotificationType"], rule["Threshold"]) for rule in rules] == expected
        assert {(rule["ThresholdType"], rule["ComparisonOperator"]) for rule in rules} == {
            ("PERCENTAGE", "GREATER_THAN")
        }
        assert all(
            entry["Subscribers"] == [{"SubscriptionType": "SNS", "Address": _notify(assembly)}] for entry in told
        )


def test_a_budget_with_other_notifications_has_another_name_because_it_is_replaced(
    synthesised: Synthesised,
) -> None:
    # CloudFormation makes the new one before it deletes the old one, and an account has each name once.
    names = {
        environment: {
            item.properties["Budget"]["BudgetName"].rpartition("-")[2]
            for item in Assembly(synthesised(environment)).of_type("AWS::Budgets::Budget")
        }
        for environment in ("dev", "prod")
    }
    assert len(names["dev"]) == 1
    dev, prod = load_config("dev").budget, load_config("prod").budget
    assert dev
    assert prod
    told = [(item.actual_percents, item.forecast_percent) for item in (dev, prod)]
    assert (names["dev"] == names["prod"]) == (told[0] == told[1])


def test_unusual_costs_of_the_environment_are_told_at_once(assembly: Assembly, environment: str) -> None:
    budget = load_config(environment).budget
    assert budget
    (monitor,) = assembly.of_type("AWS::CE::AnomalyMonitor")
    (subscription,) = assembly.of_type("AWS::CE::AnomalySubscription")
    assert monitor.properties["MonitorType"] == "CUSTOM"
    assert json.loads(monitor.properties["MonitorSpecification"]) == _tag(tags.ENVIRONMENT, environment)
    assert subscription.properties["Frequency"] == "IMMEDIATE"
    assert subscription.properties["Subscribers"] == [{"Type": "SNS", "Address": _notify(assembly)}]
    least = json.loads(subscription.properties["ThresholdExpression"])["Dimensions"]
    assert least["Values"] == [f"{budget.anomaly_usd:g}"]


def test_the_laptop_costs_nothing_and_has_no_budget(synthesised: Synthesised) -> None:
    assembly = Assembly(synthesised("laptop"))
    assert not [item for item in assembly.resources if item.type.startswith(("AWS::Budgets", "AWS::CE"))]
