"""The declared segments of the test rows, each compared with the baseline and the champion."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.domain.gate.segments import Segment
from training.evaluate.compared import Period
from training.train.predict import Predicted

Array = npt.NDArray[Any]
#: A number with more values than that is cut at its quartiles.
MAX_VALUES: Final = 12
#: So many of a column's largest segments are judged, and so many of its small ones are listed by name.
MAX_JUDGED: Final = 200
MAX_LISTED: Final = 20
#: From fewer blocks no interval can be told.
MIN_BLOCKS: Final = 10
MISSING: Final = "(missing)"


def find_segments(
    rows: Period, challenger: Predicted, baseline: Predicted, champion: Predicted | None
) -> tuple[Segment, ...]:
    """Return every segment of the declared columns, those that cannot be judged with the reason."""
    others = {"baseline": baseline} | ({"champion": champion} if champion is not None else {})
    return tuple(
        segment
        for column in dict.fromkeys(rows.project.task.segments)
        for segment in _column(rows, column, challenger, others)
    )


def _column(rows: Period, column: str, challenger: Predicted, others: dict[str, Predicted]) -> Iterator[Segment]:
    if column not in rows.rows.frame.columns:
        yield Segment(column, "(all)", 0, not_judged="the column was left out when the data was prepared")
        return
    least = rows.project.task.min_segment_rows
    values = segment_values(rows.rows.frame[column])
    codes, names = pd.factorize(values)
    sizes = np.bincount(codes, minlength=len(names))
    order = np.argsort(-sizes, kind="stable")
    large = [place for place in order if sizes[place] >= least][:MAX_JUDGED]
    for place in large:
        yield _judged(rows.part(np.flatnonzero(codes == place)), column, str(names[place]), challenger, others)
    rest = [place for place in order if place not in set(large)]
    for place in rest[:MAX_LISTED]:
        why = f"fewer than {least} rows" if sizes[place] < least else f"only the {MAX_JUDGED} largest are judged"
        yield Segment(column, str(names[place]), int(sizes[place]), not_judged=why)
    if more := rest[MAX_LISTED:]:
        why = f"fewer than {least} rows each, or not among the {MAX_JUDGED} largest"
        yield Segment(column, f"{len(more):,} other values", int(sizes[more].sum()), not_judged=why)


def segment_values(values: pd.Series[Any]) -> Array:
    """Return the segment of each row as text: the value, a quarter of a number's range by rows, or `(missing)`."""
    missing = values.isna().to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_VALUES:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        edges = np.unique(np.quantile(numbers[~missing], [0.25, 0.5, 0.75]))
        places = np.searchsorted(edges, numbers, side="right")
        bounds = ["", *(f"{edge:g}" for edge in edges), ""]
        names = [_range(low, high) for low, high in itertools.pairwise(bounds)]
        found = np.asarray(names, dtype=object)[places]
    else:
        found = np.asarray([_shown(value) for value in values], dtype=object)
    return np.where(missing, MISSING, found)


def _range(low: str, high: str) -> str:
    if not low or not high:
        return f"under {high}" if high else f"{low} and more"
    return f"{low} to under {high}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _judged(part: Period, column: str, value: str, challenger: Predicted, others: dict[str, Predicted]) -> Segment:
    rows, own = len(part.chosen), part.scored(challenger)
    if own.score is None:
        why = f"{part.project.task.metric} is undefined there"
        return Segment(column, value, rows, not_judged=why)
    if part.blocks_present < MIN_BLOCKS:
        why = f"its rows fall into {part.blocks_present} {part.blocks.unit} groups only"
        return Segment(column, value, rows, own.score, not_judged=why)
    found = {name: part.compare(own, part.scored(other)) for name, other in others.items()}
    against = {name: one for name, one in found.items() if one is not None}
    why = "" if against else f"{part.project.task.metric} is undefined on too many resamples"
    return Segment(column, value, rows, own.score, against, why)
