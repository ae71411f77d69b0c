"""The serving section: what SageMaker refuses in mid-deploy is refused when the file is read, with the way out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from passerelle.domain.project.serving import LONGEST_UPDATE_SECONDS, START_SECONDS, Serving

REAL: dict[str, Any] = {"profile": "real-time"}
SERVERLESS: dict[str, Any] = {"profile": "serverless", "max_concurrency": 10}
SCALED = {"min": 2, "max": 6, "invocations_per_minute": 600}
ASLEEP = REAL | {"autoscaling": {**SCALED, "min": 0}}


def _serving(*parts: dict[str, Any]) -> Serving:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return Serving.model_validate(merged)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (REAL | {"provisioned_concurrency": 2}, "provisioned_concurrency is for serverless"),
        (REAL | {"rollout": {"type": "canary"}}, "set instance_count to 2, or rollout.type to all-at-once"),
        (REAL | {"rollout": {"type": "linear"}}, "there is one"),
        (REAL | {"rollout": {"percent": 51}}, "less than or equal to 50"),
        (REAL | {"rollout": {"type": "linear", "percent": 9}}, "a step of a linear rollout is 10 to 50 percent"),
        (REAL | {"rollout": {"type": "linear", "percent": 10, "wait_minutes": 45}}, "longer than SageMaker's 8 hours"),
        (REAL | {"rollout": {"wait_minutes": 61}}, "less than or equal to 60"),
        (REAL | {"rollout": {"wait_minutes": 2}}, "greater than or equal to 3"),
        (REAL | {"rollout": {"alarms": {"error_percent": 0}}}, "greater than 0"),
        (
            ASLEEP | {"capture_percent": 1},
            "captures no data of an endpoint that scales to zero; set autoscaling.min to 1",
        ),
        (ASLEEP | {"shadow": {"hours": 1}}, "has no shadow variant; set autoscaling.min to 1"),
        (ASLEEP | {"rollout": {"type": "canary"}}, "are replaced half by half; set autoscaling.min to 1"),
        (ASLEEP | {"rollout": {"type": "all-at-once"}}, "are replaced half by half; set autoscaling.min to 1"),
        (REAL | {"autoscaling": {"min": 0, "max": 6}}, "invocations_per_minute is missing"),
        (REAL | {"autoscaling": {**SCALED, "min": 7}}, "min 7 is greater than max 6"),
        (REAL | {"autoscaling": {**SCALED, "max": 101}}, "at most 100 instances"),
        (REAL | {"autoscaling": {"max": 4}}, "invocations_per_minute is missing"),
        (REAL | {"autoscaling": {**SCALED, "utilization_percent": 70}}, "utilization_percent is for serverless"),
        (REAL | {"shadow": {"hours": 73}}, "less than or equal to 72"),
        (REAL | {"shadow": {"hours": 2}}, "compared as it was captured; set capture_percent"),
        (SERVERLESS | {"shadow": {"hours": 1, "percent": 50}}, "all recorded requests are replayed"),
        (SERVERLESS | {"experiment": {"effect": 1.0}}, "an A/B test needs two variants, which neither a serverless"),
        (ASLEEP | {"experiment": {"effect": 1.0}}, "use real-time with autoscaling.min 1"),
        (REAL | {"experiment": {"effect": 1.0}}, "captured predictions tell it, and none may be missed"),
        (REAL | {"experiment": {"effect": 1.0, "percent": 4}}, "greater than or equal to 5"),
        (REAL | {"experiment": {"effect": 1.0, "percent": 51}}, "less than or equal to 50"),
        (REAL | {"experiment": {"effect": 0.0}}, "greater than 0"),
        (
            REAL | {"experiment": {"effect": 1.0, "least_days": 9, "most_days": 7}},
            "least_days 9 is greater than most_days 7",
        ),
        (SERVERLESS | {"capture_percent": 1}, "captures nothing, its server logs predictions"),
        (SERVERLESS | {"rollout": {"type": "canary"}}, "no alarm rolls it back; use real-time"),
        (SERVERLESS | {"provisioned_concurrency": 11}, "greater than max_concurrency 10"),
        (SERVERLESS | {"autoscaling": {"max": 5}}, "moves its provisioned_concurrency: give one"),
        (SERVERLESS | {"provisioned_concurrency": 6, "autoscaling": {"max": 5}}, "not within autoscaling 1 to 5"),
        (SERVERLESS | {"provisioned_concurrency": 1, "autoscaling": {"min": 0, "max": 5}}, "is at least 1"),
        (SERVERLESS | {"provisioned_concurrency": 1, "autoscaling": {"max": 11}}, "greater than max_concurrency 10"),
        (SERVERLESS | {"provisioned_concurrency": 1, "autoscaling": SCALED | {"min": 1}}, "is for instances"),
    ],
)
def test_what_sagemaker_excludes_is_refused_with_the_way_out(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Serving.model_validate(given)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (REAL, "all-at-once"),
        (REAL | {"instance_count": 2}, "canary"),
        (REAL | {"autoscaling": SCALED}, "canary"),
        (REAL | {"instance_count": 2, "rollout": {"type": "linear"}}, "linear"),
        (REAL | {"instance_count": 2, "rollout": {"type": "all-at-once"}}, "all-at-once"),
    ],
)
def test_a_rollout_is_a_canary_wherever_the_fleet_allows_it(given: dict[str, Any], expected: str) -> None:
    assert _serving(given).rollout_type == expected


@pytest.mark.parametrize(("count", "expected"), [(1, 2), (2, 2), (5, 5), (9, 6)])
def test_a_deployment_begins_within_the_bounds_of_the_autoscaling(count: int, expected: int) -> None:
    assert _serving(REAL, {"autoscaling": SCALED, "instance_count": count}).instances == expected


def test_an_update_waits_once_for_every_shift_of_traffic_and_fits_into_sagemakers_limit() -> None:
    rollout = _serving(REAL, {"instance_count": 4, "rollout": {"percent": 30, "wait_minutes": 60}}).rollout
    assert [rollout.steps(kind) for kind in ("all-at-once", "canary", "linear")] == [1, 2, 4]
    assert rollout.wait_seconds("canary") == 2 * 60 * 60
    longest = _serving(REAL, {"instance_count": 2, "rollout": {"type": "linear", "percent": 10, "wait_minutes": 42}})
    assert longest.rollout.wait_seconds("linear") + START_SECONDS == LONGEST_UPDATE_SECONDS


def test_warm_environments_may_be_scaled_within_the_greatest_concurrency() -> None:
    given = SERVERLESS | {"provisioned_concurrency": 2, "autoscaling": {"max": 10, "utilization_percent": 70}}
    assert _serving(given).provisioned_concurrency == 2


@pytest.mark.parametrize(
    ("given", "sleeps"),
    [
        (ASLEEP, True),
        (REAL | {"autoscaling": SCALED}, False),
        (REAL, False),
        (SERVERLESS, False),
    ],
)
def test_only_a_real_time_endpoint_whose_minimum_is_none_scales_to_zero(given: dict[str, Any], sleeps: bool) -> None:
    serving = _serving(given)
    assert serving.scales_to_zero is sleeps
    assert not sleeps or (serving.least_instances, serving.instances) == (0, 1)
