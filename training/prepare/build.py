"""From validated files to a dataset: exact duplicates out, label derived, split, sorted and written as Parquet.

One program in Ibis for every engine. Each row of the result, and their order, is the same on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ibis

from passerelle.contracts.bundle import DerivedFeature
from passerelle.contracts.container import Problem
from passerelle.domain.dataset.schema import ENTITY, LABEL, READ, TIME, WEIGHT, feature_names
from passerelle.domain.features.query import read_columns
from passerelle.domain.project import Column, Project
from training.prepare.columns import Counts, count_values, suspicious_columns, useless_columns
from training.prepare.engine import Engine
from training.prepare.label import class_counts, label_problems, label_summary, label_value, problem, row_text
from training.prepare.split import PART, PARTS, part_counts, part_problems, with_part, with_share

_MARK: Final = "__mark"
_TIED: Final = "__tied"
_TEXT: Final = "__text"


@dataclass(frozen=True)
class Part:
    """One part of the split, written to a folder."""

    name: str
    rows: int
    start: str | None
    end: str | None


@dataclass(frozen=True, kw_only=True)
class Built:
    """The dataset, or the problems for which there is none (then `parts` is empty)."""

    parts: tuple[Part, ...] = ()
    rows: int = 0
    duplicates: int = 0
    without_label: int = 0
    label_summary: dict[str, float]
    dropped_columns: dict[str, str]
    problems: tuple[Problem, ...] = ()


def build_dataset(
    engine: Engine,
    files: Sequence[Path],
    project: Project,
    *,
    rows: int,
    output: Path,
    derived: Sequence[DerivedFeature] = (),
) -> Built:
    """Build the three parts from typed Parquet files of one contract, which hold so many rows together.

    They hold the derived features already.
    """
    table = _rows(engine, engine.read(files), project)
    known = table[LABEL].notnull() & table[TIME].notnull()
    (counts,) = engine.answers(table.agg(kept=table.count(), labelled=known.sum().fill_null(0)))
    labelled, unlabelled = table.filter(known), counts["kept"] - counts["labelled"]
    classes = class_counts(engine, project, labelled)
    summary = label_summary(engine, labelled, classes)
    problems = list(label_problems(project, counts["kept"], unlabelled, classes))
    parts: tuple[Part, ...] = ()
    dropped: dict[str, str] = {}
    if not problems:
        split = with_part(engine, project, labelled, counts["labelled"])
        parts, dropped, problems = _judged(engine, project, split)
        if parts:
            _write(engine, project, split, dropped, output, derived)
    return Built(
        parts=parts,
        rows=rows,
        duplicates=rows - counts["kept"],
        without_label=unlabelled,
        label_summary=summary,
        dropped_columns=dropped,
        problems=tuple(problems),
    )


def _rows(engine: Engine, table: Any, project: Project) -> Any:
    """Return the rows, of those equal in every column one, with label, event time and entity."""
    columns = (*project.data.columns, *project.derived_columns)
    rows = table.select(**{column.name: _plain(column, table[column.name]) for column in columns})
    rows = _distinct(engine, rows)
    entity = [engine.text(rows[name]).fill_null("") for name in project.data.entity_id]
    added = {
        LABEL: label_value(engine, project, rows[project.data.label.column]),
        TIME: rows[project.data.event_time],
        ENTITY: ibis.literal("|").join(entity),
    }
    return engine.keep(with_share(engine, project, rows.mutate(**added)), "rows")


def _distinct(engine: Engine, rows: Any) -> Any:
    """Return each row once. Only rows that share their mark are compared: comparing all costs several times as much."""
    marked = rows.mutate(**{_MARK: engine.mark(*(rows[name] for name in rows.columns))})
    counts = marked.group_by(_MARK).agg(n=marked.count())
    shared = engine.keep(counts.filter(counts["n"] > 1).select(_MARK), "shared_marks")
    once, again = marked.anti_join(shared, _MARK), marked.semi_join(shared, _MARK)
    return once.drop(_MARK).union(again.drop(_MARK).distinct())


def _plain(column: Column, value: Any) -> Any:
    """Return the value with one zero: 0 and -0 are equal to a grouping, and two texts."""
    return (value == 0).ifelse(ibis.literal(0.0), value) if column.type == "number" else value


def _judged(engine: Engine, project: Project, split: Any) -> tuple[tuple[Part, ...], dict[str, str], list[Problem]]:
    """Return the parts unless something ends the run, the features to drop, and what is wrong."""
    counts = part_counts(engine, split)
    parts = tuple(_part(name, [row for row in counts if row[PART] == name]) for name in PARTS)
    train = split.filter(split[PART] == "train")
    values = count_values(engine, project, train)
    dropped = dict(useless_columns(engine, project, train, parts[0].rows, values))
    problems = [
        *part_problems(project, counts),
        *suspicious_columns(engine, project, train, values, dropped),
        *_empty_features(project, values),
    ]
    if not feature_names(project, frozenset(dropped)):
        problems.append(_no_features(dropped))
    fatal = any(found.severity == "error" for found in problems)
    return () if fatal else parts, dropped, problems


def _empty_features(project: Project, counts: Counts) -> Iterator[Problem]:
    file = project.data.features.file if project.data.features else ""
    for column in project.derived_columns:
        if counts[column.name][0] == 0:
            message = f"feature {column.name!r} of {file} is missing in every row of train, and left out"
            remedy = f"Correct its expression in {file} (what fails, is NaN or infinite is missing), or take it out."
            found = problem("empty_feature", "a feature has values", message, remedy, column.name)
            yield found.model_copy(update={"severity": "warning", "file": file})


def _part(name: str, counts: list[dict[str, Any]]) -> Part:
    rows = sum(row["n"] for row in counts)
    if not rows:
        return Part(name, 0, None, None)
    start, end = min(row["start"] for row in counts), max(row["end"] for row in counts)
    return Part(name, rows, f"{start.isoformat()}Z", f"{end.isoformat()}Z")


def _no_features(dropped: dict[str, str]) -> Problem:
    shown = "; ".join(f"{name}: {why}" for name, why in dropped.items())
    return problem(
        "no_features", "some column can be learnt from", f"every feature is useless ({shown})", "Drop other data.", None
    )


def _write(
    engine: Engine,
    project: Project,
    split: Any,
    dropped: dict[str, str],
    output: Path,
    derived: Sequence[DerivedFeature],
) -> None:
    """Write the parts, oldest row first; the order of files and of their lines does not matter."""
    split, order = _ordered(engine, project, split)
    weight = project.training.weight_column
    weighed = split.mutate(**{WEIGHT: split[weight].cast("float64")}) if weight else split
    features = feature_names(project, frozenset(dropped))
    unseen = [column.name for column in read_columns(derived) if column.name not in features]
    weighed = weighed.mutate(**{f"{READ}{name}": weighed[name] for name in unseen})
    names = [*features, LABEL, TIME, ENTITY, *([WEIGHT] if weight else []), *(f"{READ}{name}" for name in unseen)]
    for part in PARTS:
        engine.write(weighed.filter(weighed[PART] == part).order_by(order).select(names), output / part)


def _ordered(engine: Engine, project: Project, split: Any) -> tuple[Any, list[Any]]:
    """Return the rows and what they are ordered by: event time, entity, and where these are equal the row's text."""
    marked = split.mutate(**{_MARK: engine.mark(split[TIME], split[ENTITY])})
    counts = marked.group_by(_MARK).agg(n=marked.count())
    tied = engine.keep(counts.filter(counts["n"] > 1).select(_MARK), "tied_marks")
    (ties,) = engine.answers(tied.agg(n=tied.count()))
    if not ties["n"]:
        return split, [TIME, ENTITY]
    # A row's text costs more to make and to compare than all else of it: only rows that need theirs get one.
    joined = marked.left_join(tied.rename(**{_TIED: _MARK}), [(_MARK, _TIED)])
    texts = joined[_TIED].notnull().ifelse(row_text(engine, project, joined), ibis.null("string"))
    return joined.mutate(**{_TEXT: texts}), [TIME, ENTITY, _TEXT]
