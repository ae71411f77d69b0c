"""What an idle environment costs, against the budgets of its projects."""

from __future__ import annotations

import pytest

from passerelle.domain.preflight import idle_cost
from tests.unit.cli.preflight import CERTIFICATE, given, one, project, tracking


def test_the_golden_sum_of_an_idle_environment_is_exact() -> None:
    """Fargate ARM 0.5 vCPU + 1 GB, t4g.micro + 20 GB, one endpoint, an IPv4 address, a key, four secrets; us-east-1."""
    lines = {line.what: line.usd for line in idle_cost.platform_lines(given())}
    assert lines == pytest.approx(
        {
            "Encryption key": 1.0,
            "Interface endpoints (1, zones: 1)": 7.30,
            "MLflow's processors": 11.8187,
            "MLflow's memory": 2.5988,
            "MLflow's public addresses": 3.65,
            "Database db.t4g.micro Single-AZ": 11.68,
            "Its storage Single-AZ": 2.30,
            "Secrets": 1.60,
        }
    )


def test_working_hours_save_tasks_and_database_but_neither_storage_nor_endpoints() -> None:
    always = {line.what: line.usd for line in idle_cost.platform_lines(given())}
    office = given(tracking=tracking(hours={"start": 7, "stop": 20}))
    some = {line.what: line.usd for line in idle_cost.platform_lines(office)}
    share = {what: some[what] / always[what] for what in always if some[what] and always[what]}
    tasks = 5 * 13 / 168
    assert share["MLflow's processors"] == pytest.approx(tasks)
    assert tasks < share["Database db.t4g.micro Single-AZ"] < tasks * 1.05
    assert share["Its storage Single-AZ"] == share["Interface endpoints (1, zones: 1)"] == 1.0


def test_a_load_balancer_and_gateways_are_counted_where_they_are_made() -> None:
    network = {"egress": "nat", "cidr": "10.60.0.0/20", "zones": ["a", "b", "c"], "nat_gateways": 2}
    door = tracking(
        certificate_arn=CERTIFICATE.format("us-east-1"), domain_name="x.example.com", oidc={"client_secret_name": "s"}
    )
    lines = {line.what: line.usd for line in idle_cost.platform_lines(given(network=network, tracking=door))}
    assert lines["NAT gateways"] == pytest.approx(65.70)
    assert lines["Their public addresses"] == pytest.approx(7.30)
    assert lines["Load balancer"] == pytest.approx(16.425)
    assert lines["Its public addresses"] == pytest.approx(3 * 3.65)
    assert "MLflow's public addresses" not in lines


def test_an_endpoint_above_its_projects_budget_is_missing_and_serverless_costs_nothing() -> None:
    served, idle = project("aa", budget=80), project("bb", serving={"profile": "serverless"})
    found = list(idle_cost.judge_cost(given(), [served, idle]))
    over = one(found, "Budget: aa")
    assert (over.status, over.found) == ("missing", "Endpoint of aa (1 × ml.m5.large): 83.95 of 80.00 USD a month")
    assert one(found, "Budget: bb").status == "ok"
    assert one(found, "Idle cost").status == "ok"


def test_a_total_above_all_budgets_is_a_warning_that_says_how_to_save() -> None:
    found = one(idle_cost.judge_cost(given(), [project(budget=90)]), "Idle cost")
    assert (found.status, found.found) == ("warning", "about 125.90 USD a month, budgets of all projects 90.00")
    assert "serverless" in found.remedy
    assert len(found.details) == 9


def test_what_has_no_known_price_is_listed_and_makes_the_total_a_floor() -> None:
    found = list(idle_cost.judge_cost(given(region="eu-west-3"), [project(serving={"instance_type": "ml.g5.xlarge"})]))
    total = one(found, "Idle cost")
    assert total.found.startswith("at least ")
    assert "Encryption key, Interface endpoints (1, zones: 1), MLflow's processors" in total.remedy
    assert "Endpoint of flights (1 × ml.g5.xlarge): 730 instance-hour, no known price" in total.details
    assert one(found, "Budget: flights").status == "warning"


def test_an_endpoint_that_is_kept_warm_is_listed_and_one_that_scales_costs_its_least() -> None:
    warm = project("aa", serving={"profile": "serverless", "provisioned_concurrency": 2})
    line = idle_cost.endpoint_line(warm, "us-east-1")
    assert line is not None
    assert (line.what, line.usd) == ("Provisioned concurrency of aa (2 × 2048 MB)", None)
    bounds = {"min": 2, "max": 5, "invocations_per_minute": 600}
    single, scaled = (
        idle_cost.endpoint_line(project("bb", serving={"profile": "real-time", **part}), "us-east-1")
        for part in ({}, {"autoscaling": bounds})
    )
    assert single is not None
    assert scaled is not None
    assert (scaled.quantity, scaled.usd) == (2 * single.quantity, 2 * (single.usd or 0))
