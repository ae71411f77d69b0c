"""What makes an endpoint scale to zero is what SageMaker, CloudWatch and Application Auto Scaling accept."""

from __future__ import annotations

from typing import Any

from laptop.sagemaker.hosting.component_rules import check_specification
from laptop.sagemaker.hosting.rules import check_endpoint_config
from laptop.sagemaker.scaling.capacity import Capacity, Resource
from laptop.sagemaker.scaling.rules import check_policy, check_target
from laptop.sagemaker.validation import validate
from passerelle.contracts.naming import component_name
from passerelle.contracts.variants import VARIANT
from passerelle.domain.project.serving import LONGEST_UPDATE_SECONDS
from passerelle.domain.requests.components import ServedComponent, component_update, copies_target, wake
from passerelle.domain.requests.endpoint_alarms import endpoint_alarms
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.domain.requests.scaling import scaling
from tests.contract.test_requests_sagemaker import IMAGE, KEY, ROLE, ZONES
from tests.contract.test_requests_serving import ENDPOINT, REAL, TOPIC, _accepted, _deployment, _serving

ASLEEP: dict[str, Any] = REAL | {
    "memory_mb": 3072,
    "autoscaling": {"min": 0, "max": 5, "invocations_per_minute": 60, "scale_in_seconds": 120},
}


def test_an_endpoint_that_scales_to_zero_has_instances_without_a_model_and_a_component_with_it() -> None:
    made = _deployment(_serving(**ASLEEP))
    validate("CreateEndpointConfig", made.endpoint_config)
    validate("CreateInferenceComponent", made.component)
    check_endpoint_config(made.endpoint_config, {})
    (variant,) = made.endpoint_config["ProductionVariants"]
    assert "ModelName" not in variant
    assert made.endpoint_config["ExecutionRoleArn"] == ROLE
    assert variant["ManagedInstanceScaling"] == {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 8}
    assert made.component["InferenceComponentName"] == component_name("dev", "flights")
    specification = made.component["Specification"]
    check_specification(specification)
    assert specification["ModelName"] == made.model["ModelName"]
    assert specification["ComputeResourceRequirements"] == {
        "NumberOfCpuCoresRequired": 1.0,
        "MinMemoryRequiredInMb": 3072,
    }
    assert _deployment(_serving(**REAL)).component is None


def test_its_configuration_stays_when_the_model_changes() -> None:
    place = HostingPlace(environment="dev", zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn=KEY)
    given: dict[str, Any] = {"attempt": 1, "model_data_url": "s3://b-models/m.tar.gz", "model_version": "3"}
    first, second = (deployment(place, _serving(**ASLEEP), run_id=run, **given) for run in ("r1", "r2"))
    assert first.endpoint == second.endpoint
    assert first.model["ModelName"] != second.model["ModelName"]


def test_an_update_of_a_component_replaces_half_of_its_copies_at_a_time_and_alarms_roll_it_back() -> None:
    project = _serving(**ASLEEP)
    served = ServedComponent(model_name="older", copies=4)
    wanted = _deployment(project).component
    update = component_update(wanted, served, project.serving, ["a", "b"], longest_wait_seconds=3_600)
    validate("UpdateInferenceComponent", update)
    policy = update["DeploymentConfig"]["RollingUpdatePolicy"]
    assert policy["MaximumBatchSize"] == {"Type": "CAPACITY_PERCENT", "Value": 50}
    assert policy["WaitIntervalInSeconds"] == 300
    assert 600 <= policy["MaximumExecutionTimeoutInSeconds"] <= LONGEST_UPDATE_SECONDS
    assert update["RuntimeConfig"] == {"CopyCount": 4}
    assert update["DeploymentConfig"]["AutoRollbackConfiguration"] == {
        "Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]
    }
    assert not {"EndpointName", "VariantName", "Tags"} & update.keys()


def test_copies_scale_by_their_own_load_and_come_back_by_a_step_that_an_alarm_starts() -> None:
    found = scaling(ENDPOINT, VARIANT, _serving(**ASLEEP).serving, component=ENDPOINT)
    assert found is not None
    target, policy = found
    woken = wake(ENDPOINT, ENDPOINT, [])
    resource = Resource.parse(target["ResourceId"], target["ScalableDimension"])
    _accepted("application-autoscaling", "RegisterScalableTarget", target)
    check_target(target, resource, Capacity(now=1, settled=True))
    for request in (policy, woken["policy"]):
        _accepted("application-autoscaling", "PutScalingPolicy", request)
        check_policy(request, resource)
        assert copies_target(ENDPOINT).items() <= request.items()
    _accepted("cloudwatch", "PutMetricAlarm", woken["alarm"] | {"AlarmActions": ["arn"]})
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 5)
    assert woken["alarm"]["MetricName"] == "NoCapacityInvocationFailures"
    assert woken["alarm"]["Dimensions"] == [{"Name": "InferenceComponentName", "Value": ENDPOINT}]


def test_the_alarms_of_a_component_are_those_of_its_model_under_the_name_that_stays() -> None:
    project = _serving(**ASLEEP)
    made = [
        endpoint_alarms(
            project, endpoint=ENDPOINT, config_name=f"{ENDPOINT}-{model}", variant=VARIANT, topic_arn=TOPIC, tags=[],
            component=ENDPOINT,
        )
        for model in ("00000000", "11111111")
    ]  # fmt: skip
    assert not set(made[0].names) & set(made[1].names)
    for request in (made[0].errors, made[0].latency):
        _accepted("cloudwatch", "PutMetricAlarm", request)
        assert request["Dimensions"] == [{"Name": "InferenceComponentName", "Value": ENDPOINT}]
