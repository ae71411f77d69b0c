"""Datapoints lie in the order of their time whoever writes them; old ones go, and an alarm changes state once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from laptop.ministack import metric_store
from laptop.ministack.alarms import Alarms
from laptop.ministack.metric_store import last_points
from laptop.settings import LaptopSettings

PLACE = ("N", "m", {"a": "b"})


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("_metric_bucket", "_evict_old_metrics", "_dispatch_alarm_actions"):
        monkeypatch.setattr(cloudwatch, name, getattr(cloudwatch, name))
    monkeypatch.setattr(metric_store, "EVICTION_SECONDS", -1.0)
    metric_store.install_metric_store()
    with request_scope("111111111111", "us-east-1"):
        yield cloudwatch
        cloudwatch.reset()


def put(value: float, moment: float) -> None:
    cloudwatch._store_datum("N", "m", {"a": "b"}, moment, "None", value, None, None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.floats(0, 1000)), limit=st.floats(0, 1000))
def test_the_last_datapoints_are_found_in_whatever_order_they_came(
    metrics: Any, ages: list[float], limit: float
) -> None:
    metrics._metrics.clear()
    for age in ages:
        put(age, 10_000 - age)
    found = [point["Timestamp"] for point in last_points(*PLACE, after=10_000 - limit)]
    assert found == sorted((10_000 - age for age in ages if 10_000 - age > 10_000 - limit), reverse=True)


def test_what_is_two_weeks_old_is_forgotten_and_a_metric_without_datapoints_too(metrics: Any) -> None:
    now = time.time()
    put(1.0, now - 15 * 86400)
    metrics.record_metric("N", "m", 2.0, "None", {"a": "b"})
    metrics._store_datum("N", "old", {}, now - 15 * 86400, "None", 1.0, None, None, None)
    metrics._evict_old_metrics()
    assert [point["Value"] for point in last_points(*PLACE, after=0.0)] == [2.0]
    assert [key[1] for key in metrics._metrics] == ["m"]


def test_nothing_is_lost_that_is_put_while_old_datapoints_go(metrics: Any) -> None:
    def write() -> None:
        with request_scope("111111111111", "us-east-1"):
            for number in range(2000):
                put(number, time.time())

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics._evict_old_metrics()
    for thread in threads:
        thread.join()
    assert len(list(last_points(*PLACE, after=0.0))) == 8000


def test_threads_that_judge_an_alarm_at_once_take_its_actions_once(
    metrics: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[str] = []

    def act(alarm: dict[str, Any], old: str, new: str, reason: str) -> None:
        time.sleep(0.05)
        taken.append(new)

    monkeypatch.setattr(cloudwatch, "_dispatch_alarm_actions", act)
    put(9.0, time.time())
    alarm = {
        "AlarmName": "a", "AlarmArn": "arn:aws:cloudwatch:us-east-1:111111111111:alarm:a", "Namespace": "N",
        "MetricName": "m", "Dimensions": [{"Name": "a", "Value": "b"}], "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum",
        "StateValue": "INSUFFICIENT_DATA", "StateReason": "Unchecked: Initial alarm creation",
    }  # fmt: skip
    alarms, ready = Alarms(LaptopSettings(home=tmp_path)), threading.Barrier(8)

    def judge() -> None:
        with request_scope("111111111111", "us-east-1"):
            ready.wait()
            alarms.evaluate(alarm)

    threads = [threading.Thread(target=judge) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (taken, alarm["StateValue"]) == (["ALARM"], "ALARM")
