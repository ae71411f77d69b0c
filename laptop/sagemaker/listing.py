"""Pages of List* operations: filters, order, tokens; the same for every kind of resource."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from laptop.sagemaker.errors import invalid

DEFAULT_PAGE: Final = 10


def list_page(
    documents: Sequence[Mapping[str, Any]],
    request: Mapping[str, Any],
    *,
    result_key: str,
    name_key: str,
    summary_keys: Sequence[str],
    status_key: str | None = None,
) -> dict[str, Any]:
    """Return one page of summaries under `result_key`, with NextToken when there are more."""
    chosen = [document for document in documents if _wanted(document, request, name_key, status_key)]
    sort_keys = {"Name": name_key, "Status": status_key or name_key}
    sort_key = sort_keys.get(str(request.get("SortBy", "CreationTime")), "CreationTime")
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda document: (document[sort_key], document[name_key]), reverse=descending)
    start, size = _offset(request.get("NextToken")), int(request.get("MaxResults", DEFAULT_PAGE))
    page = [{key: item[key] for key in summary_keys if key in item} for item in chosen[start : start + size]]
    more = start + size < len(chosen)
    return {result_key: page} | ({"NextToken": _token(start + size)} if more else {})


def _wanted(document: Mapping[str, Any], request: Mapping[str, Any], name_key: str, status_key: str | None) -> bool:
    if request.get("NameContains", "").lower() not in str(document[name_key]).lower():
        return False
    if status_key and request.get("StatusEquals", document[status_key]) != document[status_key]:
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        moment = document.get(field)
        after, before = request.get(f"{field}After"), request.get(f"{field}Before")
        if moment is not None and after is not None and moment <= as_time(after):
            return False
        if moment is not None and before is not None and moment >= as_time(before):
            return False
    return True


def as_time(value: Any) -> datetime:
    """Return a timestamp of the wire (epoch seconds or ISO 8601) as an aware datetime."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _token(offset: int) -> str:
    return base64.b64encode(str(offset).encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Invalid NextToken {token!r}") from error
