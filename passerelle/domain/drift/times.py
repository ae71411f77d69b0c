"""What a window counted of a column of times: added to another window's without loss, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.numbers import outermost
from passerelle.errors import InputError

Array = npt.NDArray[Any]

_DAY: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class TimeCounts:
    """Counts of a column of times: by hour of the day and day of the week (Monday first), the first and last second."""

    hours: Array = field(default_factory=lambda: np.zeros(24, np.int64))
    weekdays: Array = field(default_factory=lambda: np.zeros(7, np.int64))
    missing: int = 0
    earliest: int | None = None
    latest: int | None = None

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.hours.sum()) + self.missing

    def __add__(self, other: TimeCounts) -> TimeCounts:
        return replace(
            self,
            hours=self.hours + other.hours,
            weekdays=self.weekdays + other.weekdays,
            missing=self.missing + other.missing,
            earliest=outermost(min, self.earliest, other.earliest),
            latest=outermost(max, self.latest, other.latest),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        rest = {name: getattr(self, name) for name in ("missing", "earliest", "latest")}
        return {"hours": self.hours.tolist(), "weekdays": self.weekdays.tolist(), **rest}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the counts that `to_dict` gave."""
        arrays = {name: np.array(found[name], np.int64) for name in ("hours", "weekdays")}
        return cls(**{**found, **arrays})


def count_times(values: Any) -> TimeCounts:
    """Count a chunk of a column of times: datetime64, UTC; NaT is missing.

    Raises InputError for values of another type.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O":
        try:
            array = array.astype("datetime64[s]")
        except (TypeError, ValueError) as error:
            raise InputError(f"These are no times: {error}. Give datetime64 values, in UTC.") from error
    if array.dtype.kind != "M":
        raise InputError(f"These are no times but {array.dtype}. Give datetime64 values, in UTC.")
    there = ~np.isnat(array)
    seconds = array[there].astype("datetime64[s]").astype(np.int64)
    if not len(seconds):
        return TimeCounts(missing=len(array))
    # 1 January 1970 was a Thursday, the fourth day of a week that begins on Monday.
    return TimeCounts(
        hours=np.bincount(seconds % _DAY // 3600, minlength=24).astype(np.int64),
        weekdays=np.bincount((seconds // _DAY + 3) % 7, minlength=7).astype(np.int64),
        missing=len(array) - len(seconds),
        earliest=int(seconds.min()),
        latest=int(seconds.max()),
    )
