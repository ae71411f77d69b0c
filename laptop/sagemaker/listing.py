"""Pages of List* operations: filters, order, tokens; the same for every kind of resource."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from laptop.sagemaker.errors import invalid

DEFAULT_PAGE: Final = 10
_TIMES: Final = ("CreationTime", "LastModifiedTime")
_BOUNDS: Final = tuple(f"{field}{side}" for field in _TIMES for side in ("After", "Before"))


def list_page(
    documents: Sequence[Mapping[str, Any]],
    request: Mapping[str, Any],
    *,
    result_key: str,
    name_key: str,
    summary_keys: Sequence[str],
    status_key: str | None = None,
    sort_keys: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return one page of summaries under `result_key`, with NextToken when there are more.

    `sort_keys` names what else than Name, Status and CreationTime a list can be sorted by, and by which key.
    """
    bounds = {key: as_time(request[key]) for key in _BOUNDS if request.get(key) is not None}
    chosen = [document for document in documents if _wanted(document, request, bounds, name_key, status_key)]
    by = {"Name": name_key, "Status": status_key or name_key, **(sort_keys or {})}
    sort_key = by.get(str(request.get("SortBy", "CreationTime")), "CreationTime")
    descending = request.get("SortOrder", "Descending") == "Descending"
    places = sorted(((_place(item[sort_key]), item[name_key], item) for item in chosen), key=_order, reverse=descending)
    last = _last_place(request.get("NextToken"))
    if last:
        places = [place for place in places if (_order(place) < last if descending else _order(place) > last)]
    size = int(request.get("MaxResults", DEFAULT_PAGE))
    page = [{key: item[key] for key in summary_keys if key in item} for _, _, item in places[:size]]
    return {result_key: page} | ({"NextToken": _token(_order(places[size - 1]))} if size < len(places) else {})


def _wanted(
    document: Mapping[str, Any],
    request: Mapping[str, Any],
    bounds: Mapping[str, datetime],
    name_key: str,
    status_key: str | None,
) -> bool:
    if request.get("NameContains", "").lower() not in str(document[name_key]).lower():
        return False
    if status_key and request.get("StatusEquals", document[status_key]) != document[status_key]:
        return False
    for field in _TIMES:
        moment = document.get(field)
        after, before = bounds.get(f"{field}After"), bounds.get(f"{field}Before")
        if moment is not None and after is not None and moment <= after:
            return False
        if moment is not None and before is not None and moment >= before:
            return False
    return True


def as_time(value: Any) -> datetime:
    """Return a timestamp of the wire (epoch seconds or ISO 8601) as an aware datetime.

    Raises ValidationException for what is no time, or none that a calendar holds.
    """
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise invalid(f"{str(value)[:100]!r} is not a timestamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _place(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


def _order(place: tuple[Any, str, Mapping[str, Any]]) -> tuple[str, float, str]:
    """Return a place's rank: texts and numbers never meet in one list, but a token may come from another one."""
    value, name, _ = place
    return (value, 0.0, name) if isinstance(value, str) else ("", float(value), name)


def _token(rank: tuple[str, float, str]) -> str:
    """Name the last item of a page: what is created or deleted meanwhile neither repeats nor hides another."""
    return base64.b64encode(json.dumps(rank).encode()).decode()


def _last_place(token: str | None) -> tuple[str, float, str] | None:
    if not token:
        return None
    try:
        text, number, name = json.loads(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise invalid(f"Invalid NextToken {token!r}") from error
    if not (isinstance(text, str) and isinstance(number, float) and isinstance(name, str)):
        raise invalid(f"Invalid NextToken {token!r}")
    return text, number, name
