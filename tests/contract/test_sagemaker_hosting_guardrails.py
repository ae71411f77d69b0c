"""Deployment guardrails: traffic moves by the configured shares, alarms bring it back, and no request is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.hosting import rollout
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_deployments import FOR_EVER, blue_green, canary, count, percent, rolling, served, wide
from tests.contract.sagemaker_endpoints import (
    ask,
    config,
    described,
    hold,
    in_background,
    measured,
    model,
    refusal,
    serve,
    settled,
    status,
    update,
)
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["hold", "own", "served", "wide"]


def stage(own: Own) -> str | None:
    """Return what the update is at, None when there is none."""
    pending = described(own).get("PendingDeploymentSummary")
    return str(pending["ProductionVariants"][0]["VariantStatus"][0]["Status"]) if pending else None


def shift(own: Own, deployment: dict[str, Any], until: str = "ActivatingTraffic") -> None:
    """Begin an update, and wait until it is at a stage."""
    update(own, "c2", DeploymentConfig=deployment)
    wait_for(lambda: stage(own) == until and "e" in own.sagemaker.hosting.runtime.shifts)


def shares(own: Own, calls: int = 200) -> Counter[str]:
    return Counter(ask(own)["name"] for _ in range(calls))


def processes(own: Own) -> list[str]:
    """Return which model each live server process of the endpoint serves."""
    runtime = own.sagemaker.hosting.runtime
    serving = runtime.serving()
    return sorted(variant._container_spec["Environment"]["NAME"]
                  for _, fleet in serving for variant in fleet.variants() if variant.alive)  # fmt: skip


@contextmanager
def callers(own: Own) -> Iterator[list[Any]]:
    """Ask without end from two threads; what they got, names and errors, comes into the list."""
    over = threading.Event()

    def run() -> list[Any]:
        got = []
        while not over.is_set():
            try:
                got.append(ask(own)["name"])
            except Exception as error:
                got.append(error)
        return got

    threads = [in_background(run) for _ in range(2)]
    answers: list[Any] = []
    try:
        yield answers
    finally:
        over.set()
        for thread, got in threads:
            thread.join()
            answers += got[0]


def test_a_canary_gets_its_share_and_then_everything(served: Own) -> None:
    shift(served, canary(FOR_EVER))
    seen = shares(served)
    assert 15 <= seen["new"] <= 70, "about a fifth of 200"
    assert described(served)["EndpointConfigName"] == "c", "the old configuration until all is done"
    assert described(served)["ProductionVariants"][0]["CurrentWeight"] == 1.0
    served.around.alarms["errors"] = "ALARM"
    assert settled(served)["EndpointConfigName"] == "c"
    served.around.alarms["errors"] = "OK"
    update(served, "c3", DeploymentConfig=canary(0))
    assert settled(served)["EndpointConfigName"] == "c3"
    assert shares(served, 20) == {"new": 20}
    assert processes(served) == ["new"]


def test_an_alarm_in_the_canary_brings_the_old_fleet_back_and_nobody_notices(served: Own) -> None:
    with callers(served) as answers:
        shift(served, canary(FOR_EVER))
        wait_for(lambda: any(datum.dimensions.get("EndpointConfigName") == "c2" for datum in served.around.metrics))
        served.around.alarms["errors"] = "ALARM"
        wait_for(lambda: status(served) == "InService")
    answer = described(served)
    assert answer["EndpointConfigName"] == "c"
    assert "errors" in answer["FailureReason"]
    assert "PendingDeploymentSummary" not in answer
    assert answer["LastDeploymentConfig"] == canary(FOR_EVER)
    assert set(answers) == {"old", "new"}, "no request failed"
    assert shares(served, 20) == {"old": 20}
    wait_for(lambda: processes(served) == ["old"])
    events = [detail["EndpointStatus"] for _, detail in served.around.events]
    assert events[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]


def test_while_the_new_fleet_ends_its_requests_the_endpoint_is_rolling_back(own: Own, hold: Path) -> None:
    model(own, "old")
    model(own, "new", HOLD=str(hold))
    for name, served_by in (("c", "old"), ("c2", "new")):
        config(own, name, make.variant("main", ModelName=served_by))
    serve(own, "c")
    shift(own, blue_green("ALL_AT_ONCE", 0, bake=FOR_EVER), until="Baking")
    caller, answers = in_background(lambda: ask(own)["name"])
    wait_for(hold.with_name("hold.seen").exists)
    own.around.alarms["errors"] = "ALARM"
    wait_for(lambda: status(own) == "RollingBack")
    assert ask(own)["name"] == "old", "the old fleet serves at once"
    assert "in-progress" in refusal(lambda: own.call("DeleteEndpoint", {"EndpointName": "e"})).message
    assert "in-progress" in refusal(lambda: update(own, "c2")).message
    hold.unlink()
    caller.join()
    assert answers == ["new"], "whoever was with the new fleet has its answer"
    assert settled(own)["EndpointConfigName"] == "c"


def test_a_linear_shift_goes_through_all_its_stages(served: Own) -> None:
    seen: list[str] = []

    def look() -> bool:
        current = stage(served)
        if current is not None and seen[-1:] != [current]:
            seen.append(current)
        return status(served) == "InService"

    with callers(served) as answers:
        update(served, "c2", DeploymentConfig=blue_green("LINEAR", 1, bake=1, LinearStepSize=percent(50)))
        wait_for(look)
    assert seen == ["Creating", "ActivatingTraffic", "Baking"]
    assert set(answers) == {"old", "new"}
    assert described(served)["EndpointConfigName"] == "c2"
    assert "FailureReason" not in described(served)


def test_an_alarm_while_all_requests_are_with_the_new_fleet_still_brings_the_old_one_back(served: Own) -> None:
    shift(served, blue_green("ALL_AT_ONCE", 0, bake=FOR_EVER), until="Baking")
    assert shares(served, 20) == {"new": 20}
    assert processes(served) == ["new", "old"], "the old fleet stands by"
    served.around.alarms["errors"] = "ALARM"
    answer = settled(served)
    assert (answer["EndpointConfigName"], "errors" in answer["FailureReason"]) == ("c", True)
    assert shares(served, 20) == {"old": 20}


def test_an_alarm_that_rings_before_the_update_ends_it_before_anything_is_started(served: Own) -> None:
    served.around.alarms["errors"] = "ALARM"
    update(served, "c2", DeploymentConfig=canary(0))
    answer = settled(served)
    assert (answer["EndpointConfigName"], "errors" in answer["FailureReason"]) == ("c", True)
    assert len(list((served.settings.sagemaker_home / "endpoints" / "e").iterdir())) == 1, "no server but the old"
    served.around.alarms["errors"] = "OK"
    update(served, "c2", DeploymentConfig=canary(0))
    answer = settled(served)
    assert answer["EndpointConfigName"] == "c2"
    assert "FailureReason" not in answer, "that was the update before"


def test_an_alarm_without_data_is_no_alarm(served: Own) -> None:
    served.around.alarms["errors"] = "INSUFFICIENT_DATA"
    update(served, "c2", DeploymentConfig=canary(1))
    assert settled(served)["EndpointConfigName"] == "c2"


def test_a_retained_deployment_configuration_is_acted_on(served: Own) -> None:
    update(served, "c2", DeploymentConfig=canary(0))
    settled(served)
    served.around.alarms["errors"] = "ALARM"
    update(served, "c3", RetainDeploymentConfig=True)
    assert "errors" in settled(served)["FailureReason"]
    update(served, "c3")
    assert settled(served)["EndpointConfigName"] == "c3", "without one nothing is watched"


def test_a_deployment_that_takes_too_long_is_rolled_back(served: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "execution_seconds", lambda config: 2.0)
    update(served, "c2", DeploymentConfig=canary(FOR_EVER))
    answer = settled(served)
    assert (answer["EndpointConfigName"], "MaximumExecutionTime" in answer["FailureReason"]) == ("c", True)


def test_a_rolling_update_replaces_one_instance_after_another(wide: Own) -> None:
    with callers(wide) as answers:
        shift(wide, rolling(2))
        assert processes(wide) == ["new", "old", "old"], "the first batch beside the whole old fleet"
        assert settled(wide)["EndpointConfigName"] == "c2"
    assert set(answers) == {"old", "new"}, "no request failed"
    wait_for(lambda: processes(wide) == ["new", "new"])
    assert described(wide)["ProductionVariants"][0]["CurrentInstanceCount"] == 2


@pytest.mark.parametrize("sizes", [{}, {"RollbackMaximumBatchSize": count(1)}])
def test_a_rolling_update_that_rolls_back_has_all_its_old_instances_again(
    wide: Own, sizes: dict[str, dict[str, Any]]
) -> None:
    with callers(wide) as answers:
        update(wide, "c2", DeploymentConfig=rolling(2, **sizes))
        wait_for(lambda: processes(wide) == ["new", "new", "old"])
        wide.around.alarms["errors"] = "ALARM"
        answer = settled(wide)
    assert (answer["EndpointConfigName"], "errors" in answer["FailureReason"]) == ("c", True)
    assert set(answers) == {"old", "new"}, "no request failed"
    assert processes(wide) == ["old", "old"]
    assert shares(wide, 20) == {"old": 20}


def test_a_restart_in_the_middle_of_a_shift_goes_on_where_it_was(served: Own) -> None:
    shift(served, canary(FOR_EVER, 50))
    served.reopen()
    wait_for(lambda: "e" in served.sagemaker.hosting.runtime.fleets)
    assert ask(served)["name"] in ("old", "new")
    wait_for(lambda: "e" in served.sagemaker.hosting.runtime.shifts)
    assert shares(served, 60).keys() == {"old", "new"}
    assert (status(served), stage(served)) == ("Updating", "ActivatingTraffic")
    served.around.alarms["errors"] = "ALARM"
    assert settled(served)["EndpointConfigName"] == "c"
    assert shares(served, 20) == {"old": 20}


def test_a_restart_while_the_new_fleet_bakes_leaves_it_all_requests(served: Own) -> None:
    shift(served, blue_green("LINEAR", 0, bake=FOR_EVER, LinearStepSize=percent(10)), until="Baking")
    served.reopen()
    wait_for(lambda: "e" in served.sagemaker.hosting.runtime.shifts)
    assert shares(served, 30) == {"new": 30}
    assert stage(served) == "Baking"


def test_a_restart_while_rolling_back_never_takes_the_update_up_again(own: Own, hold: Path) -> None:
    model(own, "old")
    model(own, "new", HOLD=str(hold))
    for name, served_by in (("c", "old"), ("c2", "new")):
        config(own, name, make.variant("main", ModelName=served_by))
    serve(own, "c")
    shift(own, blue_green("ALL_AT_ONCE", 0, bake=FOR_EVER), until="Baking")
    caller, _ = in_background(lambda: ask(own))
    wait_for(hold.with_name("hold.seen").exists)
    own.around.alarms["errors"] = "ALARM"
    wait_for(lambda: status(own) == "RollingBack")
    own.reopen()
    caller.join()
    answer = settled(own)
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("InService", "c")
    assert "errors" in answer["FailureReason"]
    assert ask(own)["name"] == "old"


def test_metrics_can_be_read_of_the_variant_and_of_one_endpoint_configuration_alone(served: Own) -> None:
    shift(served, canary(FOR_EVER, 50))
    seen = shares(served, 40)
    assert sum(datum.count for datum in measured(served) if datum.name == "Invocations") == 40
    for name, answered_by in (("c", "old"), ("c2", "new")):
        place = {"EndpointName": "e", "VariantName": "main", "EndpointConfigName": name}
        data = [datum for datum in served.around.metrics if datum.dimensions == place and datum.name == "ModelLatency"]
        assert sum(datum.count for datum in data) == seen[answered_by]
