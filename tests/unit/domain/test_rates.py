"""One piece of something has one price, whatever AWS calls it in a region; what nobody read is unknown."""

from __future__ import annotations

import pytest

from passerelle.domain.cost import rates


def test_prices_of_a_thousand_or_a_million_pieces_are_told_for_one() -> None:
    transition, call = rates.transition_rate("us-east-1"), rates.call_rate("arm64", "us-east-1")
    assert (transition.unit, transition.usd) == ("transition", pytest.approx(0.025 / 1_000))
    assert (call.unit, call.usd) == ("request", pytest.approx(0.2 / 1e6))


def test_the_same_thing_is_found_under_the_name_that_its_region_gives_it() -> None:
    paris = rates.work_rate("arm64", "eu-west-3")
    assert (paris.sku, paris.usd) == ("EUW3-Lambda-GB-Second-ARM", pytest.approx(1.33334e-5))
    assert rates.work_rate("arm64", "us-east-1").sku == "duration 0-7.5B GB-s"


@pytest.mark.parametrize(
    "rate",
    [
        rates.transition_rate("eu-west-3"),
        rates.work_rate("sparc", "us-east-1"),
        rates.instance_rate("SageMaker Hosting", "ml.g5.xlarge", "eu-west-3"),
        rates.serverless_rate(2048, "eu-west-1"),
        rates.warm_rate(2048, "us-east-1"),
        rates.spark_rate("storage", "us-east-1"),
        rates.volume_rate("SageMaker Hosting", "us-east-1"),
        rates.call_rate("arm64", "mars-north-1"),
    ],
)
def test_an_unknown_price_is_none_and_still_names_its_row_and_unit(rate: rates.Rate) -> None:
    assert rate.usd is None
    assert rate.cost(5) is None
    assert rate.sku
    assert rate.unit


def test_an_unknown_quantity_has_no_cost() -> None:
    assert rates.transition_rate("us-east-1").cost(None) is None


def test_a_rate_says_where_and_when_it_was_read_and_whether_it_was_derived() -> None:
    read = rates.serverless_rate(3072, "us-east-1")
    assert read.usd == pytest.approx(6e-5)
    assert read.source
    assert read.as_of
    assert not read.derived
    assert rates.instance_rate("SageMaker Training", "ml.m5.large", "eu-west-3").derived
