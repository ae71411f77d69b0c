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
from training.prepare.split import PART, PARTS, part_bounds, part_counts, part_problems, tally, with_share

_MARK: Final = "__mark"
_ROW: Final = "__row_mark"
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
    counted = tally(engine, project, table)
    (counts,) = engine.answers(
        counted.agg(kept=counted["n"].sum().fill_null(0), labelled=counted["n"].sum(where=_known(counted)).fill_null(0))
    )
    counted, labelled = counted.filter(_known(counted)), table.filter(_known(table))
    unlabelled = counts["kept"] - counts["labelled"]
    classes = class_counts(engine, project, counted)
    summary = label_summary(engine, labelled, classes)
    problems = list(label_problems(project, counts["kept"], unlabelled, classes))
    parts: tuple[Part, ...] = ()
    dropped: dict[str, str] = {}
    if not problems:
        bounds = part_bounds(engine, project, counted, counts["labelled"])
        split = bounds.with_part(labelled)
        parts, dropped, problems = _judged(engine, project, split, part_counts(engine, bounds.with_part(counted)))
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


def _known(table: Any) -> Any:
    return table[LABEL].notnull() & table[TIME].notnull()


def _rows(engine: Engine, table: Any, project: Project) -> Any:
    """Return the rows, of those equal in every column one, with label, event time, entity and what to order ties by."""
    columns = (*project.data.columns, *project.derived_columns)
    rows = table.select(**{column.name: _plain(column, table[column.name]) for column in columns})
    once, tied = _told_apart(engine, project, rows)
    rows = ibis.union(_named(engine, project, once), _named(engine, project, tied))
    if project.training.split.by == "time":
        return engine.view(rows, "rows")
    return engine.keep(with_share(engine, project, rows), "rows")


def _named(engine: Engine, project: Project, rows: Any) -> Any:
    added = {
        LABEL: label_value(engine, project, rows[project.data.label.column]),
        TIME: rows[project.data.event_time],
        ENTITY: _entity(engine, project, rows),
    }
    return rows.mutate(**added)


def _entity(engine: Engine, project: Project, rows: Any) -> Any:
    """Return what names a row's entity: the texts of its cells, joined."""
    return ibis.literal("|").join([engine.text(rows[name]).fill_null("") for name in project.data.entity_id])


def _told_apart(engine: Engine, project: Project, rows: Any) -> tuple[Any, Any]:
    """Return the rows that no other shares event time and entity with; and the others, each once.

    Equal rows are among the others, and only among these does the order ask for a row's text: it costs more to make
    and to compare than all else of a row.
    """
    marked = rows.mutate(**{_MARK: _mark(engine, project, rows)})
    shared = engine.keep(_shared(marked, _MARK), "tied_marks")
    once, tied = marked.anti_join(shared, _MARK), engine.keep(marked.semi_join(shared, _MARK), "tied_rows")
    tied = engine.keep(_distinct(engine, tied), "tied_distinct")
    still = engine.keep(_shared(tied, _MARK), "tied_still").rename(**{_TIED: _MARK})
    joined = tied.left_join(still, [(_MARK, _TIED)])
    text = joined[_TIED].notnull().ifelse(row_text(engine, project, joined), ibis.null("string"))
    return once.mutate(**{_TEXT: ibis.null("string")}).drop(_MARK), joined.mutate(**{_TEXT: text}).drop(_MARK, _TIED)


def _shared(marked: Any, mark: str) -> Any:
    """Return the marks that more than one row has."""
    counts = marked.group_by(mark).agg(n=marked.count())
    return counts.filter(counts["n"] > 1).select(mark)


def _mark(engine: Engine, project: Project, rows: Any) -> Any:
    """Return a number that rows of one event time and one entity share."""
    time, names = rows[project.data.event_time], project.data.entity_id
    types = {column.name: column.type for column in project.data.columns}
    texts = [name for name in names if types[name] in ("category", "text")]
    mark = engine.mark(time, *(rows[name].fill_null("") if name in texts else rows[name] for name in names))
    if not texts:
        return mark
    # The cells tell entities apart as the joined text does, at a tenth of its cost, unless one holds what joins them.
    bars = ibis.or_(*(rows[name].contains("|") for name in texts)).fill_null(False)
    return bars.ifelse(engine.mark(time, _entity(engine, project, rows)), mark)


def _distinct(engine: Engine, rows: Any) -> Any:
    """Return each row once. Only rows that share their mark are compared: comparing all costs several times as much."""
    marked = rows.mutate(**{_ROW: engine.mark(*(rows[name] for name in rows.columns))})
    shared = engine.keep(_shared(marked, _ROW), "shared_marks")
    once, again = marked.anti_join(shared, _ROW), marked.semi_join(shared, _ROW)
    return once.drop(_ROW).union(again.drop(_ROW).distinct())


def _plain(column: Column, value: Any) -> Any:
    """Return the value with one zero: 0 and -0 are equal to a grouping, and two texts."""
    return (value == 0).ifelse(ibis.literal(0.0), value) if column.type == "number" else value


def _judged(
    engine: Engine, project: Project, split: Any, counts: list[dict[str, Any]]
) -> tuple[tuple[Part, ...], dict[str, str], list[Problem]]:
    """Return the parts unless something ends the run, the features to drop, and what is wrong."""
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
    weight = project.training.weight_column
    weighed = split.mutate(**{WEIGHT: split[weight].cast("float64")}) if weight else split
    features = feature_names(project, frozenset(dropped))
    unseen = [column.name for column in read_columns(derived) if column.name not in features]
    weighed = weighed.mutate(**{f"{READ}{name}": weighed[name] for name in unseen})
    names = [*features, LABEL, TIME, ENTITY, *([WEIGHT] if weight else []), *(f"{READ}{name}" for name in unseen)]
    for part in PARTS:
        rows = weighed.filter(weighed[PART] == part)
        engine.write(rows.order_by([TIME, ENTITY, _TEXT]).select(names), output / part)
