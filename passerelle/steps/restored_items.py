"""What the runs table says, in an environment that was built anew: other buckets, other versions, other addresses.

Objects are put back byte for byte, because their digests are evidence; so what lies in them still names the old
buckets, and nothing reads those names again once a run has ended. What is read again is here, and in MLflow's database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from passerelle.aws.runs_table import stored_key
from passerelle.aws.table_items import Item, kind_of, project_of, text
from passerelle.contracts.backup import BackupIndex
from passerelle.contracts.runs import FINAL_STATUSES, RunError, RunRecord
from passerelle.domain.claim import claim_key
from passerelle.errors import InputError

#: Of runs at work, which the new environment has none of.
_TRANSIENT: Final = ("LOCK", "OPEN")
_LOST: Final = RunError(
    stage="restore",
    message="The run was at work when the backup was made; its execution does not exist here.",
    remedy="`passerelle runs retry RUN` runs it again, with the same files.",
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What has another name now. `versions` maps (raw key, old version) to the new version."""

    buckets: Mapping[str, str]
    tracking: tuple[str, str] = ("", "")
    same_account: bool = True
    versions: Mapping[tuple[str, str | None], str | None] = field(default_factory=dict)

    def text(self, value: str) -> str:
        """Return a text with every S3 address and MLflow's address as they are now."""
        if self.buckets:
            names = "|".join(re.escape(name) for name in sorted(self.buckets, key=len, reverse=True))
            # A bucket's name may be the beginning of another's.
            value = re.sub(rf"s3://({names})(?![a-z0-9.-])", lambda found: f"s3://{self.buckets[found[1]]}", value)
        old, new = self.tracking
        return value.replace(f"{old}/#/", f"{new}/#/") if old else value

    def version(self, key: str, version: str | None) -> str | None:
        """Return the version of a raw object; one that no backup has stays what it was."""
        return self.versions.get((key, version), version)


def need_readable(items: Iterable[Item], source: str) -> None:
    """Refuse what a newer release wrote. Raises InputError naming the run and the field."""
    for item in items:
        if kind_of(item) == "RUN":
            try:
                RunRecord.model_validate_json(text(item, "record") or "")
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"]))
                raise InputError(
                    f"{source}: {item['sk']['S']} of project {project_of(item)} has a field that this release does not "
                    f"know or cannot read ({where}: {error.errors()[0]['msg']}). Restore with the release that made "
                    "the backup, or a newer one."
                ) from error


def moved(index: BackupIndex, buckets: Mapping[str, str], *, account: str, tracking: tuple[str, str]) -> Moved:
    """Return what has moved between a backup's environment and this one."""
    renamed = {old: buckets[store] for store, old in index.buckets.items() if store in buckets}
    return Moved(buckets=renamed, tracking=tracking, same_account=account == index.account)


def restored(item: Item, change: Moved) -> Item | None:
    """Return an item as it must be here, None for one that has no meaning here."""
    kind = kind_of(item)
    if kind in _TRANSIENT:
        return None
    found = {name: _value(value, change) for name, value in item.items()}
    if kind == "DROP":
        return _claim(found, change)
    if kind == "FILE":
        document = json.loads(str(text(found, "file")))
        document["version_id"] = change.version(document["key"], document["version_id"])
        return found | {"file": {"S": json.dumps(document, separators=(",", ":"), ensure_ascii=False)}}
    if kind == "RUN":
        record = RunRecord.model_validate_json(text(found, "record") or "")
        return found | {"record": {"S": _record(record, change).model_dump_json()}}
    return found


def _value(value: dict[str, Any], change: Moved) -> dict[str, Any]:
    return {"S": change.text(value["S"])} if "S" in value else value


def _claim(item: Item, change: Moved) -> Item:
    key, old = str(text(item, "key")), text(item, "version_id")
    if (key, old) not in change.versions:
        return item
    version, bucket = change.version(key, old), str(text(item, "bucket"))
    attributes = {name: value for name, value in item.items() if name != "version_id"}
    attributes["sk"] = {"S": stored_key(claim_key(key, version, text(item, "etag") or ""))}
    attributes["bucket"] = {"S": change.buckets.get(bucket, bucket)}
    return attributes | ({"version_id": {"S": version}} if version else {})


def _record(record: RunRecord, change: Moved) -> RunRecord:
    files = tuple(
        file.model_copy(update={"version_id": change.version(file.key, file.version_id)}) for file in record.files
    )
    changes: dict[str, Any] = {"files": files}
    if not change.same_account:
        # The image lay in the other account's registry. Without one, what is deployed here serves the model, and the
        # smoke test compares its answer with what training gave.
        changes |= {"image_uri": None, "serving_image_uri": None}
    if record.status not in FINAL_STATUSES:
        changes |= {"status": "failed", "error": _LOST}
    return record.model_copy(update=changes)
