"""What lines add up to: floors that say so, runs, experiments, requests, spot, idle endpoints, a month's forecast."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.contracts.ledger import Charge, charge_id
from passerelle.domain.cost.ledger.days import asked_days
from passerelle.domain.cost.ledger.forecast import month_forecast
from passerelle.domain.cost.ledger.idle import idle_endpoints, idle_usd
from passerelle.domain.cost.ledger.sums import (
    experiments,
    grouped,
    merged,
    per_thousand_requests,
    spot,
    total,
    training_runs,
    unpriced,
    within,
)
from passerelle.errors import InputError

from .lines import charge

NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)


def served(day: date, *, hours: float = 24, requests: float | None = 0, usd: float | None = 2.76) -> Charge:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e/champion"
    return charge(
        id=charge_id(arn, "SageMaker Hosting", "ml.m5.large", str(day)),
        charge_start=f"{day}T00:00:00Z",
        charge_end=f"{day + timedelta(days=1)}T00:00:00Z",
        stage="serve",
        resource_id=arn,
        resource_name="e/champion",
        quantity=hours,
        usd=usd,
        requests=requests,
    )


def fortnight(last: date, days: int = 14, **values: float | None) -> list[Charge]:
    return [served(last - timedelta(days=back), **values) for back in range(days)]  # type: ignore[arg-type]


LAST = date(2026, 11, 21)


def test_a_line_without_a_price_makes_the_sum_a_floor() -> None:
    found = total([charge(usd=1.0), charge(usd=None), charge(usd=0.5)])
    assert (found.usd, found.unknown, found.lines, found.complete) == (1.5, 1, 3, False)


def test_groups_come_the_dearest_first_and_days_in_their_order() -> None:
    lines = [charge(stage="train", usd=1.0), charge(stage="serve", usd=5.0), charge(stage="train", usd=1.5)]
    assert [(name, found.usd) for name, found in grouped(lines, "stage").items()] == [("serve", 5.0), ("train", 2.5)]
    days = [served(LAST), served(LAST - timedelta(days=1), usd=99.0)]
    assert list(grouped(days, "day")) == ["2026-11-20", "2026-11-21"]


def test_a_training_runs_cost_has_its_jobs_and_functions_and_not_what_serves_its_model() -> None:
    lines = [
        charge(run_id="r1", stage=stage, usd=1.0)
        for stage in ("prepare", "tune", "train", "evaluate", "judge", "pipeline", "serve", "batch", "watch")
    ]
    assert training_runs([*lines, charge(run_id="", usd=9.0)])["r1"].usd == 6.0


def test_experiments_cost_what_bears_their_name() -> None:
    lines = [charge(experiment="study", usd=1.0), charge(experiment="study", usd=2.0), charge(usd=9.0)]
    assert {name: found.usd for name, found in experiments(lines).items()} == {"study": 3.0}


def test_a_thousand_requests_cost_what_served_them() -> None:
    lines = [served(LAST, requests=2_000, usd=4.0), served(LAST - timedelta(days=1), requests=None, usd=7.0)]
    assert per_thousand_requests([*lines, charge(usd=100.0)]) == pytest.approx(2.0)
    assert per_thousand_requests([served(LAST, requests=0)]) is None
    assert per_thousand_requests([served(LAST, requests=None)]) is None
    assert per_thousand_requests([served(LAST, requests=5, usd=None)]) is None


def test_spot_saved_what_is_not_billed_of_the_time_that_it_trained() -> None:
    lines = [
        charge(pricing_category="Dynamic", usd=0.3, on_demand_usd=1.0),
        charge(pricing_category="Dynamic", usd=None, on_demand_usd=None),
        charge(usd=5.0, on_demand_usd=5.0),
    ]
    found = spot(lines)
    assert (found.saved_usd, found.share, found.jobs, found.unknown) == (pytest.approx(0.7), pytest.approx(0.7), 1, 1)
    assert spot([]).share is None


def test_what_has_no_price_is_listed_by_the_row_that_is_missing() -> None:
    found = unpriced([charge(usd=None), charge(usd=None), charge()])
    assert {row: len(lines) for row, lines in found.items()} == {("SageMaker Training", "us-east-1", "ml.m5.large"): 2}


def test_metered_again_a_line_takes_the_place_of_its_like_and_what_is_gone_stays() -> None:
    before, now = [charge(id="a" * 32, usd=1.0), charge(id="b" * 32, usd=2.0)], [charge(id="a" * 32, usd=1.1)]
    assert sorted((one.id[0], one.usd) for one in merged(before, now)) == [("a", 1.1), ("b", 2.0)]
    assert merged(merged(before, now), now) == merged(before, now)


def test_lines_within_a_time_are_those_that_were_used_in_it_at_least_in_part() -> None:
    lines = fortnight(LAST, 3)
    assert [one.day for one in within(lines, "2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z")] == [
        "2026-11-21",
        "2026-11-20",
    ]


# Idle endpoints


@pytest.mark.parametrize(
    ("lines", "use"),
    [
        (fortnight(LAST), "idle"),
        (fortnight(LAST, requests=23), "underused"),
        (fortnight(LAST, requests=24), "used"),
        (fortnight(LAST, requests=None), "no data"),
        (fortnight(LAST, 11), "too new"),
        (fortnight(LAST, 12), "idle"),
        (fortnight(LAST, hours=0, usd=0), "asleep"),
    ],
)
def test_an_endpoints_use_is_judged_by_a_fortnight(lines: list[Charge], use: str) -> None:
    (found,) = idle_endpoints(lines, LAST)
    assert found.use == use


def test_the_waste_is_what_an_idle_endpoint_costs_a_month_and_a_missing_price_makes_it_a_floor() -> None:
    (found,) = idle_endpoints(fortnight(LAST), LAST)
    assert found.usd_per_month == pytest.approx(83.95)  # ml.m5.large all the month (cost.md 1.4)
    (unknown,) = idle_endpoints(fortnight(LAST, usd=None), LAST)
    assert idle_usd([found, unknown]) == (pytest.approx(83.95), 1)


def test_days_before_the_fortnight_say_nothing() -> None:
    old = fortnight(LAST - timedelta(days=14), requests=10_000)
    (found,) = idle_endpoints([*fortnight(LAST), *old], LAST)
    assert found.use == "idle"


# Days and the forecast


def test_without_a_question_yesterday_and_so_far_today_are_metered() -> None:
    yesterday, today = asked_days({}, NOW)
    assert (yesterday.name, yesterday.end, today.name, today.end) == ("2026-11-20", today.start, "2026-11-21", NOW)


def test_a_month_that_is_asked_for_ends_today_at_the_latest() -> None:
    october, november = asked_days({"month": "2026-10"}, NOW), asked_days({"month": "2026-11"}, NOW)
    assert (len(october), october[0].name, october[-1].name) == (31, "2026-10-01", "2026-10-31")
    assert (len(november), november[-1].end) == (21, NOW)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"day": "2026-11-22"}, "has not begun"),
        ({"month": "2026-12"}, "has not begun"),
        ({"day": "21.11.2026"}, "yyyy-mm-dd"),
        ({"day": "2026-02-30"}, "yyyy-mm-dd"),
        ({"month": "2026-13"}, "yyyy-mm"),
        ({"month": "november"}, "yyyy-mm"),
    ],
)
def test_what_is_no_day_or_has_not_begun_is_refused(request_: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        asked_days(request_, NOW)


@given(st.dictionaries(st.integers(-10, 0), st.floats(0, 1e6)), st.dates(date(2024, 1, 20), date(2030, 12, 31)))
def test_a_forecast_is_never_less_than_what_the_month_has_cost(costs: dict[int, float], today: date) -> None:
    by_day = {str(today + timedelta(days=back)): usd for back, usd in costs.items()}
    known = sum(usd for day, usd in by_day.items() if day[:7] == str(today)[:7])
    assert month_forecast(by_day, today) >= known * (1 - 1e-9)


def test_a_month_that_goes_on_as_it_did_costs_its_days() -> None:
    today = date(2026, 11, 21)
    by_day = {str(today - timedelta(days=back)): 2.0 for back in range(1, 40)}
    assert month_forecast(by_day | {str(today): 0.5}, today) == pytest.approx(60.0)
