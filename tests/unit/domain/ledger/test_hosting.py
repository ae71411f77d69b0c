"""An endpoint's day: instance-hours by its scaling activities, or the work of a serverless one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.cost.ledger.hosting import Asked, Change, Variant, changes_of, endpoint_charges, instance_hours
from passerelle.domain.cost.ledger.used import Owner

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
ENDPOINT = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/passerelle-dev-flights"
INSTANCES = {"VariantName": "champion", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


def hour(number: float) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


def variant(configured: dict[str, Any], **changes: Any) -> Variant:
    values: dict[str, Any] = {
        "owner": Owner(project="flights", cost_centre="cc-1", environment="dev", model_version="3"),
        "endpoint_arn": ENDPOINT,
        "endpoint": "passerelle-dev-flights",
        "name": "champion",
        "now": {"VariantName": "champion", "CurrentInstanceCount": 2},
        "configured": configured,
        "start": MIDNIGHT,
        "end": hour(24),
        "changes": (),
        "asked": Asked(requests=1_000, work_seconds=12.3456),
    }
    return Variant(**values | changes)


def activity(at: datetime, count: int, **changes: Any) -> dict[str, Any]:
    told = f"Setting desired instance count to {count}."
    return {"Description": told, "StatusCode": "Successful", "StartTime": at, "EndTime": at} | changes


def test_a_day_of_instances_that_did_not_change_costs_all_its_hours() -> None:
    (line,) = endpoint_charges(variant(INSTANCES), "us-east-1")
    assert (line.quantity, line.usd, line.requests) == (48.0, pytest.approx(48 * 0.115), 1_000)
    assert (line.resource_name, line.model_version, line.day) == ("passerelle-dev-flights/champion", "3", "2026-11-21")


def test_scaling_within_the_day_is_counted_by_its_activities() -> None:
    changes = changes_of([activity(hour(18), 1), activity(hour(6), 4), activity(hour(7), 9, StatusCode="Failed")])
    (line,) = endpoint_charges(variant(INSTANCES, changes=changes), "us-east-1")
    assert line.quantity == 6 * 1 + 12 * 4 + 6 * 1


def test_what_changed_on_another_day_tells_with_how_many_this_one_began() -> None:
    changes = [Change(hour(-30), 3), Change(hour(30), 7)]
    assert instance_hours(MIDNIGHT, hour(24), begin=1, changes=changes) == 72.0


def test_copies_that_scale_to_zero_cost_nothing_while_there_are_none() -> None:
    asleep = changes_of([activity(hour(1), 0, Description="Setting desired copy count to 0.")])
    (line,) = endpoint_charges(variant(INSTANCES, changes=asleep), "us-east-1")
    assert line.quantity == 1.0


def test_no_data_of_requests_is_none_and_said() -> None:
    (line,) = endpoint_charges(variant(INSTANCES, asked=Asked(requests=None, work_seconds=None)), "us-east-1")
    assert line.requests is None
    assert "no count" in line.basis


def test_a_serverless_variant_costs_the_milliseconds_that_its_containers_took() -> None:
    configured = {"VariantName": "champion", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    (line,) = endpoint_charges(variant(configured, now={"VariantName": "champion"}), "us-east-1")
    assert (line.unit, line.quantity, line.usd) == ("second", 12.346, pytest.approx(12.346 * 4e-5))


def test_a_million_calls_of_a_tenth_of_a_second_with_2_gb_cost_the_4_dollars_of_the_reference() -> None:
    configured = {"VariantName": "champion", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    asked = Asked(requests=1e6, work_seconds=1e5)
    (line,) = endpoint_charges(variant(configured, now={"VariantName": "champion"}, asked=asked), "us-east-1")
    assert line.usd == pytest.approx(4.00)


def test_what_is_kept_warm_has_a_line_whose_price_is_unknown() -> None:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, "ProvisionedConcurrency": 2}
    configured = {"VariantName": "champion", "ServerlessConfig": serverless}
    _, warm = endpoint_charges(variant(configured, now={"VariantName": "champion"}), "us-east-1")
    assert (warm.quantity, warm.usd) == (2 * 86_400, None)


def test_a_volume_that_was_asked_for_is_paid_by_the_hour_of_its_instances() -> None:
    _, volume = endpoint_charges(variant(INSTANCES | {"VolumeSizeInGB": 73}), "eu-west-1")
    assert volume.usd == pytest.approx(73 * 48 / 730 * 0.154)


def test_the_same_day_has_the_same_ids_and_the_next_day_others() -> None:
    (first,) = endpoint_charges(variant(INSTANCES, end=hour(6)), "us-east-1")
    (again,) = endpoint_charges(variant(INSTANCES), "us-east-1")
    (later,) = endpoint_charges(variant(INSTANCES, start=hour(24), end=hour(48)), "us-east-1")
    assert first.id == again.id != later.id


COUNTS = st.lists(st.tuples(st.floats(-48, 72), st.integers(0, 20)), max_size=12)


@given(changes=COUNTS, begin=st.integers(0, 20), cut=st.floats(0, 24))
def test_hours_of_two_parts_of_a_day_are_those_of_the_day(
    changes: list[tuple[float, int]], begin: int, cut: float
) -> None:
    known = sorted((Change(hour(at), count) for at, count in changes), key=lambda one: one.at)
    whole = instance_hours(MIDNIGHT, hour(24), begin=begin, changes=known)
    before = instance_hours(MIDNIGHT, hour(cut), begin=begin, changes=known)
    after = instance_hours(hour(cut), hour(24), begin=begin, changes=known)
    assert whole == pytest.approx(before + after, abs=1e-6)
    assert 0 <= whole <= 24 * max([begin, *(one.count for one in known)]) + 1e-9
