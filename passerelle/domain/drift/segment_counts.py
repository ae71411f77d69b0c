"""What a window counted of its segments: by column a table of levels and parts, added to another window's exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.layout import Layout

Array = npt.NDArray[Any]
Tables = dict[str, Array]

#: The name under which a segment's tables have the rows of each level.
ROWS = ""


def segment_tables(layout: Layout, by: str, values: Any, parts: Mapping[str, Array]) -> Tables:
    """Return what a chunk counted of the segments of one column; of an absent one (None) nothing.

    Parameters
    ----------
    by : the column that divides rows, whose values these are.
    parts : by column, the part of each row, shape (n,); one that is absent counts nothing.
    """
    cuts = layout.segments[by]
    levels = len(cuts.names) + 1
    places = None if values is None else cuts.places(values)
    rows = np.zeros(levels, np.int64) if places is None else np.bincount(places, minlength=levels)
    tables = {ROWS: rows[:, None]}
    for name in layout.columns:
        if name == by:
            continue
        sides = layout.sides(name)
        if places is None or name not in parts:
            tables[name] = np.zeros((levels, sides), np.int64)
        elif sides == 2:  # most columns miss nothing: that is quicker than a table of all rows
            missing = np.bincount(places[parts[name] > 0], minlength=levels)
            tables[name] = np.column_stack([rows - missing, missing])
        else:
            table = np.bincount(places * sides + parts[name], minlength=levels * sides)
            tables[name] = table.reshape(levels, sides)
    return tables


def tables_to_dict(tables: Mapping[str, Array]) -> dict[str, Any]:
    """Return what JSON holds of them: of a column in two parts its missing values, if it has any."""
    rows = tables[ROWS]
    found: dict[str, Any] = {}
    for name, table in sorted(tables.items()):
        if name == ROWS or not np.array_equal(table, _of_missing(rows, table[:, -1])):
            found[name] = table.tolist()
        elif table[:, -1].any():
            found[name] = table[:, -1].tolist()
    return found


def tables_from_dict(found: Mapping[str, Any], layout: Layout, by: str) -> Tables:
    """Return the tables that `tables_to_dict` gave."""
    rows = np.array(found[ROWS], np.int64)
    nothing = np.zeros(len(rows), np.int64)
    held = {name: np.array(found[name], np.int64) for name in layout.columns if name in found}
    tables = {name: held.get(name, nothing) for name in layout.columns if name != by}
    return {ROWS: rows} | {
        name: _of_missing(rows, table) if table.ndim == 1 else table for name, table in tables.items()
    }


def _of_missing(rows: Array, missing: Array) -> Array:
    return np.column_stack([rows[:, 0] - missing, missing])
