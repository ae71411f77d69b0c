"""Inference components: copies are processes, scale in to none and come back; what AWS answers and refuses."""

from __future__ import annotations

import os
import signal
from typing import Any, Final

import pytest

from laptop.sagemaker.scaling import loop
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import ask, config, described, gone, model, refusal, serve, settled, update
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own"]

MANAGED: Final = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2}
HEADER: Final = "x-amzn-sagemaker-inference-component"
COPIES: Final = {"ServiceNamespace": "sagemaker", "ResourceId": "inference-component/one",
                 "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}  # fmt: skip


def host(name: str, **changes: Any) -> dict[str, Any]:
    """Return a variant that hosts inference components."""
    return make.variant(name, ModelName=None, ManagedInstanceScaling=dict(MANAGED), **changes)


def component(name: str, *, copies: int = 1, **specification: Any) -> dict[str, Any]:
    """Return a CreateInferenceComponent request."""
    needs = {"NumberOfCpuCoresRequired": 1.0, "MinMemoryRequiredInMb": 512}
    specification = {"ModelName": name, "ComputeResourceRequirements": needs} | specification
    return {
        "InferenceComponentName": name,
        "EndpointName": "e",
        "VariantName": "main",
        "Specification": {key: value for key, value in specification.items() if value is not None},
        "RuntimeConfig": {"CopyCount": copies},
    }


@pytest.fixture
def served(own: Own) -> Own:
    """An endpoint without a model of its own, in service."""
    for name in ("one", "two"):
        model(own, name)
    config(own, "c", host("main"), ExecutionRoleArn=make.ROLE)
    serve(own, "c")
    return own


def described_component(own: Own, name: str = "one") -> dict[str, Any]:
    return dict(own.call("DescribeInferenceComponent", {"InferenceComponentName": name}))


def ready(own: Own, name: str = "one") -> dict[str, Any]:
    """Wait until nothing changes a component, and describe it."""
    wait_for(lambda: described_component(own, name)["InferenceComponentStatus"] in ("InService", "Failed"))
    return described_component(own, name)


def put(own: Own, *names: str, **rest: Any) -> None:
    for name in names:
        own.call("CreateInferenceComponent", component(name, **rest))
    for name in names:
        assert ready(own, name)["InferenceComponentStatus"] == "InService", described_component(own, name)


def copies(own: Own, count: int, name: str = "one") -> None:
    request = {"InferenceComponentName": name, "DesiredRuntimeConfig": {"CopyCount": count}}
    own.call("UpdateInferenceComponentRuntimeConfig", request)
    ready(own, name)


def call(own: Own, name: str = "one") -> str:
    return str(ask(own, **{HEADER: name})["name"])  # type: ignore[arg-type]


def processes(own: Own, name: str = "one") -> list[int]:
    """Return the pids of a component's live copies."""
    variants = own.sagemaker.hosting.runtime.components[name].servers.variants()
    return [variant.pid for variant in variants if variant.alive and variant.pid]


def test_several_models_share_an_endpoint_and_each_is_asked_by_its_name(served: Own) -> None:
    assert described(served)["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    put(served, "one", "two")
    assert (call(served, "one"), call(served, "two")) == ("one", "two")
    assert described(served)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    listed = served.call("ListInferenceComponents", {"EndpointNameEquals": "e", "SortBy": "Name"})
    names = [item["InferenceComponentName"] for item in listed["InferenceComponents"]]
    assert names == ["two", "one"]
    assert served.call("ListInferenceComponents", {"VariantNameEquals": "other"}) == {"InferenceComponents": []}


def test_copies_are_processes_and_scale_in_to_none_and_back(served: Own) -> None:
    put(served, "one", copies=2)
    assert len(processes(served)) == 2
    copies(served, 0)
    assert processes(served) == []
    answer = described_component(served)
    assert answer["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 0}
    assert described(served)["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    error = refusal(lambda: call(served))
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message.startswith("Inference Component has no capacity to process this request.")
    served.sagemaker.hosting.runtime.metrics.flush()
    failures = [datum.dimensions for datum in served.around.metrics if datum.name == "NoCapacityInvocationFailures"]
    assert {"InferenceComponentName": "one"} in failures
    copies(served, 1)
    assert call(served) == "one"


def test_an_idle_component_scales_to_zero_and_its_alarm_brings_it_back(
    served: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.1)
    put(served, "one")
    scaling = served.sagemaker.scaling.call
    scaling("RegisterScalableTarget", COPIES | {"MinCapacity": 0, "MaxCapacity": 2})
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    tracking = {"TargetValue": 5.0, "PredefinedMetricSpecification": metric, "ScaleInCooldown": 0}
    policy = {"PolicyName": "in", "PolicyType": "TargetTrackingScaling"}
    scaling("PutScalingPolicy", COPIES | policy | {"TargetTrackingScalingPolicyConfiguration": tracking})
    wait_for(lambda: ready(served)["RuntimeConfig"]["CurrentCopyCount"] == 0)
    steps = {"AdjustmentType": "ChangeInCapacity", "Cooldown": 60,
             "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}  # fmt: skip
    policy = {"PolicyName": "out", "PolicyType": "StepScaling"}
    arn = scaling("PutScalingPolicy", COPIES | policy | {"StepScalingPolicyConfiguration": steps})["PolicyARN"]
    assert "no capacity" in refusal(lambda: call(served)).message
    served.around.breaches[arn] = 0.0
    wait_for(lambda: ready(served)["RuntimeConfig"]["CurrentCopyCount"] == 1)
    assert call(served) == "one"


def test_a_new_specification_takes_over_and_one_that_fails_leaves_the_former(served: Own) -> None:
    put(served, "one")
    model(served, "broken", EXIT_AT_START="1")
    for name, answers, reason in (("two", "two", None), ("broken", "two", "cannot load the model")):
        request = {"InferenceComponentName": "one", "Specification": component(name)["Specification"]}
        served.call("UpdateInferenceComponent", request)
        found = ready(served)
        assert call(served) == answers
        assert (reason or "") in found.get("FailureReason", "")
        assert found["Specification"]["ModelName"] == answers
    assert found["InferenceComponentStatus"] == "InService"


def test_a_component_that_does_not_come_up_is_failed_with_its_words_and_can_be_deleted(served: Own) -> None:
    model(served, "broken", EXIT_AT_START="1")
    served.call("CreateInferenceComponent", component("broken"))
    found = ready(served, "broken")
    assert (found["InferenceComponentStatus"], "cannot load" in found["FailureReason"]) == ("Failed", True)
    served.call("DeleteInferenceComponent", {"InferenceComponentName": "broken"})
    wait_for(lambda: not served.call("ListInferenceComponents", {})["InferenceComponents"])


def test_copies_come_back_after_a_crash_and_after_a_restart(served: Own) -> None:
    put(served, "one", copies=2)
    first = processes(served)
    os.kill(first[0], signal.SIGKILL)
    wait_for(lambda: len(set(processes(served)) - {first[0]}) == 2)
    served.reopen()
    settled(served)
    assert ready(served)["RuntimeConfig"] == {"DesiredCopyCount": 2, "CurrentCopyCount": 2}
    assert (len(processes(served)), call(served)) == (2, "one")


def test_an_endpoint_is_deleted_only_after_its_components(served: Own) -> None:
    put(served, "one")
    assert "inference components" in refusal(lambda: served.call("DeleteEndpoint", {"EndpointName": "e"})).message
    served.call("DeleteInferenceComponent", {"InferenceComponentName": "one"})
    wait_for(lambda: not served.call("ListInferenceComponents", {})["InferenceComponents"])
    served.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(served))


def test_a_container_can_be_given_instead_of_a_model(served: Own) -> None:
    container = {"Image": make.IMAGE, "Environment": {"NAME": "plain"}}
    put(served, "one", ModelName=None, Container=container)
    assert call(served) == "plain"


def test_requests_must_name_a_component_of_the_endpoint(served: Own) -> None:
    assert "Inference Component Name header is required" in refusal(lambda: ask(served)).message
    assert "Inference Component nobody not found" in refusal(lambda: call(served, "nobody")).message


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (component("one", copies=0), "larger than 0"),
        (component("one") | {"EndpointName": "nobody"}, "Could not find endpoint"),
        (component("one") | {"VariantName": "nobody"}, "Could not find production variant"),
        (component("one", ModelName="nobody"), "Could not find model"),
        (component("one", ComputeResourceRequirements=None), "ComputeResourceRequirements"),
        (component("one", ComputeResourceRequirements={"MinMemoryRequiredInMb": 128}), "NumberOfCpuCoresRequired"),
        (component("one", BaseInferenceComponentName="two"), "Adapter"),
        (component("one", Container={"Image": make.IMAGE}), "either ModelName or Container"),
    ],
)
def test_a_component_that_breaks_a_rule_is_refused(served: Own, request_: dict[str, Any], says: str) -> None:
    error = refusal(lambda: served.call("CreateInferenceComponent", request_))
    assert (error.code, says in error.message) == ("ValidationException", True), error.message


CAPTURE: Final = {"InitialSamplingPercentage": 1, "DestinationS3Uri": "s3://contract/c",
                  "CaptureOptions": [{"CaptureMode": "Input"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("variants", "changes", "says"),
    [
        ([host("main")], {"ExecutionRoleArn": None}, "ExecutionRoleArn must be given"),
        ([host("main"), host("other")], {}, "exactly one production variant"),
        ([host("main")], {"ShadowProductionVariants": [make.variant("s", ModelName="one")]}, "no shadow"),
        ([host("main")], {"DataCaptureConfig": CAPTURE}, "Data capture"),
        ([host("main", InitialInstanceCount=3)], {}, "InitialInstanceCount must be from 1 to 2"),
        ([host("main", ManagedInstanceScaling__MinInstanceCount=3)], {}, "MaxInstanceCount"),
        ([host("main") | {"ModelName": "one"}], {}, "only supported for inference component endpoints"),
    ],
)
def test_what_an_endpoint_of_components_cannot_have_is_refused(
    served: Own, variants: list[dict[str, Any]], changes: dict[str, Any], says: str
) -> None:
    request = {"ExecutionRoleArn": make.ROLE} | changes
    given = {key: value for key, value in request.items() if value is not None}
    assert says in refusal(lambda: config(served, "c2", *variants, **given)).message


def test_an_endpoint_of_components_takes_no_model_and_no_deployment_configuration(served: Own) -> None:
    config(served, "own-model", make.variant("main", ModelName="one"))
    assert "nor vice versa" in refusal(lambda: update(served, "own-model")).message
    config(served, "c2", host("main"), ExecutionRoleArn=make.ROLE)
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    assert "not offered" in refusal(lambda: update(served, "c2", DeploymentConfig=rollback)).message
    put(served, "one")
    update(served, "c2")
    assert settled(served)["EndpointConfigName"] == "c2"
    assert call(served) == "one", "components stay through an update of their endpoint"
