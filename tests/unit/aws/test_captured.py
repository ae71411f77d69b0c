"""Which captured objects a job reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from passerelle.aws import captured
from passerelle.aws.captured import captured_prefixes, choose, recorded_prefixes
from passerelle.aws.objects import Objects

NOW = datetime.now(UTC)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="captures")
        yield Objects(s3)


def put(objects: Objects, hours_ago: int, name: str, size: int = 1, variant: str = "champion") -> str:
    key = f"p/capture/e/{variant}/{NOW - timedelta(hours=hours_ago):%Y/%m/%d/%H}/{name}"
    objects.write("captures", key, b"x" * size)
    return key


def chosen(objects: Objects, hours: int) -> list[str]:
    return choose(objects, "captures", captured_prefixes("p", "e", "champion", NOW - timedelta(hours=hours)))


def test_objects_of_the_time_and_of_the_variant_are_read_oldest_first(objects: Objects) -> None:
    put(objects, 3, "before.jsonl")
    put(objects, 1, "other.jsonl", variant="challenger")
    wanted = [put(objects, 2, "b.jsonl"), put(objects, 1, "a.jsonl"), put(objects, 0, "c.jsonl")]
    assert chosen(objects, 2) == wanted


def test_of_much_the_beginning_of_each_hour_is_read_and_at_least_one_object(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured, "MOST_BYTES", 20)
    wanted = [put(objects, 1, "a.jsonl", 4), put(objects, 1, "b.jsonl", 6)]
    put(objects, 1, "c.jsonl", 1)
    wanted += [put(objects, 0, "d.jsonl", 400)]
    put(objects, 0, "e.jsonl", 1)
    assert chosen(objects, 1) == wanted


def test_records_are_those_of_the_days_since(objects: Objects) -> None:
    days = recorded_prefixes("p", NOW - timedelta(days=2))
    assert days == [f"p/records/{NOW - timedelta(days=ago):%Y-%m-%d}/" for ago in (2, 1, 0)]
