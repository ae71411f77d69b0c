"""The profile of a window: what it counted by a layout. Profiles of hours add up to those of weeks, exactly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.layout import Cuts, Layout, TimeCuts
from passerelle.domain.drift.levels import Encoded, LevelCounts, Tallied, count_levels
from passerelle.domain.drift.numbers import NumberCounts, Sorted, count_numbers
from passerelle.domain.drift.segment_counts import segment_tables, tables_from_dict, tables_to_dict
from passerelle.domain.drift.times import TimeCounts, count_times
from passerelle.errors import InputError

Array = npt.NDArray[Any]
Counts = NumberCounts | LevelCounts | TimeCounts
Prepared = Sorted | Tallied

_PAIR: Final = "\u001f"
_KINDS: Final[dict[type, Any]] = {NumberCuts: NumberCounts, LevelCuts: LevelCounts, TimeCuts: TimeCounts}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a window counted. `absent` has, by column, how many rows came without it; `extra` those with another one.

    `segments` has, by the segments' column, of each other column the rows of each level in its parts, shape
    (levels + 1, parts + 1): the last level is of all others, the last part of missing values. Of "" it has all rows.
    """

    layout_id: str
    rows: int
    columns: Mapping[str, Counts]
    pairs: Mapping[tuple[str, str], Array] = field(default_factory=dict)
    absent: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, int] = field(default_factory=dict)
    segments: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        """Return the profile of both windows.

        Raises LayoutError where they were counted by different layouts.
        """
        if self.layout_id != other.layout_id:
            raise LayoutError(
                f"These windows were counted by different references ({self.layout_id} and {other.layout_id}), so "
                "their counts mean different things. Count both by one model's reference."
            )
        return Profile(
            layout_id=self.layout_id,
            rows=self.rows + other.rows,
            columns={name: _sum(mine, other.columns[name]) for name, mine in self.columns.items()},
            pairs={pair: cells + other.pairs[pair] for pair, cells in self.pairs.items()},
            absent=dict(sorted((Counter(self.absent) + Counter(other.absent)).items())),
            extra=dict(sorted((Counter(self.extra) + Counter(other.extra)).items())),
            segments={
                by: {name: table + other.segments[by][name] for name, table in tables.items()}
                for by, tables in self.segments.items()
            },
        )

    def to_json(self) -> str:
        """Return the profile as compact JSON."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {
            "layout_id": self.layout_id,
            "rows": self.rows,
            "columns": {name: counts.to_dict() for name, counts in self.columns.items()},
            "pairs": {_PAIR.join(pair): cells.tolist() for pair, cells in self.pairs.items()},
            "absent": dict(self.absent),
            "extra": dict(self.extra),
            "segments": {by: tables_to_dict(tables) for by, tables in self.segments.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], layout: Layout) -> Self:
        """Return the profile that `to_dict` gave.

        Raises LayoutError where it was counted by another layout.
        """
        if found["layout_id"] != layout.id:
            raise LayoutError(
                f"This window was counted by the reference {found['layout_id']}, not by {layout.id}: another model's, "
                "or one of another schema. Count it again by this model's reference."
            )
        return cls(
            layout_id=found["layout_id"],
            rows=found["rows"],
            columns={
                name: _KINDS[type(cuts)].from_dict(found["columns"][name]) for name, cuts in layout.columns.items()
            },
            pairs={_pair(text): np.array(cells, np.int64) for text, cells in found["pairs"].items()},
            absent=found["absent"],
            extra=found["extra"],
            segments={by: tables_from_dict(tables, layout, by) for by, tables in found["segments"].items()},
        )


def _pair(text: str) -> tuple[str, str]:
    one, _, other = text.partition(_PAIR)
    return one, other


def count(layout: Layout, columns: Mapping[str, Any], prepared: Mapping[str, Prepared] | None = None) -> Profile:
    """Return the profile of a chunk of rows.

    Parameters
    ----------
    columns : by name, arrays or sequences of shape (n,), or `Encoded`. A number that is none, an unseen level, a
        column that is absent or new: all are counted, none raises.
    prepared : columns that are sorted or counted already.

    Raises InputError when columns differ in length.
    """
    rows = _rows(columns)
    chunk = {**columns, **(prepared or {})}
    counted = layout.columns if layout.segments else layout.quarters
    parts = {name: layout.parts(name, columns[name]) for name in counted if name in columns}
    paired = {name: parts[name] for name in layout.quarters if name in parts}
    return Profile(
        layout_id=layout.id,
        rows=rows,
        columns={name: count_column(cuts, chunk.get(name)) for name, cuts in layout.columns.items()},
        pairs=layout.pair_cells(paired) if len(paired) == len(layout.quarters) else _no_pairs(layout),
        absent={name: rows for name in sorted(layout.columns) if name not in columns and rows},
        extra={name: rows for name in sorted(columns) if name not in {*layout.columns, *layout.segments} and rows},
        segments={by: segment_tables(layout, by, columns.get(by), parts) for by in layout.segments},
    )


def count_column(cuts: Cuts, values: Any) -> Counts:
    """Return what a chunk of a column counts, of an absent one (None) nothing."""
    if isinstance(cuts, NumberCuts):
        return NumberCounts.nothing(cuts) if values is None else count_numbers(cuts, values)
    if isinstance(cuts, LevelCuts):
        return LevelCounts.nothing(cuts) if values is None else count_levels(cuts, values)
    if values is None:
        return TimeCounts()
    return count_times(values.decoded() if isinstance(values, Encoded) else values)


def _no_pairs(layout: Layout) -> dict[tuple[str, str], Array]:
    nothing = {name: np.empty(0, np.intp) for name in layout.quarters}
    return layout.pair_cells(nothing)


def _rows(columns: Mapping[str, Any]) -> int:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shortest, longest = min(lengths, key=lambda n: lengths[n]), max(lengths, key=lambda n: lengths[n])
        raise InputError(
            f"Column {shortest} has {lengths[shortest]:,} rows and {longest} {lengths[longest]:,}: give each row's "
            "value in every column, None where it is missing."
        )
    return next(iter(lengths.values()), 0)


def _sum(one: Any, other: Any) -> Any:
    return one + other
