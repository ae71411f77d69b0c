"""Labels that became known, as a person has them in files: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from passerelle.domain.predictions.cells import Value, cell_text, read_cell
from passerelle.domain.project import Project
from passerelle.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
#: What a label is told by: a prediction, or what predictions are about.
By = Literal["inference_id", "entity_id"]
_ID: Final = "inference_id"
_PLACE: Final = "request_row"


@dataclass(frozen=True)
class Labels:
    """Labels by key: `inference_id` and row of a request, or the contract's entity as records spell it."""

    by: By
    known: Mapping[str, Value]

    def of(self, answers: pd.DataFrame) -> list[Value]:
        """Return the label of each recorded prediction, None where it is not known."""
        if self.by == "entity_id":
            return [self.known.get(entity) for entity in answers["entity_id"]]
        told = zip(answers["inference_id"], answers["request_row"], strict=True)
        return [self.known.get(_prediction_key(*one)) for one in told]


def _prediction_key(inference_id: str, request_row: int) -> str:
    return f"{inference_id}#{request_row}"


def read_labels(project: Project, paths: Sequence[Path]) -> Labels:
    """Return the labels of files; rows whose label is empty are not known yet.

    Raises InputError naming file and row for what cannot be read, and for two labels of the same thing.
    """
    told: dict[str, tuple[Value, str]] = {}
    ways = set[By]()
    for path in paths:
        rows = _rows(project, path)
        first = next(rows, None)
        if first is None:
            continue
        by = _told_by(project, path, first)
        ways.add(by)
        for number, row in enumerate(_chained(first, rows), start=1):
            _take(project, told, by, row, f"{path}, row {number}")
    if len(ways) > 1:
        raise InputError("One file tells labels by inference_id, another by the entity. Read them in two commands.")
    return Labels(next(iter(ways), _ID), {key: label for key, (label, _) in told.items()})


def _chained(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _take(project: Project, told: dict[str, tuple[Value, str]], by: By, row: Row, where: str) -> None:
    column = project.data.label.column
    given = _plain(row.get(column))
    label = read_cell(given, project.column(column).type, _null_words(project))
    if label is None:
        if given is None or str(given).strip() in ("", *_null_words(project)):
            return
        raise InputError(
            f"{where}: {column} is {str(given)[:60]!r}, not {project.column(column).type}. Correct the file; a label "
            "that is not known yet is left empty."
        )
    key = _key(project, by, row, where)
    before = told.setdefault(key, (label, where))
    if before[0] != label:
        raise InputError(
            f"{where}: {column} is {label!r}, and {before[0]!r} in {before[1]}, for the same "
            f"{'prediction' if by == _ID else 'entity'} {key[:80]!r}. Keep one of them; where an entity has several "
            "labels, tell them by inference_id."
        )


def _told_by(project: Project, path: Path, row: Row) -> By:
    label, entity = project.data.label.column, project.data.entity_id
    if label not in row:
        raise InputError(f"{path}: there is no column {label!r}, the contract's label; it has {', '.join(row)}.")
    if _ID in row:
        return "inference_id"
    if project.personal_entity:
        raise InputError(
            f"{path}: there is no column inference_id, and records keep only a keyed hash of the entity, which is "
            "personal. Tell labels by the inference_id that callers gave or were given."
        )
    missing = [name for name in entity if name not in row]
    if missing:
        raise InputError(
            f"{path}: labels are told by inference_id, or by all of {', '.join(entity)}; {', '.join(missing)} is "
            f"missing. It has {', '.join(row)}."
        )
    return "entity_id"


def _key(project: Project, by: By, row: Row, where: str) -> str:
    if by == _ID:
        place = row.get(_PLACE)
        number = read_cell(_plain(place), "integer", ("",)) if place not in (None, "") else 0
        if not row[_ID] or not isinstance(number, int):
            raise InputError(f"{where}: inference_id is empty, or {_PLACE} {place!r} is no whole number.")
        return _prediction_key(str(row[_ID]), number)
    cells = [
        read_cell(_plain(row.get(name)), project.column(name).type, _null_words(project))
        for name in project.data.entity_id
    ]
    for name, cell in zip(project.data.entity_id, cells, strict=True):
        if cell is None:
            raise InputError(
                f"{where}: {name} is {str(row.get(name))[:60]!r}, not {project.column(name).type}: without it nobody "
                "knows which prediction the label is of."
            )
    return "|".join(map(cell_text, cells))


def _null_words(project: Project) -> tuple[str, ...]:
    return project.data.null_values


def _plain(value: Any) -> Any:
    """Return a cell as JSON would have it: Parquet's times are read as texts are."""
    return value.isoformat() if isinstance(value, datetime) else value


def _rows(project: Project, path: Path) -> Iterator[Row]:
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in readers:
        raise InputError(f"{path}: outcomes are read from {', '.join(readers)} files.")
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        yield from readers[path.suffix](project, path)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _csv(project: Project, path: Path) -> Iterable[Row]:
    form = project.data.csv
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    with path.open(encoding=encoding, newline="") as file:
        yield from csv.DictReader(file, delimiter=form.delimiter)


def _jsonl(_: Project, path: Path) -> Iterable[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(filter(str.strip, file), start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, row {number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, row {number}: each line must be a JSON object with the columns' names.")
            yield row


def _parquet(_: Project, path: Path) -> Iterable[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
