"""DeploymentConfig: what is refused, and the steps that each kind of deployment takes."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.hosting.guardrails import Step, batches, steps
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_deployments import blue_green, canary, count, percent, rolling, served, wide
from tests.contract.sagemaker_endpoints import config, refusal, settled, status, update
from tests.contract.sagemaker_service import Own, own

__all__ = ["own", "served", "wide"]


@pytest.mark.parametrize(
    ("deployment", "says"),
    [
        (blue_green("CANARY", 0, CanarySize=count(2)), "more than 50 percent of the variant's 2"),
        (rolling(0, MaximumBatchSize=percent(4)), "from 5 to 50 percent"),
        (rolling(0, MaximumBatchSize=count(2)), "more than 50 percent"),
        (rolling(600, MaximumExecutionTimeoutInSeconds=600), "must be larger than the total waiting time"),  # type: ignore[arg-type]
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "unheard"}]}}, "CloudWatch alarm unheard"),
    ],
)
def test_what_a_deployment_cannot_be_is_refused(wide: Own, deployment: dict[str, Any], says: str) -> None:
    assert says in refusal(lambda: update(wide, "c2", DeploymentConfig=deployment)).message
    assert status(wide) == "InService"


def test_with_a_deployment_configuration_the_variants_must_keep_their_names(served: Own) -> None:
    config(served, "other", make.variant("renamed", ModelName="new"))
    error = refusal(lambda: update(served, "other", DeploymentConfig=canary(0)))
    assert "same variant names" in error.message
    update(served, "other")
    assert settled(served)["EndpointConfigName"] == "other"


def plan_of(instances: int) -> dict[str, Any]:
    return {"ProductionVariants": [make.variant("main", InitialInstanceCount=instances)]}


def test_the_steps_of_each_kind_of_deployment_add_up_to_all_requests() -> None:
    assert steps(None, plan_of(1)) == [Step(1.0, 0.0)]
    assert steps(canary(5, bake=7), plan_of(1)) == [Step(0.2, 5.0), Step(1.0, 7.0)]
    assert steps(blue_green("CANARY", 5, CanarySize=count(1)), plan_of(4)) == [Step(0.25, 5.0), Step(1.0, 0.0)]
    linear = steps(blue_green("LINEAR", 5, LinearStepSize=percent(30)), plan_of(1))
    assert [round(step.share, 3) for step in linear] == [0.3, 0.6, 0.9, 1.0]
    assert [step.share for step in steps(blue_green("LINEAR", 5, LinearStepSize=percent(50)), plan_of(1))] == [0.5, 1.0]
    assert steps(rolling(5), plan_of(2)) == [Step(0.5, 5.0), Step(1.0, 5.0)]


@pytest.mark.parametrize(
    ("size", "instances", "shares"),
    [(percent(50), 1, [1.0]), (percent(50), 3, [1 / 3, 2 / 3, 1.0]), (count(2), 5, [0.4, 0.8, 1.0])],
)
def test_a_batch_is_of_whole_instances_and_at_least_one(
    size: dict[str, Any], instances: int, shares: list[float]
) -> None:
    assert batches(size, instances) == pytest.approx(shares)
