"""Cut the rows of a dataset into periods, and say what a model could have learnt from at the end of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Periods:
    """The period of each row, shape (rows,), their names, and when each begins and ends, UTC; the end is not in it.

    A period in which nothing happened is one, too: ages count it.
    """

    of_row: Array
    names: tuple[str, ...]
    starts: pd.DatetimeIndex
    ends: pd.DatetimeIndex


def cut(times: Array, period: str) -> Periods:
    """Return the periods from the first row to the last.

    Parameters
    ----------
    times : event times of the rows, in UTC, shape (rows,), at least one. period : as `contracts.backtest.PERIOD`.
    """
    moments = utc(times)
    starts = _starts(moments.min(), moments.max(), period)
    ends = pd.DatetimeIndex([*starts[1:], _after(starts[-1], period)])
    names = [f"{start:%Y-%m}" if period == "month" else f"{start:%Y-%m-%d}" for start in starts]
    return Periods(np.asarray(starts.searchsorted(moments, side="right")) - 1, tuple(names), starts, ends)


def utc(times: Array) -> pd.DatetimeIndex:
    """Return event times as Parquet holds them, with their zone."""
    return pd.DatetimeIndex(pd.to_datetime(times, utc=True))


def _starts(first: pd.Timestamp, last: pd.Timestamp, period: str) -> pd.DatetimeIndex:
    if period == "month":
        return pd.date_range(first.normalize().replace(day=1), last, freq="MS")
    if period == "week":
        return pd.date_range(first.normalize() - pd.Timedelta(days=first.weekday()), last, freq="7D")
    if period == "day":
        return pd.date_range(first.normalize(), last, freq="1D")
    # The newest period is a whole one; what is over lies at the old end, where it matters least.
    days = int(period.removesuffix("d"))
    end = last.normalize() + pd.Timedelta(days=1)
    count = int(np.ceil((end - first) / pd.Timedelta(days=days)))
    return pd.DatetimeIndex([end - pd.Timedelta(days=days * number) for number in range(count, 0, -1)])


def _after(start: pd.Timestamp, period: str) -> pd.Timestamp:
    if period == "month":
        return start + pd.DateOffset(months=1)
    return start + pd.Timedelta(days={"week": 7, "day": 1}.get(period) or int(period.removesuffix("d")))


def learnt_from(times: Array, periods: Periods, end: int, *, window: int | None, known_after: str | None) -> Array:
    """Return the rows that a model could learn from at the end of a period, shape (rows,).

    A label that was not known by then teaches nothing.

    Parameters
    ----------
    window : how many periods it learns from, None for all before. known_after : when a label is known (ISO 8601).
    """
    moments = utc(times)
    known = moments + pd.Timedelta(known_after) if known_after else moments
    chosen = (moments < periods.ends[end]) & (known <= periods.ends[end])
    if window is not None:
        chosen &= moments >= periods.starts[max(0, end - window + 1)]
    return np.asarray(chosen)
