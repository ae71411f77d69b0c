"""The runs table as a whole: read for a backup, written by a restore. Items are as DynamoDB's API has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import is_transient
from passerelle.errors import NotFoundError, SettingsError, TransientError

Item = dict[str, dict[str, Any]]
#: BatchWriteItem's limit (API reference).
_BATCH: Final = 25
_TRIES: Final = 20


class TableItems:
    """One runs table."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    def all(self) -> list[Item]:
        """Return every item, read consistently, by its keys."""
        with self._errors():
            pages = self._client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
            found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))

    def is_empty(self) -> bool:
        """Return whether there is no item at all."""
        with self._errors():
            return not self._client.scan(TableName=self.name, Limit=1, ConsistentRead=True)["Items"]

    def put(self, items: Iterable[Item]) -> None:
        """Write items, whatever was there."""
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def delete(self, items: Iterable[Item]) -> None:
        """Delete items by their keys."""
        self._write([{"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}} for item in items])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        with self._errors():
            for start in range(0, len(requests), _BATCH):
                self._write_batch(requests[start : start + _BATCH])

    def _write_batch(self, requests: list[dict[str, Any]]) -> None:
        """Write one batch; what DynamoDB leaves over is sent again, as it asks for (API reference, BatchWriteItem)."""
        left = {self.name: requests}
        for _ in range(_TRIES):
            left = self._client.batch_write_item(RequestItems=left).get("UnprocessedItems") or {}
            if not left:
                return
        raise TransientError(f"Table {self.name} takes no more writes. Run the same command again; it goes on.")

    def restorable_from(self) -> str | None:
        """Return since when DynamoDB can restore the table to any second, None where that is switched off."""
        with self._errors():
            answer = self._client.describe_continuous_backups(TableName=self.name)["ContinuousBackupsDescription"]
        described = answer.get("PointInTimeRecoveryDescription", {})
        earliest = described.get("EarliestRestorableDateTime")
        return earliest.isoformat() if earliest and described.get("PointInTimeRecoveryStatus") == "ENABLED" else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BotoCoreError as error:
            raise TransientError(f"Table {self.name}: DynamoDB does not answer: {error}") from error
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                raise NotFoundError(f"There is no table {self.name}. Deploy the environment first.") from error
            if is_transient(error):
                raise TransientError(f"Table {self.name}: {error}. Run the same command again; it goes on.") from error
            raise SettingsError(f"Table {self.name}: DynamoDB refuses: {error}") from error


def kind_of(item: Item) -> str:
    """Return what an item is, by the first word of its sort key."""
    return str(item["sk"]["S"]).partition("#")[0]


def project_of(item: Item) -> str:
    """Return the project of an item."""
    return str(item["pk"]["S"]).partition("#")[2]


def text(item: Item, name: str) -> str | None:
    """Return a text attribute, None when there is none."""
    value = item.get(name, {}).get("S")
    return None if value is None else str(value)
