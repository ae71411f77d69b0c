"""What an endpoint captured of a variant, and a choice of it where there is much."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from passerelle.aws.objects import Objects
from passerelle.contracts import zones

#: What a job reads of a variant at most: some 100,000 requests of a few hundred bytes.
MOST_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Capture:
    """The data capture of one endpoint: its objects lie by the hour."""

    bucket: str
    project: str
    endpoint: str

    def keys(self, objects: Objects, variant: str, since: datetime) -> list[str]:
        """Return the objects of a variant since a moment, oldest first.

        Of much, as much of each hour, from its beginning: of two variants that capture alike these are the same
        requests.
        """
        hours = list(_hours(since.astimezone(UTC)))
        share, found = MOST_BYTES // len(hours), list[str]()
        for hour in hours:
            read = 0
            prefix = zones.captured_hour_prefix(self.project, self.endpoint, variant, hour)
            for key, size in objects.sizes(self.bucket, prefix):
                if read and read + size > share:
                    break
                read += size
                found.append(key)
        return found

    def manifest(self, keys: list[str]) -> bytes:
        """Return a ManifestFile of objects (API reference, S3DataSource)."""
        prefix = f"{zones.capture_prefix(self.project)}/{self.endpoint}/"
        return json.dumps(
            [{"prefix": zones.s3_uri(self.bucket, prefix)}, *(key.removeprefix(prefix) for key in keys)]
        ).encode()


def _hours(since: datetime) -> list[datetime]:
    first = since.replace(minute=0, second=0, microsecond=0)
    count = int((datetime.now(UTC) - first) / timedelta(hours=1)) + 1
    return [first + timedelta(hours=number) for number in range(count)]
