"""The ledger's line."""

from __future__ import annotations

import pytest

from passerelle.contracts.ledger import COLUMNS, Charge, charge_id

from .lines import charge


def test_the_columns_of_the_files_are_the_fields_of_a_line_in_their_order() -> None:
    assert [name for name, _ in COLUMNS] == list(Charge.model_fields)


@pytest.mark.parametrize(
    ("start", "end", "day"),
    [
        ("2026-11-20T23:00:00Z", "2026-11-21T01:00:00Z", "2026-11-21"),
        ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-21"),  # a whole day's end is the next one's beginning
        ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-21"),  # nothing was used: still the same day
        ("2026-12-31T05:00:00Z", "2027-01-01T00:00:01Z", "2027-01-01"),
    ],
)
def test_a_charge_belongs_to_the_day_of_its_last_moment(start: str, end: str, day: str) -> None:
    assert charge(charge_start=start, charge_end=end).day == day


def test_the_same_use_has_the_same_id_and_another_one_another() -> None:
    arn = charge().resource_id
    assert charge_id(arn, "SageMaker Training", "ml.m5.large", "") == charge_id(
        arn, "SageMaker Training", "ml.m5.large", ""
    )
    ids = {
        charge_id(arn, "SageMaker Training", "ml.m5.large", ""),
        charge_id(arn, "SageMaker Training", "ml.m5.large", "2026-11-21"),
        charge_id(arn, "SageMaker storage", "ml.m5.large", ""),
        charge_id(arn + "SageMaker", " Training", "ml.m5.large", ""),
    }
    assert len(ids) == 4
