"""The greatest payloads of a transform job (API reference, CreateTransformJob: MaxPayloadInMB, 6 MB and 100 MB)."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.jobs.rules import check_transform
from tests.contract import sagemaker_requests as make


@pytest.mark.parametrize(
    "limits",
    [
        {"MaxConcurrentTransforms": 16},  # of 6 MB each
        {"MaxPayloadInMB": 100},
        {"MaxPayloadInMB": 50, "MaxConcurrentTransforms": 2},
        {"MaxPayloadInMB": 0, "MaxConcurrentTransforms": 200},  # 0 is no limit
        {"MaxPayloadInMB": 100, "MaxConcurrentTransforms": 0},  # 0 leaves it to the container
    ],
)
def test_a_job_may_have_100_mb_under_way_and_be_without_a_limit(limits: dict[str, Any]) -> None:
    check_transform(make.transform("x", **limits))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"MaxConcurrentTransforms": 17}, r"17 \* 6"),
        ({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2}, r"2 \* 51"),
        ({"MaxPayloadInMB": 101}, "greater than 100 MB, and is 101"),
    ],
)
def test_more_is_refused_with_the_numbers(limits: dict[str, Any], says: str) -> None:
    with pytest.raises(SageMakerError, match=says) as refusal:
        check_transform(make.transform("x", **limits))
    assert refusal.value.code == "ValidationException"
