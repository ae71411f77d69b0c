"""From validated files to a dataset: exact duplicates out, label derived, split by time, written as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from passerelle.contracts.container import Problem
from passerelle.domain.dataset.schema import ENTITY, LABEL, TIME, WEIGHT, feature_names
from passerelle.domain.project import Project
from training.prepare.columns import MIN_TRAIN_ROWS, suspicious_columns, useless_columns
from training.prepare.sql import count_rows, literal, quoted

PARTS: Final = ("train", "validation", "test")
MIN_PART_ROWS: Final = 20
MIN_CLASS_ROWS: Final = 10


@dataclass(frozen=True)
class Part:
    """One part of the split, written to a file."""

    name: str
    path: Path
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


def build_dataset(files: Sequence[Path], project: Project, *, output: Path, spill: Path) -> Built:
    """Build the three parts from typed Parquet files in the order oldest drop first."""
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        rows, duplicates = _load(connection, files, project)
        unlabelled = _label(connection, project)
        problems = list(_label_problems(connection, project, rows - duplicates, unlabelled))
        summary = _label_summary(connection, project)
        if problems:
            return Built(
                rows=rows,
                duplicates=duplicates,
                without_label=unlabelled,
                label_summary=summary,
                dropped_columns={},
                problems=tuple(problems),
            )
        _split(connection, project)
        dropped = dict(useless_columns(connection, project))
        problems = [*_part_problems(connection, project), *suspicious_columns(connection, project, dropped)]
        names = feature_names(project, frozenset(dropped))
        if not names:
            problems.append(_no_features(dropped))
        fatal = any(problem.severity == "error" for problem in problems)
        parts = () if fatal else tuple(_write_part(connection, project, part, names, output) for part in PARTS)
        return Built(
            parts=parts,
            rows=rows,
            duplicates=duplicates,
            without_label=unlabelled,
            label_summary=summary,
            dropped_columns=dropped,
            problems=tuple(problems),
        )


def _load(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], project: Project) -> tuple[int, int]:
    """Load all rows; of rows equal in every column, the one of the oldest file stays. Returns (rows, duplicates)."""
    names = ", ".join(quoted(column.name) for column in project.data.columns)
    union = " UNION ALL ".join(
        f"SELECT {index} AS __file, _line AS __line, {names} FROM read_parquet({literal(path)})"
        for index, path in enumerate(files)
    )
    connection.execute(f"CREATE TEMP TABLE loaded AS {union}")
    connection.execute(
        f"""CREATE TEMP TABLE rows AS SELECT * FROM loaded
            QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY __file, __line) = 1"""
    )
    total, kept = count_rows(connection, "loaded"), count_rows(connection, "rows")
    return total, total - kept


def _label(connection: duckdb.DuckDBPyConnection, project: Project) -> int:
    """Add label, event time and entity; rows whose label is not known yet are set aside. Returns how many."""
    label = quoted(project.data.label.column)
    time = quoted(project.data.event_time)
    entity = ", '|', ".join(f"coalesce(CAST({quoted(name)} AS VARCHAR), '')" for name in project.data.entity_id)
    connection.execute(
        f"""CREATE TEMP TABLE labelled AS SELECT *, {_label_sql(project)} AS {LABEL}, {time} AS {TIME},
            concat({entity}) AS {ENTITY} FROM rows WHERE {label} IS NOT NULL AND {time} IS NOT NULL"""
    )
    return count_rows(connection, "rows") - count_rows(connection, "labelled")


def _label_sql(project: Project) -> str:
    label, column = project.data.label, quoted(project.data.label.column)
    if project.task.type == "regression":
        return f"CAST({column} AS DOUBLE)"
    if project.task.type == "multiclass":
        return f"CAST({column} AS VARCHAR)"
    comparison = label.comparison()
    if comparison:
        sign = "=" if comparison[0] == "==" else comparison[0]
        return f"CAST({column} {sign} {comparison[1]!r} AS TINYINT)"
    if isinstance(label.positive, bool):
        return f"CAST({column} = {str(label.positive).lower()} AS TINYINT)"
    if isinstance(label.positive, int | float):
        return f"CAST({column} = {label.positive!r} AS TINYINT)"
    value = str(label.positive).replace("'", "''")
    return f"CAST(CAST({column} AS VARCHAR) = '{value}' AS TINYINT)"


def _problem(code: str, rule: str, message: str, remedy: str, column: str | None, count: int = 1) -> Problem:
    return Problem(code=code, column=column, rule=rule, message=message, remedy=remedy, count=count)


def _label_problems(
    connection: duckdb.DuckDBPyConnection, project: Project, rows: int, unlabelled: int
) -> Iterator[Problem]:
    label, limit = project.data.label.column, project.data.thresholds.missing_labels
    if rows and unlabelled / rows > limit:
        yield _problem(
            "missing_labels",
            f"at most {limit:.1%} of the rows lack their label",
            f"{unlabelled:,} of {rows:,} rows ({unlabelled / rows:.1%}) have no {label!r}",
            "Drop the file again when the labels are known, or raise data.thresholds.missing_labels.",
            label,
            unlabelled,
        )
    labelled = rows - unlabelled
    least = MIN_TRAIN_ROWS + 2 * MIN_PART_ROWS
    if labelled < least:
        yield _problem(
            "too_few_rows",
            f"at least {least} labelled rows",
            f"there are {labelled:,} labelled rows",
            "Drop more data; files of several drops add up.",
            label,
        )
    if project.task.type == "regression":
        return
    counts = connection.execute(f"SELECT CAST({LABEL} AS VARCHAR), count(*) FROM labelled GROUP BY 1").fetchall()
    declared = set(project.data.label.classes)
    for value, count in sorted(counts):
        if declared and value not in declared:
            rule = f"a class is one of {', '.join(sorted(declared))}"
            message = f"class {value!r} of {label!r} is not declared ({count:,} rows)"
            yield _problem(
                "unknown_class", rule, message, "Correct the rows, or extend data.label.classes.", label, count
            )
    if len(counts) == 1 and labelled >= least:
        yield _problem(
            "single_class",
            "the label has at least two classes",
            f"every row has the same class of {label!r}: {_class_words(project, counts[0][0])}",
            "Drop data in which the label varies, or correct data.label.",
            label,
            labelled,
        )


def _class_words(project: Project, value: str) -> str:
    if project.task.type == "multiclass":
        return repr(value)
    return f"{'positive' if value == '1' else 'negative'} ({project.data.label.positive})"


def _label_summary(connection: duckdb.DuckDBPyConnection, project: Project) -> dict[str, float]:
    if project.task.type == "regression":
        query = f"SELECT avg({LABEL}), stddev_pop({LABEL}), min({LABEL}), max({LABEL}), median({LABEL}) FROM labelled"
        found = connection.execute(query).fetchone() or ()
        names = ("mean", "std", "min", "max", "median")
        return {name: float(value) for name, value in zip(names, found, strict=True) if value is not None}
    query = f"""SELECT CAST({LABEL} AS VARCHAR), count(*) / sum(count(*)) OVER () FROM labelled
                GROUP BY 1 ORDER BY 2 DESC LIMIT 50"""
    return {f"share_of_{value}": float(share) for value, share in connection.execute(query).fetchall()}


def _split(connection: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Add the part of every row. By time: no moment spans two parts, the newest rows are the test."""
    split = project.training.split
    test, held_out = 1 - split.test, 1 - split.test - split.validation
    if split.by == "time":
        order = f"quantile_disc({TIME}, {held_out}), quantile_disc({TIME}, {test})"
        bounds = connection.execute(f"SELECT {order} FROM labelled").fetchone()
        assert bounds is not None
        case = f"CASE WHEN {TIME} < ? THEN 'train' WHEN {TIME} < ? THEN 'validation' ELSE 'test' END"
        connection.execute(f"CREATE TEMP TABLE split AS SELECT *, {case} AS __part FROM labelled", list(bounds))
        return
    # A hash of what the row says, not of where it stands: rows keep their part when files are added or re-ordered.
    # Rows equal in every column are one row by now, so a row's content is its identity.
    what = ENTITY if split.by == "entity" else _content(project)
    share = f"(md5_number_lower(concat({what}, '|', {project.training.seed})) % 1000000) / 1000000.0"
    case = f"CASE WHEN {share} < {held_out} THEN 'train' WHEN {share} < {test} THEN 'validation' ELSE 'test' END"
    connection.execute(f"CREATE TEMP TABLE split AS SELECT *, {case} AS __part FROM labelled")


def _content(project: Project) -> str:
    """Return the SQL of a row's values as one text that no other row has."""
    values = (f"coalesce(CAST({quoted(column.name)} AS VARCHAR), chr(1))" for column in project.data.columns)
    return f"concat_ws(chr(31), {', '.join(values)})"


def _part_problems(connection: duckdb.DuckDBPyConnection, project: Project) -> Iterator[Problem]:
    label = project.data.label.column
    for part in PARTS:
        rows = count_rows(connection, "split", f"__part = '{part}'")
        least = MIN_TRAIN_ROWS if part == "train" else MIN_PART_ROWS
        if rows < least:
            yield _problem(
                "small_part",
                f"{part} has at least {least} rows",
                f"the {part} part of the split has {rows:,} rows",
                "Drop data over a longer period, or change training.split.",
                project.data.event_time,
            )
    if project.task.type == "regression":
        return
    counts = ", ".join(f"count(*) FILTER (__part = '{part}')" for part in PARTS)
    query = f"SELECT CAST({LABEL} AS VARCHAR), {counts} FROM split GROUP BY 1 ORDER BY 1"
    for value, train, validation, test in connection.execute(query).fetchall():
        if train < MIN_CLASS_ROWS or not validation or not test:
            yield _problem(
                "rare_class",
                f"each class has at least {MIN_CLASS_ROWS} rows in train and some in validation and test",
                f"class {value!r} has {train:,} rows in train, {validation:,} in validation, {test:,} in test",
                "Drop more data of that class, or merge it with another.",
                label,
            )


def _no_features(dropped: dict[str, str]) -> Problem:
    shown = "; ".join(f"{name}: {why}" for name, why in dropped.items())
    return _problem(
        "no_features", "some column can be learnt from", f"every feature is useless ({shown})", "Drop other data.", None
    )


def _write_part(
    connection: duckdb.DuckDBPyConnection, project: Project, part: str, names: Sequence[str], output: Path
) -> Part:
    """Write one part, oldest row first; the order of files and of their lines does not matter."""
    folder = output / part
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "part-0.parquet"
    weight = project.training.weight_column
    weights = [f"CAST({quoted(weight)} AS DOUBLE) AS {WEIGHT}"] if weight else []
    columns = ", ".join([*(quoted(name) for name in names), LABEL, TIME, ENTITY, *weights])
    connection.execute(
        f"""COPY (SELECT {columns} FROM split WHERE __part = '{part}' ORDER BY {TIME}, {ENTITY}, {_content(project)})
            TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)"""
    )
    query = f"SELECT count(*), min({TIME}), max({TIME}) FROM split WHERE __part = '{part}'"
    rows, start, end = connection.execute(query).fetchone() or (0, None, None)
    return Part(part, path, int(rows), start and f"{start.isoformat()}Z", end and f"{end.isoformat()}Z")
