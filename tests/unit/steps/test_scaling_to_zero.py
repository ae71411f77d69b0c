"""The deploy machine with an endpoint that scales to zero: the model is a component that keeps its name."""

from __future__ import annotations

import pytest

from .test_changing_endpoints import ENDPOINT, REAL, SCALED, Deployments, deployments

__all__ = ["deployments"]

ASLEEP = {
    "instance_count": 1,
    "capture_percent": None,
    "autoscaling": {"min": 0, "max": 4, "invocations_per_minute": 600},
}
SLEEPING = REAL | ASLEEP


def test_the_first_deployment_makes_an_endpoint_then_its_component_that_scales_and_wakes(
    deployments: Deployments,
) -> None:
    machine = deployments.deploy("r1", **SLEEPING)
    assert [name for name in machine.visited if name.startswith(("Put", "Create", "Update", "Resume", "Smoke"))] == [
        "CreateModel", "CreateEndpointConfig", "PutAlarms", "PutMetricAlarm", "PutMetricAlarm", "CreateEndpoint",
        "CreateInferenceComponent", "ResumeScaling", "PutScalingPolicy", "PutWakePolicy", "PutWakeAlarm", "SmokeTest",
    ]  # fmt: skip
    (model,) = machine.arguments["CreateModel"]
    assert deployments.component["InferenceComponentName"] == ENDPOINT
    assert deployments.component["Specification"]["ModelName"] == model["ModelName"]
    assert deployments.scales() == [(f"inference-component/{ENDPOINT}", 0, 4)]
    (alarm,) = deployments.alarms.describe_alarms(AlarmNames=[f"{ENDPOINT}.wake.copies"])["MetricAlarms"]
    (wakes,) = alarm["AlarmActions"]
    assert wakes.endswith(f":{ENDPOINT}-wake")


def test_a_new_model_takes_over_in_the_component_of_the_same_name_with_the_copies_of_before(
    deployments: Deployments,
) -> None:
    deployments.deploy("r1", **SLEEPING)
    before = deployments.component["Specification"]["ModelName"]
    deployments.component |= {"RuntimeConfig": {"CopyCount": 3}}
    machine = deployments.deploy("r2", **SLEEPING)
    (update,) = deployments.components
    assert update["InferenceComponentName"] == ENDPOINT
    assert update["RuntimeConfig"] == {"CopyCount": 3}
    assert update["Specification"]["ModelName"] not in (before, "")
    assert not deployments.updates, "the endpoint itself stays"
    guards = [item["AlarmName"] for item in update["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
    left = {alarm["AlarmName"] for alarm in deployments.alarms.describe_alarms()["MetricAlarms"]}
    assert left == {*guards, f"{ENDPOINT}.wake.copies"}, "those of the model before are gone"
    assert machine.visited.index("PutAlarms") < machine.visited.index("UpdateInferenceComponent")


def test_a_component_that_sleeps_wakes_for_its_new_model(deployments: Deployments) -> None:
    deployments.deploy("r1", **SLEEPING)
    deployments.component |= {"RuntimeConfig": {"CopyCount": 0}}
    deployments.deploy("r2", **SLEEPING)
    assert deployments.components[0]["RuntimeConfig"] == {"CopyCount": 1}


def test_a_deployment_of_a_component_that_is_repeated_changes_nothing(deployments: Deployments) -> None:
    for _ in range(2):
        machine = deployments.deploy("r1", **SLEEPING)
    assert not deployments.components
    assert not deployments.updates
    assert "SmokeTest" in machine.visited


def test_another_instance_type_changes_the_endpoint_while_scaling_rests_and_then_the_component(
    deployments: Deployments,
) -> None:
    deployments.deploy("r1", **SLEEPING)
    machine = deployments.deploy("r2", **SLEEPING, instance_type="ml.m5.xlarge")
    order = ("PauseScaling", "UpdateEndpoint", "UpdateInferenceComponent", "ResumeScaling")
    assert [name for name in machine.visited if name in order] == list(order)
    (update,) = deployments.updates
    assert "DeploymentConfig" not in update
    assert len(deployments.scales()) == 1


def test_a_component_that_is_rolled_back_is_told_and_the_champion_goes_on(deployments: Deployments) -> None:
    deployments.deploy("r1", **SLEEPING)
    champion = deployments.component["Specification"]["ModelName"]
    deployments.rolls_back.add(1)
    with pytest.raises(AssertionError) as failed:
        deployments.deploy("r2", **SLEEPING)
    wanted = deployments.components[0]["Specification"]["ModelName"].rpartition("-")[2]
    assert str(failed.value) == (
        f"RolledBack: Endpoint {ENDPOINT} was rolled back by alarm {ENDPOINT}.errors.{wanted}. "
        f"The champion goes on serving with {champion}."
    )
    assert "PromoteModel" not in deployments.machine.visited
    assert deployments.alarm_names() == {champion.rpartition("-")[2], "copies"}
    assert len(deployments.scales()) == 1


def test_a_component_update_that_is_refused_is_told_in_sagemakers_words(deployments: Deployments) -> None:
    deployments.deploy("r1", **SLEEPING)
    with pytest.raises(AssertionError, match=r"DeploymentFailed: .* is InService with .*: Not enough memory"):
        deployments.deploy("r2", "Not enough memory", **SLEEPING)
    assert len(deployments.scales()) == 1


@pytest.mark.parametrize(("before", "after"), [(REAL | SCALED, SLEEPING), (SLEEPING, REAL | SCALED)])
def test_an_endpoint_of_the_other_kind_must_be_deleted_first_and_nothing_is_touched(
    deployments: Deployments, before: dict[str, object], after: dict[str, object]
) -> None:
    deployments.deploy("r1", **before)
    serves = deployments.serves
    with pytest.raises(
        Exception, match=r"serving\.autoscaling\.min: endpoint .*SageMaker cannot change that.*delete-endpoint"
    ):
        deployments.deploy("r2", **after)
    assert deployments.serves == serves
    assert deployments.machine.visited == ["PlanDeployment"]
