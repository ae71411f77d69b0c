"""What an update keeps and changes: weights, counts, concurrency, deployment configurations; what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import ask, config, create, described, model, serve, settled, status, update
from tests.contract.sagemaker_service import Own, own

__all__ = ["own"]


@pytest.fixture
def pair(own: Own) -> Own:
    """An endpoint of two variants, and two more configurations of the same variants."""
    for name in ("one", "two"):
        model(own, name)
    for name in ("c", "c2", "c3"):
        config(own, name, make.variant("a", ModelName="one"), make.variant("b", ModelName="two"))
    serve(own, "c")
    return own


def reweigh(own: Own, *items: dict[str, Any]) -> None:
    own.call("UpdateEndpointWeightsAndCapacities", {"EndpointName": "e", "DesiredWeightsAndCapacities": list(items)})
    settled(own)


def weights(own: Own) -> dict[str, float]:
    variants = described(own)["ProductionVariants"]
    assert all(item["CurrentWeight"] == item["DesiredWeight"] for item in variants)
    return {item["VariantName"]: item["CurrentWeight"] for item in variants}


def refused(own: Own, *items: dict[str, Any]) -> str:
    with pytest.raises(SageMakerError) as caught:
        reweigh(own, *items)
    assert caught.value.code == "ValidationException"
    assert status(own) == "InService"
    return caught.value.message


def test_changed_weights_share_the_calls_at_once_and_after_a_restart(pair: Own) -> None:
    reweigh(pair, {"VariantName": "a", "DesiredWeight": 0.0})
    assert weights(pair) == {"a": 0.0, "b": 1.0}
    assert {ask(pair)["name"] for _ in range(30)} == {"two"}
    pair.reopen()
    settled(pair)
    assert weights(pair) == {"a": 0.0, "b": 1.0}
    assert {ask(pair)["name"] for _ in range(30)} == {"two"}


def test_while_weights_change_the_endpoint_is_updating_and_tells_so(pair: Own) -> None:
    pair.around.events.clear()
    reweigh(pair, {"VariantName": "a", "DesiredWeight": 2.0})
    assert [detail["EndpointStatus"] for _, detail in pair.around.events] == ["UPDATING", "IN_SERVICE"]


def test_weights_that_are_all_zero_are_refused_and_change_nothing(pair: Own) -> None:
    zero = [{"VariantName": name, "DesiredWeight": 0.0} for name in "ab"]
    assert "greater than 0" in refused(pair, *zero)
    assert weights(pair) == {"a": 1.0, "b": 1.0}
    assert ask(pair)["name"] in ("one", "two")


def test_a_configuration_whose_weights_are_all_zero_is_refused(pair: Own) -> None:
    variants = [make.variant(name, ModelName="one", InitialVariantWeight=0.0) for name in "ab"]
    with pytest.raises(SageMakerError, match="greater than 0"):
        config(pair, "zero", *variants)


@pytest.mark.parametrize("weight", [float("inf"), 1e39])
def test_a_weight_beyond_the_apis_floats_is_refused(pair: Own, weight: float) -> None:
    assert "at most" in refused(pair, {"VariantName": "a", "DesiredWeight": weight})


def test_the_largest_weights_still_choose(pair: Own) -> None:
    reweigh(pair, *({"VariantName": name, "DesiredWeight": 3.4e38} for name in "ab"))
    assert {ask(pair)["name"] for _ in range(60)} == {"one", "two"}


def test_unknown_variants_and_members_of_another_kind_are_refused(pair: Own) -> None:
    assert "nobody" in refused(pair, {"VariantName": "nobody", "DesiredWeight": 1.0})
    assert "not serverless" in refused(pair, {"VariantName": "a", "ServerlessUpdateConfig": {"MaxConcurrency": 1}})
    assert "twice" in refused(pair, {"VariantName": "a"}, {"VariantName": "a"})


def test_a_changed_instance_count_is_described_and_divides_the_invocations_per_instance(pair: Own) -> None:
    reweigh(pair, {"VariantName": "a", "DesiredInstanceCount": 4, "DesiredWeight": 1.0},
            {"VariantName": "b", "DesiredWeight": 0.0})  # fmt: skip
    item = described(pair)["ProductionVariants"][0]
    assert (item["CurrentInstanceCount"], item["DesiredInstanceCount"]) == (4, 4)
    ask(pair)
    pair.sagemaker.hosting.runtime.metrics.flush()
    values = [datum.value for datum in pair.around.metrics if datum.name == "InvocationsPerInstance"]
    assert values == [0.25]


def test_an_update_takes_the_new_configurations_weights_unless_told_to_retain(pair: Own) -> None:
    reweigh(pair, {"VariantName": "a", "DesiredWeight": 0.0, "DesiredInstanceCount": 3})
    update(pair, "c2", RetainAllVariantProperties=True)
    settled(pair)
    assert weights(pair) == {"a": 0.0, "b": 1.0}
    assert described(pair)["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert {ask(pair)["name"] for _ in range(30)} == {"two"}
    update(pair, "c3")
    settled(pair)
    assert weights(pair) == {"a": 1.0, "b": 1.0}
    assert described(pair)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@pytest.mark.parametrize(("excluded", "weight", "count"), [("DesiredWeight", 1.0, 3), ("DesiredInstanceCount", 0.0, 1)])
def test_excluded_properties_are_not_retained(pair: Own, excluded: str, weight: float, count: int) -> None:
    reweigh(pair, {"VariantName": "a", "DesiredWeight": 0.0, "DesiredInstanceCount": 3})
    exclusion = [{"VariantPropertyType": excluded}]
    update(pair, "c2", RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=exclusion)
    item = settled(pair)["ProductionVariants"][0]
    assert (item["CurrentWeight"], item["CurrentInstanceCount"]) == (weight, count)


def test_retained_weights_that_leave_only_zeros_still_serve(pair: Own) -> None:
    reweigh(pair, {"VariantName": "a", "DesiredWeight": 0.0})
    late = [make.variant("a", ModelName="one"), make.variant("n", ModelName="two", InitialVariantWeight=0.0)]
    config(pair, "c4", *late)
    update(pair, "c4", RetainAllVariantProperties=True)
    settled(pair)
    assert weights(pair) == {"a": 0.0, "n": 0.0}
    assert {ask(pair)["name"] for _ in range(60)} == {"one", "two"}


def blue_green(routing: str = "ALL_AT_ONCE", **rest: Any) -> dict[str, Any]:
    traffic = {"Type": routing, "WaitIntervalInSeconds": 0, **rest}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}  # fmt: skip


def test_the_last_deployment_configuration_is_described_and_retained_when_asked(pair: Own) -> None:
    assert "LastDeploymentConfig" not in described(pair)
    wanted = blue_green("CANARY", CanarySize={"Type": "CAPACITY_PERCENT", "Value": 10})
    update(pair, "c2", DeploymentConfig=wanted)
    assert settled(pair)["LastDeploymentConfig"] == wanted
    update(pair, "c3", RetainDeploymentConfig=True)
    assert settled(pair)["LastDeploymentConfig"] == wanted
    update(pair, "c")
    assert "LastDeploymentConfig" not in settled(pair)


PERCENT = {"Type": "CAPACITY_PERCENT"}
ROLLING = {"MaximumBatchSize": {**PERCENT, "Value": 50}, "WaitIntervalInSeconds": 0}


@pytest.mark.parametrize(
    ("deployment", "says"),
    [
        (blue_green("CANARY"), "CanarySize must be given"),
        (blue_green("CANARY", CanarySize={**PERCENT, "Value": 51}), "from 1 to 50"),
        (blue_green("LINEAR"), "LinearStepSize must be given"),
        (blue_green("LINEAR", LinearStepSize={**PERCENT, "Value": 9}), "from 10 to 50"),
        (blue_green() | {"RollingUpdatePolicy": ROLLING}, "Only one of"),
        ({"RollingUpdatePolicy": ROLLING}, "several variants"),
    ],
)
def test_a_deployment_configuration_that_breaks_a_rule_is_refused(
    pair: Own, deployment: dict[str, Any], says: str
) -> None:
    with pytest.raises(SageMakerError, match=says):
        update(pair, "c2", DeploymentConfig=deployment)
    assert status(pair) == "InService"


def test_a_serverless_endpoints_concurrency_can_be_raised_but_it_has_no_instances(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.serverless("main", ModelName="one"))
    serve(own, "c")
    assert "has no DesiredInstanceCount" in refused(own, {"VariantName": "main", "DesiredInstanceCount": 2})
    too_much = {"MaxConcurrency": 2, "ProvisionedConcurrency": 3}
    assert "must not exceed" in refused(own, {"VariantName": "main", "ServerlessUpdateConfig": too_much})
    reweigh(own, {"VariantName": "main", "ServerlessUpdateConfig": {"MaxConcurrency": 9}})
    item = described(own)["ProductionVariants"][0]
    assert item["CurrentServerlessConfig"]["MaxConcurrency"] == item["DesiredServerlessConfig"]["MaxConcurrency"] == 9
    assert own.sagemaker.hosting.runtime.fleets["e"].limit.most == 9  # type: ignore[union-attr]


def test_a_model_that_was_deleted_cannot_be_deployed(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    own.call("DeleteModel", {"ModelName": "one"})
    with pytest.raises(SageMakerError, match="Could not find model"):
        create(own, "c")
