"""MLflow's database on RDS: a manual snapshot is its backup, and outlives the instance and its automatic backups."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import QUOTA_CODES, is_transient
from passerelle.contracts.backup import DatabaseCopy
from passerelle.errors import JobFailedError, NotFoundError, PasserelleError, SettingsError, TransientError

POLL_SECONDS: Final = 15.0
_MISSING: Final = ("DBInstanceNotFound", "DBInstanceNotFoundFault", "DBSnapshotNotFound", "DBSnapshotNotFoundFault")


def snapshot_name(environment: str, backup_id: str) -> str:
    """Return the snapshot's name: letters, digits, single hyphens (RDS API reference, CreateDBSnapshot)."""
    return f"passerelle-{environment}-{backup_id}"


def take_snapshot(
    rds: Any, instance: str, name: str, *, tags: dict[str, str], progress: Callable[[int], None]
) -> DatabaseCopy:
    """Create a snapshot, or go on with the one of that name, and wait for its end; `progress` gets percents.

    Raises JobFailedError when it fails, NotFoundError when there is no such instance, TransientError when RDS does not
    answer or the instance is stopped or changing.
    """
    try:
        described = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
        try:
            rds.create_db_snapshot(
                DBInstanceIdentifier=instance,
                DBSnapshotIdentifier=name,
                Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            )
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith("DBSnapshotAlreadyExists"):
                raise
        snapshot = _await(rds, name, progress)
    except (ClientError, BotoCoreError) as error:
        raise _translate(error, instance) from error
    until = described.get("LatestRestorableTime")
    return DatabaseCopy(
        kind="snapshot", snapshot_arn=snapshot["DBSnapshotArn"], restorable_until=until.isoformat() if until else None
    )


def need_snapshot(rds: Any, arn: str) -> None:
    """Raise NotFoundError when a snapshot is gone, or this account may not see it."""
    try:
        rds.describe_db_snapshots(DBSnapshotIdentifier=arn, IncludeShared=True)
    except (ClientError, BotoCoreError) as error:
        raise _translate(error, arn) from error


def _await(rds: Any, name: str, progress: Callable[[int], None]) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
        progress(int(found.get("PercentProgress", 0)))
        if found["Status"] == "available":
            progress(100)
            return found
        if found["Status"] != "creating":
            raise JobFailedError(f"Snapshot {name} is {found['Status']}. Delete it and back up again.")
        time.sleep(POLL_SECONDS)


def _translate(error: Exception, what: str) -> PasserelleError:
    if not isinstance(error, ClientError):
        return TransientError(f"RDS does not answer about {what}: {error}")
    code = error.response["Error"]["Code"]
    if code in _MISSING:
        return NotFoundError(f"RDS has no {what}, or this account may not see it: {error}")
    if code.startswith("SnapshotQuotaExceeded") or code in QUOTA_CODES:
        return SettingsError(f"The account has as many snapshots as it may: delete old ones. {error}")
    if code.startswith("InvalidDBInstanceState"):
        return TransientError(f"Database {what} is stopped, or being changed: start it, or wait. {error}")
    if is_transient(error):
        return TransientError(f"{error}. Run the same command again; it goes on.")
    return SettingsError(f"RDS refuses: {error}")
