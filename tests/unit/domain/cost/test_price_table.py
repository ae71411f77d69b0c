"""The price table: dates, ages, and which of two rows for one thing holds."""

from __future__ import annotations

from datetime import date

import pytest

from passerelle.domain.cost.prices import COLUMNS, find_price, price_rows, read_on, read_rows


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        ("2026-09-25", date(2026, 9, 25)),
        ("2026-10 (FX dated 2026-09-30)", date(2026, 10, 1)),
        ("2024 (floating price)", date(2024, 1, 1)),
        ("undated", None),
        ("", None),
    ],
)
def test_a_date_means_the_first_day_that_it_may_mean(as_of: str, day: date | None) -> None:
    assert read_on(as_of) == day


def test_a_price_is_as_old_as_its_date_and_one_without_a_date_has_no_age() -> None:
    row, undated = read_rows(
        [",".join(COLUMNS), "S,r,a,hour,1,read,2026-10-01", "S,r,b,hour,1,read,undated"], derived=False
    )
    assert row.age_days(date(2026, 10, 31)) == 30
    assert undated.age_days(date(2026, 10, 31)) is None


def test_what_nobody_found_or_verified_has_no_price() -> None:
    rows = {row.key: row for row in price_rows()}
    fargate = ("Fargate Linux x86", "eu-west-3", "EUW3-Fargate-vCPU-Hours:perCPU")
    assert rows[fargate].usd is None
    assert find_price(*fargate) is None
    assert find_price("KMS", "eu-west-3", "EUW3-KMS-Keys") is None


def test_every_row_with_a_price_has_unit_and_source() -> None:
    assert [row for row in price_rows() if row.usd is not None and not (row.unit and row.source)] == []
