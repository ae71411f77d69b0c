"""What a backup of an environment is made of, as its own files say.

A backup folder (or S3 prefix) holds many backups that share their objects:

    objects/<2 digits>/<sha256>     the bytes of an object, once, whichever backups and keys have them
    <backup id>/backup.json         the `BackupIndex`; written first with status `incomplete`, and sealed last
    <backup id>/objects/<store>.jsonl   one `ObjectEntry` per version of that bucket, oldest first per key
    <backup id>/items.jsonl         the runs table, one item per line as DynamoDB's API writes it
    <backup id>/database.dump       MLflow's database in pg_dump's custom format; on AWS an RDS snapshot instead
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from passerelle.contracts.base import Contract
from passerelle.contracts.zones import ZONES

#: Raised when an older release could no longer restore what a newer one writes.
FORMAT: Final = 1
INDEX: Final = "backup.json"
ITEMS: Final = "items.jsonl"
DATABASE: Final = "database.dump"
OBJECTS: Final = "objects"
#: The laptop's MLflow has a bucket of its own; on AWS its artefacts lie in the models zone.
MLFLOW_STORE: Final = "mlflow"
STORES: Final = (*ZONES, MLFLOW_STORE)


class ObjectEntry(Contract):
    """One version of an object. `sha256` names its bytes; a delete marker has none."""

    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: str
    sha256: str | None
    content_type: str | None = None
    metadata: dict[str, str] = {}


class Part(Contract):
    """One file of a backup, with what it must still be when it is read."""

    name: str
    sha256: str
    size: int
    entries: int


class DatabaseCopy(Contract):
    """MLflow's database: a dump in this backup, or an RDS snapshot in the account; `schema_revision` is Alembic's."""

    kind: Literal["dump", "snapshot", "none"]
    schema_revision: str | None = None
    snapshot_arn: str | None = None
    restorable_until: str | None = None


class Served(Contract):
    """Which registered version answered behind an endpoint; `endpoint_status` is None when there was no endpoint."""

    project: str
    run_id: str
    model_version: str
    model_data_url: str
    endpoint_name: str
    endpoint_status: str | None


class BackupIndex(Contract):
    """A backup in its own words. What is `incomplete` was interrupted and is never restored."""

    format: int = FORMAT
    id: str
    status: Literal["incomplete", "complete"]
    created_at: str
    completed_at: str | None = None
    environment: str
    account: str
    region: str
    buckets: dict[str, str] = {}
    table: str = ""
    tracking_url: str = ""
    table_restorable_from: str | None = None
    parts: tuple[Part, ...] = ()
    database: DatabaseCopy = DatabaseCopy(kind="none")
    served: tuple[Served, ...] = ()
    running: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0
    seal: str = ""

    def sealed(self) -> BackupIndex:
        """Return the index with the digest of all that it says: a changed one is found out."""
        return self.model_copy(update={"seal": self._digest()})

    @property
    def is_intact(self) -> bool:
        return self.seal == self._digest()

    def _digest(self) -> str:
        return hashlib.sha256(self.model_copy(update={"seal": ""}).model_dump_json().encode()).hexdigest()

    def part(self, name: str) -> Part | None:
        """Return a part by its name, or None."""
        return next((part for part in self.parts if part.name == name), None)


def blob_name(sha256: str) -> str:
    """Return where bytes lie in a backup folder."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"


def manifest_name(store: str) -> str:
    """Return where a backup lists the objects of one store."""
    return f"{OBJECTS}/{store}.jsonl"
