"""The runs table in DynamoDB: claims, the open batch, the lock, and run records (see `contracts.runs`).

Every write that must happen once is conditional, so a function that runs twice changes nothing the second time; that
is why Powertools' idempotency records are not used: they expire, and cost a second write for each call.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from passerelle.aws.record_size import fitting
from passerelle.contracts.container import DatasetFile
from passerelle.contracts.runs import RunRecord
from passerelle.errors import InputError, NotFoundError, TransientError

Item = dict[str, Any]
_TRIES: Final = 12
#: DynamoDB's limit for sort keys (developer guide, "Constraints").
_KEY_BYTES: Final = 1024


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunsTable:
    """One environment's table."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._write, self._read = TypeSerializer().serialize, TypeDeserializer().deserialize

    # Items

    def item(self, project: str, sort_key: str) -> Item | None:
        """Return one item, read consistently, or None."""
        answer = self._client.get_item(TableName=self._name, Key=self._key(project, sort_key), ConsistentRead=True)
        return self._plain(answer["Item"]) if "Item" in answer else None

    def items(self, project: str, prefix: str, *, newest_first: bool = False, limit: int | None = None) -> list[Item]:
        """Return the items whose sort key begins with a prefix, read consistently."""
        found: list[Item] = []
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":pk": {"S": _pk(project)}, ":prefix": {"S": prefix}},
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
            **({"Limit": limit} if limit else {}),
        }
        for page in self._client.get_paginator("query").paginate(**request):
            found += [self._plain(item) for item in page["Items"]]
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    def create(self, project: str, sort_key: str, **attributes: Any) -> bool:
        """Write an item that does not exist; returns False, and changes nothing, when it does."""
        return self._put(project, sort_key, attributes, "attribute_not_exists(pk)", {})

    def put(self, project: str, sort_key: str, **attributes: Any) -> None:
        """Write an item, whatever was there."""
        self._put(project, sort_key, attributes, None, {})

    def replace(self, project: str, sort_key: str, *, holder: str, **attributes: Any) -> bool:
        """Write an item that nobody holds or whose `run_id` is `holder`; returns False when it is another's."""
        condition = "attribute_not_exists(run_id) OR run_id = :holder"
        return self._put(project, sort_key, attributes, condition, {":holder": {"S": holder}})

    def exchange(self, project: str, sort_key: str, *, revision: int, **attributes: Any) -> bool:
        """Write an item whose `revision` is the given one (0: there is none), and count that up.

        Returns False, and changes nothing, when somebody else has written it meanwhile.
        """
        condition = "revision = :revision" if revision else "attribute_not_exists(pk)"
        values = {":revision": {"N": str(revision)}} if revision else {}
        return self._put(project, sort_key, {**attributes, "revision": revision + 1}, condition, values)

    def delete(self, project: str, sort_key: str, *, run_id: str | None = None) -> bool:
        """Delete an item, if its `run_id` is the given one; returns False when it is another's."""
        request: dict[str, Any] = {"TableName": self._name, "Key": self._key(project, sort_key)}
        if run_id is not None:
            request |= {
                "ConditionExpression": "attribute_not_exists(pk) OR run_id = :run_id",
                "ExpressionAttributeValues": {":run_id": {"S": run_id}},
            }
        return self._conditional(lambda: self._client.delete_item(**request))

    def _put(
        self, project: str, sort_key: str, attributes: Item, condition: str | None, values: dict[str, Any]
    ) -> bool:
        kept = {name: value for name, value in attributes.items() if value is not None}
        item = self._key(project, sort_key) | {name: self._write(value) for name, value in kept.items()}
        request: dict[str, Any] = {"TableName": self._name, "Item": item}
        if condition:
            request["ConditionExpression"] = condition
        if values:
            request["ExpressionAttributeValues"] = values
        return self._conditional(lambda: self._client.put_item(**request))

    def _conditional(self, write: Callable[[], Any]) -> bool:
        try:
            write()
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _key(self, project: str, sort_key: str) -> dict[str, Any]:
        return {"pk": {"S": _pk(project)}, "sk": {"S": stored_key(sort_key)}}

    def _plain(self, item: dict[str, Any]) -> Item:
        return {name: self._read(value) for name, value in item.items()}

    # Runs

    def get(self, project: str, run_id: str) -> RunRecord | None:
        """Return a run, or None."""
        item = self.item(project, f"RUN#{run_id}")
        return RunRecord.model_validate_json(item["record"]) if item else None

    def need(self, project: str, run_id: str) -> RunRecord:
        """Return a run.

        Raises NotFoundError when there is none.
        """
        record = self.get(project, run_id)
        if record is None:
            raise NotFoundError(f"Project {project} has no run {run_id}.")
        return record

    def newest(self, project: str, *, limit: int = 20) -> list[RunRecord]:
        """Return the newest runs first."""
        items = self.items(project, "RUN#", newest_first=True, limit=limit)
        return [RunRecord.model_validate_json(item["record"]) for item in items]

    def save(self, record: RunRecord) -> RunRecord:
        """Write a run that is new, or whatever was there.

        Raises TransientError when others are always faster.
        """
        return self._swap(record.project, record.run_id, lambda _: record)

    def change(
        self, project: str, run_id: str, mutate: Callable[[RunRecord], RunRecord], *, attempt: int | None = None
    ) -> RunRecord:
        """Change a run; a writer that was faster makes this one read and try again.

        Raises NotFoundError when there is none, InputError when another attempt than the given one is at work,
        TransientError when others are always faster.
        """

        def changed(record: RunRecord | None) -> RunRecord:
            if record is None:
                raise NotFoundError(f"Project {project} has no run {run_id}.")
            if attempt is not None:
                need_attempt(record, attempt)
            return mutate(record)

        return self._swap(project, run_id, changed)

    def _swap(self, project: str, run_id: str, make: Callable[[RunRecord | None], RunRecord]) -> RunRecord:
        """Write what `make` makes of the current record, if that is still the current one then."""
        for number in range(_TRIES):
            item = self.item(project, f"RUN#{run_id}")
            record = make(RunRecord.model_validate_json(item["record"]) if item else None)
            record = fitting(record.model_copy(update={"updated_at": utc_now()}))
            revision = int(item["revision"]) if item else 0
            if self.exchange(project, f"RUN#{run_id}", revision=revision, record=record.model_dump_json()):
                return record
            time.sleep(random.uniform(0, min(1.0, 0.01 * 2**number)))
        raise TransientError(f"Run {run_id} of {project} is being changed by others all the time.")

    # Files

    def accepted_files(self, project: str) -> tuple[DatasetFile, ...]:
        """Return the files that earlier runs accepted, by key."""
        items = self.items(project, "FILE#")
        return tuple(DatasetFile.model_validate(json.loads(item["file"])) for item in items)

    def accept_files(self, project: str, files: Iterable[DatasetFile], *, new: Collection[str]) -> None:
        """Remember a dataset's files. Those whose keys are in `new` replace what was known under their key.

        Of an earlier file, only where its curated rows lie may have changed: a run that was interrupted must not bring
        back a version that another run has replaced since.
        """
        known = {file.key: file for file in self.accepted_files(project)}
        for file in files:
            before = known.get(file.key)
            same = before is not None and (before.version_id, before.sha256) == (file.version_id, file.sha256)
            if file != before and (file.key in new or same):
                self.put(project, f"FILE#{file.key}", file=file.model_dump_json())


def stored_key(sort_key: str) -> str:
    """Return a sort key as it is stored: one of an S3 key that is as long as S3 allows is longer than DynamoDB does."""
    if len(sort_key.encode()) <= _KEY_BYTES:
        return sort_key
    kind, _, rest = sort_key.partition("#")
    return f"{kind}#{hashlib.sha256(rest.encode()).hexdigest()}"


def need_attempt(record: RunRecord, attempt: int) -> None:
    """Refuse to work for an attempt that is not the run's own: a redriven execution must not disturb its successor.

    Raises InputError.
    """
    if record.attempt != attempt:
        raise InputError(
            f"Attempt {attempt} of run {record.run_id} does nothing any more: attempt {record.attempt} has begun. "
            f"See `passerelle runs show {record.run_id}`."
        )


def _pk(project: str) -> str:
    return f"PROJECT#{project}"
