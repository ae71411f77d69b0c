"""Where training goes on when AWS has no instance, or takes it away too often."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.domain.project.training import Training
from passerelle.domain.training_tries import TrainingTry, first_try, next_try

TRAINING = Training(
    instance_type="ml.g5.xlarge",
    fallback_instance_types=("ml.g4dn.xlarge", "ml.m5.2xlarge"),
    spot=True,
    on_demand_after_interruptions=2,
)
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different type."


def _job(status: str, *, reason: str = "", secondary: str = "", interrupted: int = 0) -> dict[str, Any]:
    transitions = [{"Status": "Interrupted"}] * interrupted
    return {
        "TrainingJobStatus": status, "FailureReason": reason, "SecondaryStatus": secondary,
        "SecondaryStatusTransitions": transitions,
    }  # fmt: skip


def test_types_without_capacity_or_quota_are_passed_over_in_the_declared_order_and_then_spot() -> None:
    tried = first_try(TRAINING)
    seen = [tried]
    for reason in (NO_CAPACITY, "ResourceLimitExceeded: limit is 0 Instances", NO_CAPACITY):
        following = next_try(TRAINING, tried, _job("Failed", reason=reason))
        assert following is not None
        seen.append(tried := following)
    assert seen == [
        TrainingTry(1, "ml.g5.xlarge", True),
        TrainingTry(2, "ml.g4dn.xlarge", True),
        TrainingTry(3, "ml.m5.2xlarge", True),
        TrainingTry(4, "ml.g5.xlarge", False),
    ]
    assert [item.suffix for item in seen] == ["", "-2", "-3", "-4"]


def test_on_demand_too_the_list_is_tried_once_and_then_it_ends() -> None:
    tried: TrainingTry | None = TrainingTry(4, "ml.g5.xlarge", False)
    types = []
    while tried is not None:
        types.append(tried.instance_type)
        tried = next_try(TRAINING, tried, _job("Failed", reason=NO_CAPACITY))
    assert types == ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.m5.2xlarge"]


def test_a_job_that_fails_by_itself_is_not_tried_elsewhere() -> None:
    assert next_try(TRAINING, first_try(TRAINING), _job("Failed", reason="AlgorithmError: no rows")) is None


@pytest.mark.parametrize(
    ("job", "again"),
    [
        (_job("Stopped", secondary="Stopped", interrupted=2), True),
        (_job("Stopped", secondary="Stopped", interrupted=1), False),  # somebody stopped it
        (_job("Stopped", secondary="MaxWaitTimeExceeded"), True),
        (_job("Stopped", secondary="MaxRuntimeExceeded"), False),
    ],
)
def test_spot_that_is_taken_away_or_never_comes_goes_on_on_demand(job: dict[str, Any], again: bool) -> None:
    following = next_try(TRAINING, first_try(TRAINING), job)
    assert following == (TrainingTry(2, "ml.g5.xlarge", False) if again else None)


def test_without_leave_nothing_runs_on_demand() -> None:
    strict = Training(spot=True)
    for job in (_job("Stopped", secondary="MaxWaitTimeExceeded", interrupted=9), _job("Failed", reason=NO_CAPACITY)):
        assert next_try(strict, first_try(strict), job) is None
