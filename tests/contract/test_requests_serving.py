"""What changes endpoints is what SageMaker, CloudWatch and Application Auto Scaling accept, and keeps to their exclusions."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from laptop.sagemaker.validation import validate
from passerelle.contracts.naming import endpoint_name
from passerelle.contracts.variants import VARIANT
from passerelle.domain.project import Project
from passerelle.domain.requests.endpoint_alarms import alarm_names, endpoint_alarms
from passerelle.domain.requests.guardrails import deployment_config, keep_capacity
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.domain.requests.scaling import pause_scaling, scaling
from passerelle.domain.requests.shadow import shadow_config
from tests.contract.test_requests_sagemaker import IMAGE, KEY, ROLE, RUN, ZONES, _project

REAL: dict[str, Any] = {"profile": "real-time"}
SCALED = {"min": 2, "max": 6, "invocations_per_minute": 600}
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
ENDPOINT = endpoint_name("dev", "flights")


def _serving(**fields: Any) -> Project:
    document = _project("serving").model_dump(mode="json") | {"serving": fields}
    return Project.model_validate(document)


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _accepted(service: str, operation: str, request: dict[str, Any]) -> None:
    report = ParamValidator().validate(request, _model(service).operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


def _deployment(project: Project) -> Any:
    place = HostingPlace(environment="dev", zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn=KEY)
    given = {"run_id": RUN.run_id, "attempt": 1, "model_data_url": "s3://b-models/m.tar.gz", "model_version": "3"}
    return deployment(place, project, **given)


@pytest.mark.parametrize(
    ("serving", "kind", "waits"),
    [
        (REAL, "ALL_AT_ONCE", (0, 300)),
        (REAL | {"instance_count": 2}, "CANARY", (300, 300)),
        (REAL | {"instance_count": 4, "rollout": {"type": "linear", "wait_minutes": 60}}, "LINEAR", (3_600, 3_600)),
    ],
)
def test_every_rollout_is_an_update_that_alarms_roll_back(
    serving: dict[str, Any], kind: str, waits: tuple[int, int]
) -> None:
    project = _serving(**serving)
    config = deployment_config(project.serving, ["a", "b"], longest_wait_seconds=3_600)
    validate("UpdateEndpoint", _deployment(project).endpoint | {"DeploymentConfig": config})
    policy = config["BlueGreenUpdatePolicy"]
    routing = policy["TrafficRoutingConfiguration"]
    assert routing["Type"] == kind
    assert (routing["WaitIntervalInSeconds"], policy["TerminationWaitInSeconds"]) == waits
    assert policy["MaximumExecutionTimeoutInSeconds"] > 3 * routing["WaitIntervalInSeconds"] + waits[1]
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}


def test_an_environment_in_a_hurry_waits_no_longer_than_it_says() -> None:
    config = deployment_config(_serving(**REAL, instance_count=2).serving, ["a"], longest_wait_seconds=2)
    policy = config["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] == policy["TerminationWaitInSeconds"] == 2


def test_an_update_keeps_the_instances_that_load_brought_about_and_nothing_else() -> None:
    kept = keep_capacity(_serving(**REAL, autoscaling=SCALED).serving)
    validate("UpdateEndpoint", {"EndpointName": ENDPOINT, "EndpointConfigName": "c", **kept})
    assert kept["RetainAllVariantProperties"] is True
    assert {item["VariantPropertyType"] for item in kept["ExcludeRetainedVariantProperties"]} == {
        "DesiredWeight",
        "DataCaptureConfig",
    }
    assert keep_capacity(_serving(**REAL).serving) == {}


def _alarms(project: Project, config: str = f"{ENDPOINT}-0a1b2c3d") -> Any:
    marks = [{"Key": "passerelle:project", "Value": "flights"}]
    return endpoint_alarms(project, endpoint=ENDPOINT, config_name=config, variant=VARIANT, topic_arn=TOPIC, tags=marks)


@pytest.mark.parametrize("serving", [REAL, {"profile": "serverless"}])
def test_alarms_watch_the_rate_of_errors_and_the_slowest_answers_of_one_configuration(serving: dict[str, Any]) -> None:
    limits = {"rollout": {"alarms": {"error_percent": 2.5, "p99_latency_ms": 200}}}
    made = _alarms(_serving(**serving, **limits))
    for request in (made.errors, made.latency):
        _accepted("cloudwatch", "PutMetricAlarm", request)
        assert request["AlarmActions"] == [TOPIC]
        dimensions = {item["Name"]: item["Value"] for item in request["Dimensions"]}
        assert dimensions.pop("EndpointConfigName", None) == (f"{ENDPOINT}-0a1b2c3d" if serving == REAL else None), (
            "only fleets of instances have that dimension"
        )
        assert dimensions == {"EndpointName": ENDPOINT, "VariantName": VARIANT}
    assert (made.errors["MetricName"], made.errors["Statistic"], made.errors["Threshold"]) == (
        "Invocation5XXErrors", "Average", 0.025,
    )  # fmt: skip
    assert (made.latency["MetricName"], made.latency["ExtendedStatistic"], made.latency["Threshold"]) == (
        "ModelLatency", "p99", 200_000,
    )  # fmt: skip


def test_alarms_of_another_configuration_or_project_have_other_names() -> None:
    first, second = _alarms(_serving(**REAL)), _alarms(_serving(**REAL), f"{ENDPOINT}-ffffffff")
    assert not set(first.names) & set(second.names)
    assert first.names == alarm_names(ENDPOINT, f"{ENDPOINT}-0a1b2c3d")
    assert not set(first.names) & set(alarm_names(f"{ENDPOINT}-eu", f"{ENDPOINT}-eu-0a1b2c3d"))


@pytest.mark.parametrize(
    ("serving", "dimension", "metric", "aim"),
    [
        (
            REAL | {"autoscaling": SCALED},
            "sagemaker:variant:DesiredInstanceCount",
            "SageMakerVariantInvocationsPerInstance",
            600.0,
        ),
        (
            {"profile": "serverless", "provisioned_concurrency": 2, "autoscaling": {"min": 2, "max": 6}},
            "sagemaker:variant:DesiredProvisionedConcurrency",
            "SageMakerVariantProvisionedConcurrencyUtilization",
            0.7,
        ),
    ],
)
def test_what_scales_is_a_target_of_its_profile_and_can_be_paused(
    serving: dict[str, Any], dimension: str, metric: str, aim: float
) -> None:
    found = scaling(ENDPOINT, VARIANT, _serving(**serving).serving)
    assert found is not None
    target, policy = found
    _accepted("application-autoscaling", "RegisterScalableTarget", target)
    _accepted("application-autoscaling", "PutScalingPolicy", policy)
    assert (target["MinCapacity"], target["MaxCapacity"], target["ScalableDimension"]) == (2, 6, dimension)
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert (tracking["PredefinedMetricSpecification"]["PredefinedMetricType"], tracking["TargetValue"]) == (metric, aim)
    paused = pause_scaling(ENDPOINT, VARIANT, serverless=serving["profile"] == "serverless")
    _accepted("application-autoscaling", "DeregisterScalableTarget", paused)
    assert paused.items() <= target.items()


def test_a_fixed_size_has_no_target() -> None:
    assert scaling(ENDPOINT, VARIANT, _serving(**REAL).serving) is None


def test_a_serverless_endpoint_may_be_kept_warm() -> None:
    config = _deployment(_serving(profile="serverless", max_concurrency=5, provisioned_concurrency=2)).endpoint_config
    validate("CreateEndpointConfig", config)
    assert config["ProductionVariants"][0]["ServerlessConfig"]["ProvisionedConcurrency"] == 2
    assert "ProvisionedConcurrency" not in str(_deployment(_serving(profile="serverless")).endpoint_config)


def test_a_shadow_gets_its_share_beside_the_champion_as_it_is() -> None:
    project = _serving(**REAL, instance_count=4, capture_percent=50, shadow={"percent": 30, "hours": 2})
    challenger = _deployment(project).endpoint_config
    champion = {
        "VariantName": VARIANT, "ModelName": "older", "InstanceType": "ml.c5.large", "InitialInstanceCount": 3,
        "InitialVariantWeight": 1.0, "VolumeSizeInGB": 1,
    }  # fmt: skip
    assert project.serving.shadow is not None
    config = shadow_config(ENDPOINT, project.serving.shadow, champion, challenger)
    validate("CreateEndpointConfig", config)
    (serving,), (shadow,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert (serving["ModelName"], serving["InstanceType"], serving["InitialInstanceCount"]) == (
        "older",
        "ml.c5.large",
        3,
    )
    assert shadow["ModelName"] == challenger["ProductionVariants"][0]["ModelName"]
    assert (shadow["VariantName"], shadow["InitialInstanceCount"], shadow["InitialVariantWeight"]) == (
        "challenger",
        2,
        0.3,
    )
    assert config["DataCaptureConfig"] == challenger["DataCaptureConfig"]
    assert config["EndpointConfigName"] != challenger["EndpointConfigName"]


def test_names_tell_their_environment_and_stay_within_sagemakers_limit() -> None:
    longest = endpoint_name("e" * 16, "p" * 20)
    project = _serving(**REAL).model_copy(update={"name": "p" * 20})
    place = HostingPlace(environment="e" * 16, zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn="")
    given: dict[str, Any] = {"run_id": RUN.run_id, "model_data_url": "s3://b-models/m.tar.gz", "model_version": "3"}
    first, second = (deployment(place, project, attempt=attempt, **given) for attempt in (1, 2))
    for made in (first, second):
        names = (made.model["ModelName"], made.endpoint_config["EndpointConfigName"])
        assert all(name.startswith(f"{longest}-") and len(name) <= 63 for name in names)
    assert first.model["ModelName"] != second.model["ModelName"]
    assert first.endpoint_config["EndpointConfigName"] != second.endpoint_config["EndpointConfigName"]
