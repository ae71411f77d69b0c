"""What an endpoint captured or recorded, and a choice of it where there is much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from passerelle.aws.objects import Objects
from passerelle.contracts import zones

#: What a job reads of a variant at most: some 100,000 requests of a few hundred bytes.
MOST_BYTES: Final = 256 * 1024 * 1024


def captured_prefixes(project: str, endpoint: str, variant: str, since: datetime) -> list[str]:
    """Return where the predictions zone has what was captured of a variant since a moment: an hour each."""
    return [
        zones.captured_hour_prefix(project, endpoint, variant, hour) for hour in _periods(since, timedelta(hours=1))
    ]


def recorded_prefixes(project: str, since: datetime) -> list[str]:
    """Return where the predictions zone has the records of predictions since a moment: a day each."""
    folder = zones.prediction_records_prefix(project)
    return [f"{folder}/{day:%Y-%m-%d}/" for day in _periods(since, timedelta(days=1))]


def choose(objects: Objects, bucket: str, prefixes: Sequence[str]) -> list[str]:
    """Return the objects below prefixes, in order.

    Of much, as much of each prefix, from its beginning: of two variants that capture alike these are the same requests.
    """
    found = list[str]()
    for prefix in prefixes:
        read = 0
        for key, size in objects.sizes(bucket, prefix):
            if read and read + size > MOST_BYTES // len(prefixes):
                break
            read += size
            found.append(key)
    return found


def _periods(since: datetime, length: timedelta) -> list[datetime]:
    """Return the beginnings of all hours, or days, since a moment, UTC."""
    first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if length >= timedelta(days=1):
        first = first.replace(hour=0)
    count = int((datetime.now(UTC) - first) / length) + 1
    return [first + number * length for number in range(count)]
