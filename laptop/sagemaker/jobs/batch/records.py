"""An object's records, and the batches that they are sent in."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.jobs.batch.failures import ObjectError

#: As SageMaker's data log words it.
TOO_MUCH: Final = "Too much data for max payload size"
DEFAULT_PAYLOAD_MB: Final = 6


@dataclass(frozen=True)
class Batch:
    """What one request carries; lines count from 1."""

    first: int
    last: int
    body: bytes


@dataclass(frozen=True)
class Splitting:
    """How objects become requests. `payload_mb` 0 is no limit."""

    by_line: bool
    many: bool
    payload_mb: int
    gzip: bool

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Splitting:
        """Read it from CreateTransformJob's fields."""
        source = job["TransformInput"]
        return cls(
            by_line=source.get("SplitType", "None") == "Line",
            many=job.get("BatchStrategy", "MultiRecord") == "MultiRecord",
            payload_mb=int(job.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)),
            gzip=source.get("CompressionType") == "Gzip",
        )

    def plain(self, stored: bytes) -> bytes:
        """Return an object's content.

        Raises ObjectError for one that is not compressed as the job says.
        """
        if not self.gzip:
            return stored
        try:
            return gzip.decompress(stored)
        except (OSError, EOFError, zlib.error) as error:
            raise ObjectError("ClientError", f"Failed to decompress the object with Gzip: {error}") from error

    def batches(self, body: bytes) -> Iterator[Batch]:
        """Yield one record a request, or as many as fit MaxPayloadInMB.

        Raises ObjectError for a record that does not fit.
        """
        limit = self.payload_mb * 1024**2 or math.inf
        if not self.by_line:
            if len(body) > limit:
                raise ObjectError("ClientError", f"{TOO_MUCH}: the object has {len(body):,} bytes")
            yield Batch(1, body.count(b"\n") + 1, body)
            return
        held: list[bytes] = []
        size, first, number = 0, 1, 0
        for number, line in enumerate(io.BytesIO(body), start=1):
            if len(line) > limit:
                raise ObjectError("ClientError", f"{TOO_MUCH}: line {number} has {len(line):,} bytes")
            if held and (not self.many or size + len(line) > limit):
                yield Batch(first, number - 1, b"".join(held))
                held, size, first = [], 0, number
            held.append(line)
            size += len(line)
        if held:
            yield Batch(first, number, b"".join(held))
