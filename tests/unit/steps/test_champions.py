"""What a deployment by hand changes: a way back without shadow and steps, and who asked for which champion."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.contracts.promotions import PREFIX, Promotion
from passerelle.errors import InputError
from passerelle.settings import PlanDeploymentSettings, PromoteModelSettings
from passerelle.steps import plan_deployment as planning
from passerelle.steps import promote_model as promoting
from passerelle.steps.change_champion import read_history

from .results import BASE
from .world import IMAGE, ROLE, Aws

TRAINED = "s3://test-models/flights/training/flights-r1-train-1/output/model.tar.gz"
SERVING = {
    "profile": "real-time",
    "instance_count": 2,
    "capture_percent": 100,
    "shadow": {"percent": 50, "hours": 24},
    "rollout": {"type": "linear", "percent": 10},
}
BACK = {"how": "rollback", "by": "arn:someone", "reason": "wrong prices"}


def _plan(aws: Aws, monkeypatch: pytest.MonkeyPatch, *, served: bool, **request: Any) -> dict[str, Any]:
    variant = {"VariantName": "champion", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    monkeypatch.setattr(planning, "current_config", lambda *_: "older")
    monkeypatch.setattr(planning, "describe_config", lambda name: {"ProductionVariants": [variant]})
    aws.deploy_project(serving=SERVING)
    aws.begin_run(gate={"status": "passed"}, endpoint_name="e" if served else None)
    settings = PlanDeploymentSettings(
        **aws.shared, zones=aws.buckets, image_uri=IMAGE, model_role_arn=ROLE, kms_key_arn="",
        alerts_topic_arn="arn:aws:sns:us-east-1:123456789012:alerts", rollout_wait_seconds=3_600,
    )  # fmt: skip
    asked = {**BASE, "model_version": "3", "model_data_url": TRAINED, **request}
    return planning.plan_deployment(asked, settings)


def test_the_way_back_has_no_shadow_and_one_step_and_alarms_still_watch_it(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(aws, monkeypatch, served=True, asked=BACK)
    config = plan["change"]["endpoint"]["DeploymentConfig"]
    assert plan["change"]["phase"] == "serve"
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
    assert len(config["AutoRollbackConfiguration"]["Alarms"]) == 2
    assert plan["asked"] == BACK


@pytest.mark.parametrize("asked", [{"how": "promote"}, {"how": "redeploy"}, {}])
def test_no_other_way_spares_a_model_its_shadow_even_if_it_was_served_before(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    assert _plan(aws, monkeypatch, served=True, asked=asked)["change"]["phase"] == "shadow"


def test_what_was_never_served_takes_no_way_back_even_if_the_machine_is_started_by_hand(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"run r1 was never served.*`passerelle promote flights --run r1`"):
        _plan(aws, monkeypatch, served=False, asked=BACK)


# Written down


class Registry:
    """Stands for MLflow; remembers who was made champion."""

    champions: tuple[str, ...] = ()

    def __init__(self, uri: str) -> None:
        pass

    def promote(self, name: str, version: str) -> None:
        Registry.champions += (version,)


def _promote(aws: Aws, run_id: str, version: str, **request: Any) -> dict[str, Any]:
    settings = PromoteModelSettings(**aws.shared, tracking_uri="http://mlflow")
    served = {
        "endpoint_name": "e",
        "endpoint": {"EndpointConfigName": f"c-{version}"},
        "model_data_url": f"s3://{version}",
    }
    asked = {"project": "flights", "run_id": run_id, "attempt": 1, "model_version": version, **served, **request}
    return promoting.promote_model(asked, settings)


@pytest.fixture
def trained(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setattr(promoting, "ExperimentLog", Registry)
    for number in ("1", "2"):
        aws.begin_run(f"r{number}", gate={"status": "passed"}, model_version=number)
    return aws


def test_every_change_of_the_champion_says_who_asked_for_it_and_why(trained: Aws) -> None:
    for run_id, version in (("r1", "1"), ("r2", "2")):
        _promote(trained, run_id, version)
    answer = _promote(trained, "r1", "1", asked=BACK)
    assert {key: answer[key] for key in BACK} == BACK, "the function's log has it, too"
    history = read_history(trained.table, "flights")
    assert [(item.before, item.version, item.asked.how) for item in history.promotions] == [
        (None, "1", "run"),
        ("1", "2", "run"),
        ("2", "1", "rollback"),
    ]
    assert history.promotions[-1].asked.model_dump() == BACK
    assert (history.champion, history.line, history.served) == ("1", ("1",), {"1", "2"})
    assert Registry.champions == ("1", "2", "1")


def test_a_step_that_is_called_again_writes_nothing_down_twice(trained: Aws) -> None:
    for _ in range(2):
        _promote(trained, "r1", "1", asked=BACK)
    (item,) = trained.table.items("flights", PREFIX)
    assert Promotion.model_validate_json(item["promotion"]).asked.by == "arn:someone"
