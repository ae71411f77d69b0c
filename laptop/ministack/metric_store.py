"""CloudWatch's stored datapoints in order of their time, so that reading the last minutes costs no more than those.

MiniStack appends them as they come, and makes all its lists anew at each request to forget what is two weeks old: what
a thread appends meanwhile is lost. Here late ones are put where they belong, and old ones are cut off in place.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

Point = dict[str, Any]
#: Held while datapoints move in their list, and by who reads the last of them.
LOCK: Final = threading.Lock()
EVICTION_SECONDS: Final = 60.0


def install_metric_store() -> None:
    """Patch what makes lists of datapoints, and what forgets them."""
    from ministack.services import cloudwatch

    bucket, evicted = cloudwatch._metric_bucket, 0.0

    def chronological_bucket(key: tuple[str, str, str]) -> Chronological:
        return Chronological(bucket(key))

    def evict() -> None:
        nonlocal evicted
        if time.monotonic() > evicted + EVICTION_SECONDS:
            evicted = time.monotonic()
            cutoff = time.time() - cloudwatch.TWO_WEEKS_SECONDS
            for key, points in list(cloudwatch._metrics.items()):
                with LOCK:
                    old = bisect.bisect_left(points, cutoff, key=_moment)
                    del points[:old]
                    if old and not points:  # an empty one that nothing was cut off is about to get its first
                        cloudwatch._metrics.pop(key, None)

    cloudwatch._metric_bucket, cloudwatch._evict_old_metrics = chronological_bucket, evict


class Chronological:
    """A metric's list of datapoints, as MiniStack's writers see it."""

    def __init__(self, points: list[Point]) -> None:
        self._points = points

    def append(self, point: Point) -> None:
        """Put a datapoint where its time says."""
        with LOCK:
            if self._points and point["Timestamp"] < self._points[-1]["Timestamp"]:
                bisect.insort(self._points, point, key=_moment)
            else:
                self._points.append(point)


def last_points(namespace: str, name: str, dimensions: Mapping[str, str], *, after: float) -> Iterator[Point]:
    """Yield the datapoints of exactly this metric later than `after` (seconds since 1970), newest first."""
    from ministack.services import cloudwatch

    points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dimensions))) or []
    with LOCK:
        found: list[Point] = points[bisect.bisect_right(points, after, key=_moment) :]
    return reversed(found)


def _moment(point: Point) -> float:
    return float(point["Timestamp"])
