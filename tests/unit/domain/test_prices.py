"""A price is read, derived and labelled so, or unknown."""

from __future__ import annotations

import pytest

from passerelle.domain.cost.prices import instance_price, job_cost


def test_a_read_price_gives_the_cost_of_a_job() -> None:
    assert job_cost("SageMaker Training", "ml.m5.xlarge", "us-east-1", 1800) == pytest.approx(0.115)


def test_a_derived_price_is_labelled() -> None:
    price = instance_price("SageMaker Training", "ml.m5.large", "eu-west-3")
    assert price is not None
    assert (price.usd, price.derived) == (0.1344, True)


@pytest.mark.parametrize(("instance", "region"), [("ml.g5.xlarge", "eu-west-3"), ("ml.none.large", "us-east-1")])
def test_a_price_that_nobody_read_is_unknown_and_not_zero(instance: str, region: str) -> None:
    assert job_cost("SageMaker Training", instance, region, 3600) is None
