"""An A/B test: both models answer, each is watched, and nothing but its own end disturbs it."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.promotions import Asked
from passerelle.domain.requests.shadow import Variant
from passerelle.errors import InputError
from passerelle.steps.ab_tests import ab_test_at_work, end, last_ab_test

from .machine import Machine
from .test_changing_endpoints import REAL, SCALED, Deployments, deployments

__all__ = ["deployments"]
EXPERIMENT = {"experiment": {"percent": 30, "effect": 0.2, "entity": ["carrier"]}}
STARTED = {"asked": {"how": "experiment", "by": "arn:me", "reason": "spring"}, "experiment": {"name": "spring"}}
GATE = {"status": "passed", "test_metrics": {"value_spread": 4.0, "accuracy": 0.8}}


@pytest.fixture
def serving(deployments: Deployments) -> Deployments:
    """The champion of run r1, version 1."""
    deploy(deployments, "r1", "1")
    return deployments


def deploy(deployments: Deployments, run_id: str, version: str, gate: dict[str, Any] = GATE, **asked: Any) -> Machine:
    served = {"endpoint_name": "e"} if version == "1" else {}
    deployments.asked, deployments.record = {"model_version": version, **asked}, {"gate": gate, **served}
    return deployments.deploy(run_id, **REAL, **SCALED, **EXPERIMENT)


def variants(deployments: Deployments) -> dict[str, Variant]:
    config = deployments.configs[deployments.serves]
    return {variant["VariantName"]: variant for variant in config["ProductionVariants"]}


def test_both_models_answer_each_is_watched_and_what_was_declared_is_written_down(serving: Deployments) -> None:
    table, alone = serving.aws.table, serving.serves
    machine = deploy(serving, "r2", "2", **STARTED)
    both = variants(serving)
    assert {name: variant["InitialVariantWeight"] for name, variant in both.items()} == {
        "champion": 0.7, "challenger": 0.3
    }  # fmt: skip
    assert both["champion"]["ModelName"] != both["challenger"]["ModelName"]
    beside = serving.serves.rpartition("-")[2]
    assert serving.alarm_names() == {alone.rpartition("-")[2], beside, f"{beside}-challenger"}
    assert [machine.visited.count(name) for name in ("SmokeTest", "ResumeScaling", "PromoteModel")] == [1, 1, 0]
    test = ab_test_at_work(table, "flights")
    assert test is not None
    assert (test.name, test.version, test.champion, test.share) == ("spring", "2", "1", 0.3)
    assert (test.entity, test.outcome, test.effect, test.spread) == (("carrier",), "value", 0.2, 4.0)
    assert test.unit == "USD a prediction"
    assert test.started_at > "2026"
    assert (test.asked.by, test.asked.reason) == ("arn:me", "spring")
    assert table.item("flights", "CHAMPION") == serving.champion
    assert serving.output["status"] == "trying"


@pytest.mark.parametrize(("how", "version"), [("promote", "2"), ("stop", "1"), ("rollback", "1"), ("redeploy", "1")])
def test_it_ends_with_one_model_that_serves_alone_at_once_and_its_alarms_only(
    serving: Deployments, how: str, version: str
) -> None:
    alone = serving.serves
    deploy(serving, "r2", "2", **STARTED)
    deploy(serving, f"r{version}", version, asked={"how": how, "by": "arn:me"})
    assert list(variants(serving)) == ["champion"]
    assert (serving.serves == alone) == (version == "1")
    assert "DeploymentConfig" not in serving.updates[-1], "a guardrail wants variants of the same names"
    assert serving.alarm_names() == {serving.serves.rpartition("-")[2]}


@pytest.mark.parametrize("how", ["run", "promote"])
def test_no_other_model_is_deployed_meanwhile_and_the_refusal_says_what_to_do(serving: Deployments, how: str) -> None:
    deploy(serving, "r2", "2", **STARTED)
    with pytest.raises(InputError, match=r"Version 3 .* while A/B test spring is at work.*experiment stop flights"):
        deploy(serving, "r3", "3", asked={"how": how})


def test_a_second_test_is_refused_and_a_name_is_used_once(serving: Deployments) -> None:
    deploy(serving, "r2", "2", **STARTED)
    with pytest.raises(InputError, match="spring of flights is at work"):
        deploy(serving, "r3", "3", **STARTED | {"experiment": {"name": "summer"}})
    deploy(serving, "r1", "1", asked={"how": "stop"})
    end(serving.aws.table, "flights", served="1", asked=Asked(how="stop"))
    with pytest.raises(InputError, match="spring of flights was there before"):
        deploy(serving, "r2", "2", **STARTED)
    deploy(serving, "r2", "2", **STARTED | {"experiment": {"name": "summer", "percent": 50, "spread": 3.5}})
    test = ab_test_at_work(serving.aws.table, "flights")
    assert test is not None
    assert (test.name, test.share, test.spread) == ("summer", 0.5, 3.5)


def test_a_challenger_that_fails_its_smoke_test_is_withdrawn_and_no_test_has_begun(serving: Deployments) -> None:
    alone = serving.serves
    serving.smoke = "gives other predictions"
    with pytest.raises(AssertionError, match=r"withdrawn from endpoint .* smoke test: .*gives other predictions"):
        deploy(serving, "r2", "2", **STARTED)
    assert serving.serves == alone
    assert serving.alarm_names() == {alone.rpartition("-")[2]}
    assert last_ab_test(serving.aws.table, "flights") is None


def test_without_a_champion_a_declaration_or_a_spread_nothing_begins(deployments: Deployments) -> None:
    with pytest.raises(InputError, match="has no champion on instances"):
        deploy(deployments, "r2", "2", **STARTED)
    deploy(deployments, "r1", "1")
    with pytest.raises(InputError, match="Version 1 of flights is the champion"):
        deploy(deployments, "r1", "1", **STARTED)
    with pytest.raises(InputError, match="--spread NUMBER"):
        deploy(deployments, "r2", "2", gate={"status": "passed"}, **STARTED)
    deployments.asked = {"model_version": "2", **STARTED}
    with pytest.raises(InputError, match=r"declares no serving\.experiment"):
        deployments.deploy("r2", **REAL)


def test_a_test_that_ends_is_kept_under_its_beginning_and_ends_once(serving: Deployments) -> None:
    table: RunsTable = serving.aws.table
    end(table, "flights", served="1", asked=Asked(how="stop"))
    assert last_ab_test(table, "flights") is None
    deploy(serving, "r2", "2", **STARTED)
    for reason in ("enough", "again"):
        end(table, "flights", served="2", asked=Asked(how="promote", reason=reason))
    test = last_ab_test(table, "flights")
    assert test is not None
    assert test.ended is not None
    assert (test.ended.served, test.ended.asked.reason) == ("2", "enough")
    assert ab_test_at_work(table, "flights") is None
    assert len(table.items("flights", "EXPERIMENT#")) == 1
