"""Application Auto Scaling of endpoints: instances follow the metrics within their bounds; what AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.hosting.runtime import Runtime
from laptop.sagemaker.scaling import loop
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    config,
    described,
    model,
    refusal,
    serve,
    settled,
    update,
)
from tests.contract.sagemaker_scaling import PROVISIONED, VARIANT, register, scale, served, stepping, tracking
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own", "served"]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.1)


def instances(own: Own) -> int:
    """Return how many instances are described, once as many processes answer: between two looks they may change."""
    runtime: Runtime = own.sagemaker.hosting.runtime

    def described_and_running() -> int:
        count = int(settled(own)["ProductionVariants"][0]["CurrentInstanceCount"])
        return count if len(runtime.fleets["e"].variants()) == count else 0

    return int(wait_for(described_and_running))


def load(own: Own, invocations: float) -> None:
    """Let every minute have so many invocations; they spread over the instances."""

    def metric(namespace: str, name: str, dimensions: dict[str, str], statistic: str, seconds: float) -> float:
        place = {"EndpointName": "e", "VariantName": "main"}
        assert (namespace, name, dimensions, statistic) == ("AWS/SageMaker", "InvocationsPerInstance", place, "Sum")
        return invocations / int(described(own)["ProductionVariants"][0]["CurrentInstanceCount"])

    own.around.metric = metric  # type: ignore[method-assign, assignment]


def look(own: Own) -> None:
    """Let the loop look at the target, as it does by itself."""
    own.sagemaker._scaling_loop._look(own.sagemaker.scaling.targets()[0])


def activities(own: Own) -> list[dict[str, Any]]:
    return list(scale(own, "DescribeScalingActivities", ServiceNamespace="sagemaker")["ScalingActivities"])


def test_instances_follow_the_requests_within_their_bounds_and_are_processes(served: Own) -> None:
    register(served)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking())
    load(served, 15.0)
    wait_for(lambda: instances(served) == 2)
    load(served, 95.0)
    wait_for(lambda: instances(served) == 3)
    load(served, 2.0)
    wait_for(lambda: instances(served) == 1)
    assert ask(served)["name"] == "one"
    done = activities(served)
    assert [item["Description"] for item in done] == [
        f"Setting desired InstanceCount to {count}." for count in (1, 3, 2)
    ]
    assert {item["StatusCode"] for item in done} == {"Successful"}


def test_real_requests_scale_an_endpoint_out(served: Own) -> None:
    register(served, most=2)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking(target=5.0))
    for _ in range(8):
        ask(served)
    wait_for(lambda: instances(served) == 2)


def test_an_endpoint_that_nobody_asks_is_not_scaled_in_as_it_has_no_metrics(served: Own) -> None:
    register(served)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking())
    load(served, 15.0)
    wait_for(lambda: instances(served) == 2)
    served.around.metric = lambda *_: None  # type: ignore[method-assign, assignment]
    look(served)
    assert (instances(served), len(activities(served))) == (2, 1)


def test_a_cool_down_keeps_the_capacity_until_it_is_over(served: Own) -> None:
    register(served)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking(ScaleOutCooldown=3600))
    load(served, 15.0)
    wait_for(lambda: instances(served) == 2)
    load(served, 90.0)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking(target=20.0, ScaleOutCooldown=3600))
    look(served)
    assert instances(served) == 2, "a changed policy does not end its cool-down"


def test_capacity_outside_of_the_bounds_is_brought_back_without_any_policy(served: Own) -> None:
    register(served, least=2)
    wait_for(lambda: instances(served) == 2)
    register(served, least=1, most=1)
    wait_for(lambda: instances(served) == 1)


def test_what_is_suspended_or_may_not_scale_in_stays(served: Own) -> None:
    register(served, SuspendedState={"DynamicScalingOutSuspended": True})
    scale(served, "PutScalingPolicy", **VARIANT, **tracking(DisableScaleIn=True))
    load(served, 90.0)
    look(served)
    assert instances(served) == 1
    register(served, SuspendedState={"DynamicScalingOutSuspended": False})
    wait_for(lambda: instances(served) == 3)
    load(served, 0.1)
    look(served)
    assert instances(served) == 3


def test_the_steps_of_a_step_policy_are_taken_while_its_alarm_rings(served: Own) -> None:
    register(served)
    steps = ({"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
             {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 2})  # fmt: skip
    policy = scale(served, "PutScalingPolicy", **VARIANT, **stepping(*steps, Cooldown=3600))
    served.around.breaches[policy["PolicyARN"]] = 12.0
    wait_for(lambda: instances(served) == 3)


def test_targets_policies_and_scaled_counts_survive_a_restart(served: Own) -> None:
    register(served)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking())
    load(served, 15.0)
    wait_for(lambda: instances(served) == 2)
    served.reopen()
    assert instances(served) == 2
    load(served, 50.0)
    wait_for(lambda: instances(served) == 3)


def test_an_update_keeps_the_scaled_count_only_when_asked(served: Own) -> None:
    register(served, least=2)
    wait_for(lambda: instances(served) == 2)
    scale(served, "DeregisterScalableTarget", **VARIANT)
    update(served, "c2", RetainAllVariantProperties=True)
    assert instances(served) == 2
    update(served, "c")
    assert instances(served) == 1


def test_a_scaled_variant_can_get_another_model_but_no_other_instance_type_nor_be_removed(served: Own) -> None:
    register(served)
    config(served, "bigger", make.variant("main", ModelName="one", InstanceType="ml.m5.xlarge"))
    config(served, "gone", make.variant("other", ModelName="one"))
    for name in ("bigger", "gone"):
        assert "must be deregistered as scalable targets" in refusal(lambda: update(served, name)).message  # noqa: B023
    update(served, "c2")
    settled(served)
    scale(served, "DeregisterScalableTarget", **VARIANT)
    update(served, "bigger")
    assert settled(served)["EndpointConfigName"] == "bigger"


def test_a_deleted_endpoint_is_no_target_any_more(served: Own) -> None:
    register(served)
    scale(served, "PutScalingPolicy", **VARIANT, **tracking())
    served.call("DeleteEndpoint", {"EndpointName": "e"})
    assert scale(served, "DescribeScalableTargets", ServiceNamespace="sagemaker") == {"ScalableTargets": []}
    assert scale(served, "DescribeScalingPolicies", ServiceNamespace="sagemaker") == {"ScalingPolicies": []}


def test_what_is_registered_is_described_tagged_and_deregistered(served: Own) -> None:
    arn = register(served, Tags={"team": "ml"})
    (target,) = scale(
        served, "DescribeScalableTargets", ServiceNamespace="sagemaker", ResourceIds=[VARIANT["ResourceId"]]
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"], target["ScalableTargetARN"]) == (1, 3, arn)
    scale(served, "TagResource", ResourceARN=arn, Tags={"cost": "1"})
    scale(served, "UntagResource", ResourceARN=arn, TagKeys=["team"])
    assert scale(served, "ListTagsForResource", ResourceARN=arn) == {"Tags": {"cost": "1"}}
    scale(served, "PutScalingPolicy", **VARIANT, **tracking())
    (policy,) = scale(served, "DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["PolicyARN"].endswith(":resource/sagemaker/endpoint/e/variant/main:policyName/p")
    scale(served, "DeleteScalingPolicy", **VARIANT, PolicyName="p")
    scale(served, "DeregisterScalableTarget", **VARIANT)
    error = refusal(lambda: scale(served, "DeregisterScalableTarget", **VARIANT))
    assert (error.code, "No scalable target registered" in error.message) == ("ObjectNotFoundException", True)


def test_provisioned_concurrency_keeps_as_many_copies_warm_and_is_scaled_by_its_use(own: Own) -> None:
    model(own, "one")
    serverless = make.serverless("main", ModelName="one", ServerlessConfig__ProvisionedConcurrency=1)
    config(own, "c", serverless)
    serve(own, "c")
    runtime = own.sagemaker.hosting.runtime
    assert len(runtime.fleets["e"].variants()) == 1
    scale(own, "RegisterScalableTarget", **PROVISIONED, MinCapacity=1, MaxCapacity=4)
    kind = "SageMakerVariantProvisionedConcurrencyUtilization"
    scale(own, "PutScalingPolicy", **PROVISIONED, **tracking(target=0.5, kind=kind))
    ask(own)
    runtime.metrics.flush()
    used = [datum.value for datum in own.around.metrics if datum.name == "ServerlessProvisionedConcurrencyUtilization"]
    assert used == [1.0, 1.0], "one of one, with and without the configuration's dimension"
    wait_for(lambda: len(runtime.fleets["e"].variants()) == 4)
    current = settled(own)["ProductionVariants"][0]["CurrentServerlessConfig"]
    assert (current["ProvisionedConcurrency"], current["MaxConcurrency"]) == (4, 5)
    assert described(own)["EndpointStatus"] == "InService"
