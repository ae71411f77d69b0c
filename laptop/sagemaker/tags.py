"""AddTags, ListTags, DeleteTags for every resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from laptop.sagemaker.errors import SageMakerError, invalid
from laptop.sagemaker.store import KeyExistsError, Store

KIND: Final = "tags"
MAX_TAGS: Final = 50


class Tags:
    """Tags by resource ARN."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def set_at_creation(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Keep the tags of a create request."""
        check_tags(tags)
        self._write(arn, {tag["Key"]: tag["Value"] for tag in tags})

    def forget(self, arn: str) -> None:
        """The resource is deleted: it has no tags any more, and takes none."""
        self._store.delete(KIND, arn)

    def add(self, request: dict[str, Any]) -> dict[str, Any]:
        check_tags(request["Tags"])

        def added(tags: dict[str, str]) -> dict[str, str]:
            tags = tags | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
            if len(tags) > MAX_TAGS:
                raise invalid(f"A resource has at most {MAX_TAGS} tags; this would make {len(tags)}")
            return tags

        return {"Tags": _listed(self._change(request["ResourceArn"], added))}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        document = self._store.get(KIND, request["ResourceArn"])
        if document is None:
            raise _not_found(request["ResourceArn"])
        return {"Tags": _listed(document["tags"])}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        gone = set(request["TagKeys"])
        self._change(
            request["ResourceArn"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )
        return {}

    def _change(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
        """Every resource has a document of tags from its creation to its deletion, be it empty."""
        try:
            document = self._store.update(KIND, arn, lambda document: {"tags": change(document["tags"])})
        except KeyError as error:
            raise _not_found(arn) from error
        return dict(document["tags"])

    def _write(self, arn: str, tags: dict[str, str]) -> None:
        try:
            self._store.create(KIND, arn, {"tags": tags})
        except KeyExistsError:
            self._store.update(KIND, arn, lambda document: document | {"tags": tags})


def check_tags(tags: list[dict[str, str]]) -> None:
    """Raise ValidationException for reserved or repeated keys.

    Step Functions tags its .sync jobs MANAGED_BY_AWS, which is allowed.
    """
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    if reserved:
        raise invalid(f"aws: prefixed tag key names are not allowed for external use: {', '.join(reserved)}")


def _not_found(arn: str) -> SageMakerError:
    return invalid(f'Could not find resource "{arn}".')


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
