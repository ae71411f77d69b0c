"""Which row models learn from, which they are chosen by, and which they are judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor
from typing import Any, Final

import ibis

from passerelle.contracts.container import Problem
from passerelle.domain.dataset.schema import ENTITY, LABEL, TIME
from passerelle.domain.project import Project
from training.prepare.columns import MIN_TRAIN_ROWS
from training.prepare.engine import SHARES, Engine
from training.prepare.label import MIN_PART_ROWS, problem, row_text

PARTS: Final = ("train", "validation", "test")
PART: Final = "__part"
SHARE: Final = "__share"
MIN_CLASS_ROWS: Final = 10


def with_share(engine: Engine, project: Project, table: Any) -> Any:
    """Add what a split by entity or at random decides by.

    A hash of what the row says, not of where it stands: rows keep their part when files are added or re-ordered. Rows
    equal in every column are one row by now, so a row's content is its identity.
    """
    by = project.training.split.by
    if by == "time":
        return table
    what = table[ENTITY] if by == "entity" else row_text(engine, project, table)
    return table.mutate(**{SHARE: engine.share(what + f"|{project.training.seed}")})


def tally(engine: Engine, project: Project, rows: Any) -> Any:
    """Return how many rows (`n`) are of each event time and class; of a regression's labels only that they are there.

    What is asked of these is asked of far fewer rows. Splits that are not by time ask each row, which then counts one.
    """
    label = rows[LABEL].notnull().nullif(False) if rows[LABEL].type().is_floating() else rows[LABEL]
    if project.training.split.by != "time":
        return rows.select(TIME, SHARE, **{LABEL: label, "n": ibis.literal(1, "int64")})
    counted = rows.select(TIME, **{LABEL: label})
    return engine.keep(counted.group_by([TIME, LABEL]).agg(n=counted.count()), "tally")


@dataclass(frozen=True)
class Bounds:
    """Where validation begins, and where test: event times, or shares of entities or rows."""

    by: str
    validation: Any
    test: Any

    def with_part(self, table: Any) -> Any:
        """Add the part of every row."""
        value = table[TIME] if self.by == "time" else table[SHARE] / float(SHARES)
        part = ibis.cases((value < self.validation, "train"), (value < self.test, "validation"), else_="test")
        return table.mutate(**{PART: part})


def part_bounds(engine: Engine, project: Project, labelled: Any, rows: int) -> Bounds:
    """Return where the parts of a tally of so many rows begin. No moment spans two parts, the newest rows are test."""
    split = project.training.split
    test, held_out = 1 - split.test, 1 - split.test - split.validation
    if split.by != "time":
        return Bounds(split.by, held_out, test)
    return Bounds("time", *_moments(engine, labelled, [_place(rows, held_out), _place(rows, test)]))


def _place(rows: int, share: float) -> int:
    """Return the place of a quantile among so many rows, from 0: the last of that share (SQL's percentile_disc)."""
    return max(1, rows - floor(rows - rows * Decimal(repr(share)))) - 1


def _moments(engine: Engine, labelled: Any, places: Sequence[int]) -> list[Any]:
    """Return the event times at places in the order of a tally's rows."""
    counts = labelled.group_by(TIME).agg(n=labelled["n"].sum())
    running = counts.mutate(upto=counts["n"].sum().over(ibis.window(order_by=TIME, preceding=None, following=0)))
    found = running.agg(**{f"m{i}": running[TIME].min(where=running["upto"] > place) for i, place in enumerate(places)})
    (answer,) = engine.answers(found)
    return [ibis.literal(answer[f"m{i}"], "timestamp(6)") for i in range(len(places))]


def part_counts(engine: Engine, split: Any) -> list[dict[str, Any]]:
    """Return a tally's rows, first and last moment by part and class."""
    moment = split[TIME]
    counts = split.group_by([PART, LABEL]).agg(n=split["n"].sum(), start=moment.min(), end=moment.max())
    return engine.answers(counts)


def part_problems(project: Project, counts: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield why a part is too small to learn from or to judge by."""
    label = project.data.label.column
    for part in PARTS:
        rows = sum(row["n"] for row in counts if row[PART] == part)
        least = MIN_TRAIN_ROWS if part == "train" else MIN_PART_ROWS
        if rows < least:
            yield problem(
                "small_part",
                f"{part} has at least {least} rows",
                f"the {part} part of the split has {rows:,} rows",
                "Drop data over a longer period, or change training.split.",
                project.data.event_time,
            )
    if project.task.type == "regression":
        return
    by_class = {(str(row[LABEL]), row[PART]): row["n"] for row in counts}
    for value in sorted({value for value, _ in by_class}):
        train, validation, test = (by_class.get((value, part), 0) for part in PARTS)
        if train < MIN_CLASS_ROWS or not validation or not test:
            yield problem(
                "rare_class",
                f"each class has at least {MIN_CLASS_ROWS} rows in train and some in validation and test",
                f"class {value!r} has {train:,} rows in train, {validation:,} in validation, {test:,} in test",
                "Drop more data of that class, or merge it with another.",
                label,
            )
