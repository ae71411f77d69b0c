"""Write a first project.yaml, from a sample CSV where one is given."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import yaml

from passerelle.contracts.naming import PROJECT_PATTERN
from passerelle.errors import InputError

SAMPLE_ROWS: Final = 5_000
MAX_CLASSES: Final = 20


@dataclass(frozen=True)
class ProjectChoices:
    """What the user said; None is guessed from the sample, or left as an example to edit."""

    name: str
    sample: Path | None = None
    label: str | None = None
    event_time: str | None = None
    entity: str | None = None


@dataclass(frozen=True)
class SampleColumn:
    """A column of the sample: its type, whether it has gaps, its distinct values (up to a few)."""

    name: str
    type: str
    nullable: bool
    values: frozenset[str]


def project_yaml(choices: ProjectChoices) -> str:
    """Return the text of a project.yaml.

    Raises InputError when the name is not allowed, or the sample lacks a named column.
    """
    if not re.fullmatch(PROJECT_PATTERN, choices.name):
        raise InputError(
            f"Project name {choices.name!r} is not allowed: 2 to 20 lower-case letters, digits and hyphens, "
            "starting with a letter."
        )
    columns = _read_sample(choices.sample) if choices.sample else _EXAMPLE_COLUMNS
    label = _named(columns, choices.label, "--label") or columns[-1]
    time = _named(columns, choices.event_time, "--event-time") or _first_of_type(columns, "datetime")
    entity = _named(columns, choices.entity, "--entity") or columns[0]
    if time is None:
        raise InputError("The sample has no column of dates and times; name the event time with --event-time.")
    return _HEADER.format(name=choices.name) + yaml.safe_dump(
        _document(choices.name, columns, label, time, entity), sort_keys=False, allow_unicode=True, width=110
    )


def _document(
    name: str, columns: list[SampleColumn], label: SampleColumn, time: SampleColumn, entity: SampleColumn
) -> dict[str, object]:
    task, positive = _guess_task(label)
    metric = {"binary": "roc_auc", "multiclass": "balanced_accuracy", "regression": "rmse"}[task]
    return {
        "name": name,
        "why": {
            "objective": "What decision will the prediction change?",
            "kpi": "The number by which the business will see it",
            "owner": "team@example.com",
            "scope": {"row": "what one row is", "period": "which period", "horizon": "how far ahead"},
        },
        "data": {
            "format": "csv",
            "entity_id": [entity.name],
            "event_time": time.name,
            "label": {"column": label.name, **({"positive": positive} if positive is not None else {})},
            "columns": [_column(column) for column in columns],
        },
        "task": {"type": task, "metric": metric},
        "training": {"split": {"by": "time", "validation": 0.15, "test": 0.15}, "seed": 1},
        "serving": {"profile": "serverless", "memory_mb": 2048},
        "budget": {"monthly_usd": 50, "cost_centre": "CHANGE-ME"},
    }


def _column(column: SampleColumn) -> dict[str, object]:
    return {"name": column.name, "type": column.type, **({"nullable": True} if column.nullable else {})}


def _guess_task(label: SampleColumn) -> tuple[str, str | None]:
    """Return the task and, for a binary one, the positive value."""
    if len(label.values) == 2:
        return "binary", sorted(label.values)[-1]
    if label.type in ("category", "text") and len(label.values) <= MAX_CLASSES:
        return "multiclass", None
    return "regression", None


def _read_sample(path: Path) -> list[SampleColumn]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, csv.Sniffer().sniff(file.read(65_536), delimiters=",;\t|"))
            file.seek(0)
            header = [name.strip() for name in next(rows)]
            sample = [row for row in islice(rows, SAMPLE_ROWS) if len(row) == len(header)]
    except (OSError, UnicodeDecodeError, csv.Error, StopIteration) as error:
        raise InputError(f"{path}: cannot be read as a CSV file in UTF-8 with a header: {error}") from error
    if not sample:
        raise InputError(f"{path}: no row below the header; give a sample with some rows.")
    return [_describe(name, [row[index].strip() for row in sample]) for index, name in enumerate(header)]


def _describe(name: str, texts: list[str]) -> SampleColumn:
    present = [text for text in texts if text not in ("", "NA", "NaN", "null", "NULL")]
    distinct = frozenset(present)
    return SampleColumn(name, _guess_type(distinct), len(present) < len(texts), frozenset(list(distinct)[:1000]))


def _guess_type(values: frozenset[str]) -> str:
    if values and values <= {"true", "false", "True", "False", "TRUE", "FALSE"}:
        return "boolean"
    for type_, reads in (("integer", int), ("number", float), ("datetime", datetime.fromisoformat)):
        if values and all(_reads(reads, value) for value in values):
            return type_
    return "category" if len(values) <= 1000 else "text"


def _reads(read: object, value: str) -> bool:
    assert callable(read)
    try:
        read(value)
    except ValueError:
        return False
    return True


def _named(columns: list[SampleColumn], name: str | None, option: str) -> SampleColumn | None:
    if name is None:
        return None
    found = next((column for column in columns if column.name == name), None)
    if found is None:
        raise InputError(f"{option} {name}: no such column; the sample has {', '.join(c.name for c in columns)}.")
    return found


def _first_of_type(columns: list[SampleColumn], type_: str) -> SampleColumn | None:
    return next((column for column in columns if column.type == type_), None)


_EXAMPLE_COLUMNS: Final = [
    SampleColumn("customer_id", "category", False, frozenset()),
    SampleColumn("signed_up_at", "datetime", False, frozenset()),
    SampleColumn("plan", "category", False, frozenset()),
    SampleColumn("monthly_spend", "number", True, frozenset()),
    SampleColumn("churned", "integer", False, frozenset({"0", "1"})),
]

_HEADER: Final = """\
# Project {name}. Every field is checked at deploy; editors can check it too with projects/project.schema.json.
# yaml-language-server: $schema=../project.schema.json
"""
