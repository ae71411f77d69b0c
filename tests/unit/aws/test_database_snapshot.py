"""The RDS snapshot that is a database's backup; every request is held to botocore's model of RDS."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from passerelle.aws import database_snapshot as subject
from passerelle.errors import JobFailedError, NotFoundError, PasserelleError, SettingsError, TransientError

NAME = "passerelle-prod-b20261121120925"
ARN = f"arn:aws:rds:us-east-1:333333333333:snapshot:{NAME}"
UNTIL = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)
DESCRIBED = {"DBInstances": [{"DBInstanceIdentifier": "db-1", "LatestRestorableTime": UNTIL}]}
CREATE = {
    "DBInstanceIdentifier": "db-1",
    "DBSnapshotIdentifier": NAME,
    "Tags": [{"Key": "environment", "Value": "prod"}],
}


@pytest.fixture
def rds(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(subject, "POLL_SECONDS", 0.0)
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    return session.client("rds")


def _take(rds: Any, stub: Stubber) -> tuple[Any, list[int]]:
    seen: list[int] = []
    name = subject.snapshot_name("prod", "b20261121120925")
    with stub:
        copied = subject.take_snapshot(rds, "db-1", name, tags={"environment": "prod"}, progress=seen.append)
    stub.assert_no_pending_responses()
    return copied, seen


def _snapshot(status: str, percent: int) -> dict[str, Any]:
    return {"DBSnapshots": [{"DBSnapshotArn": ARN, "Status": status, "PercentProgress": percent}]}


def test_a_snapshot_is_created_waited_for_and_named_with_the_last_second_that_can_be_restored(rds: Any) -> None:
    stub = Stubber(rds)
    stub.add_response("describe_db_instances", DESCRIBED, {"DBInstanceIdentifier": "db-1"})
    stub.add_response("create_db_snapshot", {"DBSnapshot": {"DBSnapshotArn": ARN}}, CREATE)
    for status, percent in (("creating", 0), ("creating", 60), ("available", 100)):
        stub.add_response("describe_db_snapshots", _snapshot(status, percent), {"DBSnapshotIdentifier": NAME})
    copied, seen = _take(rds, stub)
    assert (copied.kind, copied.snapshot_arn, copied.restorable_until) == ("snapshot", ARN, UNTIL.isoformat())
    assert seen == [0, 60, 100, 100]


def test_a_snapshot_that_an_earlier_try_has_begun_is_waited_for(rds: Any) -> None:
    stub = Stubber(rds)
    stub.add_response("describe_db_instances", DESCRIBED)
    stub.add_client_error("create_db_snapshot", "DBSnapshotAlreadyExists")
    stub.add_response("describe_db_snapshots", _snapshot("available", 100))
    assert _take(rds, stub)[0].snapshot_arn == ARN


def test_a_snapshot_that_failed_is_no_backup(rds: Any) -> None:
    stub = Stubber(rds)
    stub.add_response("describe_db_instances", DESCRIBED)
    stub.add_response("create_db_snapshot", {"DBSnapshot": {}})
    stub.add_response("describe_db_snapshots", _snapshot("failed", 3))
    with pytest.raises(JobFailedError, match=f"{NAME} is failed"):
        _take(rds, stub)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("InvalidDBInstanceState", TransientError, "stopped, or being changed"),
        ("SnapshotQuotaExceeded", SettingsError, "delete old ones"),
        ("AccessDenied", SettingsError, "RDS refuses"),
        ("Throttling", TransientError, "Run the same command again"),
    ],
)
def test_what_rds_refuses_is_said_with_a_remedy(rds: Any, code: str, kind: type[PasserelleError], says: str) -> None:
    stub = Stubber(rds)
    stub.add_response("describe_db_instances", DESCRIBED)
    stub.add_client_error("create_db_snapshot", code)
    with pytest.raises(kind, match=says):
        _take(rds, stub)


def test_an_environment_without_its_database_is_told_so(rds: Any) -> None:
    stub = Stubber(rds)
    stub.add_client_error("describe_db_instances", "DBInstanceNotFound")
    with pytest.raises(NotFoundError, match="db-1"):
        _take(rds, stub)
