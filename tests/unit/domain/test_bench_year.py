"""The replay of a year asks before it knows, stops where things happen, and compares policies fairly."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from bench.year import asked_columns, documents, project_name
from bench.year_figures import auc, compare, joined, mean_auc, money_of
from bench.year_flights import Flights, is_late, request_body, timetable
from passerelle.domain.project.model import Project, Value

VALUE = Value(true_positive=40, false_positive=-12, false_negative=-40)


@pytest.fixture(scope="module")
def flights() -> Flights:
    return Flights(20)


def answers(generator: np.random.Generator, noise: float) -> pd.DataFrame:
    """Return scores for the same flights of two months; the more noise, the worse."""
    late = np.random.default_rng(0).random(1_200) < 0.25
    score = late + noise * generator.normal(size=1_200)
    days = pd.date_range("2013-03-01", periods=60).repeat(20)
    return pd.DataFrame(
        {"day": days, "month": days.month, "late": late, "score": score, "usd": money_of(score > 0.5, late, VALUE)}
    )


@pytest.mark.parametrize("kind", [{}, {"daily": True}, {"monthly_files": True}])
def test_each_day_is_asked_for_once_when_it_is_over_and_before_its_delays_come(kind: dict[str, bool]) -> None:
    stops = timetable(3, 12, **kind)
    year = [date(2013, 3, 1) + timedelta(days=number) for number in range(306)]
    asked, came = (
        {day: stop.at for stop in stops if stop.what == what for day in stop.days} for what in ("ask", "drop")
    )
    assert [day for stop in stops if stop.what == "ask" for day in stop.days] == year
    assert [day for stop in stops if stop.what == "drop" for day in stop.days] == year[: len(came)]
    assert all(day <= moment.date() for day, moment in asked.items())
    assert all(asked[day] < moment for day, moment in came.items())


@pytest.mark.parametrize("kind", [{}, {"monthly_files": True}])
def test_windows_are_looked_at_each_week_and_on_the_day_after_a_file(kind: dict[str, bool]) -> None:
    stops = timetable(3, 12, **kind)
    looks = [stop.at for stop in stops if stop.what == "look"]
    assert max(after - before for before, after in pairwise(looks)) <= timedelta(days=7)
    drops = {stop.at.date() + timedelta(days=1) for stop in stops if stop.what == "drop"}
    assert drops <= {moment.date() for moment in looks}
    daily = [stop.at.date() for stop in timetable(3, 3, daily=True) if stop.what == "look"]
    assert daily == [date(2013, 3, 2) + timedelta(days=number) for number in range(31)]


def test_callers_say_nothing_that_is_known_only_afterwards(flights: Flights) -> None:
    document = documents()[project_name("never")]
    body = request_body(flights.of(date(2013, 5, 5)), asked_columns(document)).decode()
    header, *rows = body.splitlines()
    assert not {"arr_delay", "dep_delay", "dep_time", "arr_time", "air_time"} & set(header.split(","))
    assert {"carrier", "flight", "origin", "time_hour"} <= set(header.split(","))
    assert len(rows) == 20


def test_a_months_file_holds_the_flights_that_were_asked_for_with_their_delays(flights: Flights) -> None:
    lines = flights.file(date(2013, 2, 1 + number) for number in range(28)).decode().splitlines()
    assert len(lines) == 1 + 28 * 20
    assert "arr_delay" in lines[0]
    assert len(Flights(0).of(date(2013, 5, 5))) > 500


def test_the_projects_differ_in_nothing_but_their_policy() -> None:
    found = [Project.model_validate(document) for document in documents().values()]
    assert [project.training.on_drop for project in found] == ["keep", "keep", "keep"]
    assert [project.monitoring.retraining.drift for project in found] == ["major", None, None]
    assert [project.monitoring.retraining.every_days for project in found] == [None, None, 30]
    monthly = Project.model_validate(documents(monthly_files=True)[project_name("monthly")])
    assert (monthly.training.on_drop, monthly.monitoring.retraining.every_days) == ("train", None)
    same = [
        project.model_copy(
            update={"name": "", "monitoring": None, "training": project.training.model_copy(update={"on_drop": ""})}
        )
        for project in found
    ]
    assert same[0] == same[1] == same[2]


def test_flights_that_never_arrived_are_neither_late_nor_punctual(flights: Flights) -> None:
    one = flights.of(date(2013, 5, 5))[0]
    assert [is_late({**one, "arr_delay": delay}) for delay in ("16", "15", "-3", "")] == [True, False, False, None]
    asked = pd.DataFrame({"inference_id": ["a", "a", "a"], "request_row": [2, 0, 1], "score": [0.1, 0.2, 0.3]})
    found = joined(asked, {"a": [True, None, False]})
    assert found[["score", "late"]].to_numpy().tolist() == [[0.1, False], [0.2, True]]


def test_auc_is_that_of_scikit_learn_by_month() -> None:
    rows = answers(np.random.default_rng(1), 1.0).round({"score": 1})
    assert auc(rows) == pytest.approx(roc_auc_score(rows["late"], rows["score"]))
    months = [roc_auc_score(part["late"], part["score"]) for _, part in rows.groupby("month")]
    assert mean_auc(rows) == pytest.approx(np.mean(months))


def test_decisions_are_worth_what_the_project_says() -> None:
    decided, late = np.asarray([True, True, False, False]), np.asarray([True, False, False, True])
    assert money_of(decided, late, VALUE).tolist() == [40, -12, 0, -40]


def test_a_policy_is_beaten_only_where_nothing_is_worse() -> None:
    better, worse = (answers(np.random.default_rng(seed), noise) for seed, noise in ((2, 0.6), (3, 2.0)))
    assert compare(better, worse, saved=0, draws=20).beaten
    assert not compare(worse, better, saved=0, draws=20).beaten
    same = compare(better, better, saved=0, draws=20)
    assert (same.beaten, same.auc.value, same.auc.lower, same.usd.upper) == (False, 0, 0, 0)
    assert compare(better, better, saved=0.5, draws=20).beaten
    assert not compare(better, worse, saved=-1e6, draws=20).beaten
