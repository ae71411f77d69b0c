"""What an update keeps and changes: weights, counts, concurrency, deployment configurations; what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.validate import ParamValidator

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.validation import service_model
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    config,
    create,
    described,
    measured,
    model,
    serve,
    settled,
    status,
    update,
)
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


@pytest.mark.parametrize("weight", [3.5e38, 1e300])
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
    values = [datum.value for datum in measured(pair) if datum.name == "InvocationsPerInstance"]
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


def test_an_update_to_the_configuration_in_use_or_from_real_time_to_serverless_is_refused(pair: Own) -> None:
    with pytest.raises(SageMakerError, match="already uses the endpoint configuration c"):
        update(pair, "c")
    config(pair, "s", make.serverless("a", ModelName="one"))
    with pytest.raises(SageMakerError, match="real-time endpoint cannot be updated to a serverless one"):
        update(pair, "s")
    assert status(pair) == "InService"


def test_a_serverless_endpoint_can_become_a_real_time_one(own: Own) -> None:
    model(own, "one")
    config(own, "s", make.serverless("main", ModelName="one"))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "s")
    update(own, "c", RetainAllVariantProperties=True)
    assert settled(own)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert own.sagemaker.hosting.runtime.fleets["e"].limit is None


def test_a_serverless_endpoint_takes_no_deployment_configuration(own: Own) -> None:
    model(own, "one")
    config(own, "s", make.serverless("main", ModelName="one"))
    request = {"EndpointName": "e", "EndpointConfigName": "s", "DeploymentConfig": blue_green()}
    with pytest.raises(SageMakerError, match="DeploymentConfig is not supported for serverless"):
        own.call("CreateEndpoint", request)


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


def fits(operation: str, answer: dict[str, Any]) -> None:
    """Hold an answer to SageMaker's own model of it: required members, types, and no member that it has not."""
    shape = service_model().operation_model(operation).output_shape
    assert not ParamValidator().validate(answer, shape).has_errors(), answer

    def known(shape: Any, value: Any) -> None:
        if shape.type_name == "structure":
            assert value.keys() <= shape.members.keys()
            for key, item in value.items():
                known(shape.members[key], item)
        elif shape.type_name == "list":
            for item in value:
                known(shape.member, item)

    known(shape, answer)


def test_whatever_is_described_and_listed_fits_sagemakers_own_model(own: Own, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    model(own, "one")
    model(own, "late", READY_WHEN=str(gate))
    capture = {
        "InitialSamplingPercentage": 1,
        "DestinationS3Uri": "s3://contract/c",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    shadow = [make.variant("shadow", ModelName="one")]
    config(own, "c", make.variant("main", ModelName="one"), ShadowProductionVariants=shadow, DataCaptureConfig=capture)
    config(own, "c2", make.variant("main", ModelName="late"))
    config(own, "s", make.serverless("main", ModelName="one"))
    create(own, "c")
    fits("DescribeEndpoint", described(own))
    settled(own)
    fits("DescribeEndpoint", described(own))
    update(own, "c2", DeploymentConfig=blue_green())
    assert described(own)["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
    fits("DescribeEndpoint", described(own))
    gate.touch()
    settled(own)
    fits("DescribeEndpoint", described(own))
    serve(own, "s", "serverless")
    fits("DescribeEndpoint", described(own, "serverless"))
    fits("ListEndpoints", own.call("ListEndpoints", {}))
    fits("DescribeModel", own.call("DescribeModel", {"ModelName": "one"}))
    fits("ListModels", own.call("ListModels", {}))
    fits("DescribeEndpointConfig", own.call("DescribeEndpointConfig", {"EndpointConfigName": "c"}))
    fits("ListEndpointConfigs", own.call("ListEndpointConfigs", {}))
