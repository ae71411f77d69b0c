"""Requests as rows by column name, and answers as what was said of each row.

The server has answered these requests: their forms are those of docs/serving.md, and what it would have refused is not
looked for again. Kept apart from the server's readers, which are compiled for one model's signature.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.words import WHITE_SPACE
from passerelle.domain.predictions.exchange import BrokenExchangeError, Side, parsed

Row = Mapping[str, Any]
#: The model's inputs in order, for forms that send values without names.
Names = Callable[[], Sequence[str]]
_LINES: Final = ("application/jsonlines", "application/x-jsonlines", "application/x-ndjson")


@dataclass(frozen=True)
class Answers:
    """What was answered, a row for a row: predictions, and of a classifier probabilities by class.

    `decisions`, `threshold`, `run_id` and `version` are known where the answer is JSON; lines and CSV leave them out.
    """

    predictions: Sequence[Any]
    shares: Sequence[Sequence[float]] | None = None
    decisions: Sequence[bool] | None = None
    threshold: float | None = None
    run_id: str | None = None
    version: str | None = None


def request_rows(asked: Side, known: Collection[str], names: Names) -> list[Row]:
    """Return the rows of a request.

    Parameters
    ----------
    known : the contract's columns; a CSV whose first line names several of them has a header.

    Raises BrokenExchangeError.
    """
    kind, parameters = _kind(asked)
    text = _text(asked.body)
    if kind == "text/csv":
        return _csv_rows(text, known, names, parameters)
    if kind in _LINES:
        return _rows([parsed(line, "a line of the request") for line in text.splitlines() if line.strip()], names)
    document = parsed(text, "the request")
    if not isinstance(document, dict):
        raise BrokenExchangeError("the request is no object")
    if "dataframe_split" in document:
        split = document["dataframe_split"]
        return _named(split["data"], split["columns"])
    rows = next((document[form] for form in ("dataframe_records", "instances", "inputs") if form in document), None)
    if isinstance(rows, dict):
        return _named(list(zip(*rows.values(), strict=True)), list(rows))
    return _rows(rows, names)


def read_answers(answered: Side) -> Answers | None:
    """Return what was answered, None for a refusal.

    Raises BrokenExchangeError.
    """
    kind, _ = _kind(answered)
    text = _text(answered.body)
    if kind == "text/csv":
        cells = [line for line in csv.reader(io.StringIO(text)) if line]
        shares = [[float(cell) for cell in line[1:]] for line in cells]
        return Answers([line[0] for line in cells], shares if any(shares) else None)
    if kind in _LINES:
        lines = [parsed(line, "a line of the answer") for line in text.splitlines() if line.strip()]
        told = [line["probabilities"] for line in lines if "probabilities" in line]
        return Answers([line["prediction"] for line in lines], told or None)
    document = parsed(text, "the answer")
    if "error" in document:
        return None
    about = document.get("model") or {}
    version = about.get("version")
    return Answers(
        document["predictions"],
        document.get("probabilities"),
        document.get("decisions"),
        document.get("threshold"),
        about.get("run_id"),
        None if version is None else str(version),
    )


def _kind(side: Side) -> tuple[str, str]:
    kind, _, parameters = side.content_type.partition(";")
    return kind.strip().lower() or "application/json", parameters.lower().replace(" ", "")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenExchangeError("the body is not UTF-8") from error


def _rows(rows: Any, names: Names) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict | list) for row in rows):
        raise BrokenExchangeError("the request holds no rows in a known form")
    if rows and isinstance(rows[0], list):
        return _named(rows, names())
    return [row for row in rows if isinstance(row, dict)]


def _named(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> list[Row]:
    if any(len(row) != len(names) for row in rows):
        raise BrokenExchangeError(f"a row has not as many values as there are columns, {len(names)}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _csv_rows(text: str, known: Collection[str], names: Names, parameters: str) -> list[Row]:
    lines = [line for line in csv.reader(io.StringIO(text)) if line]
    first = [cell.strip(WHITE_SPACE) for cell in lines[0]] if lines else []
    if "header=absent" in parameters:
        header = False
    else:
        header = "header=present" in parameters or len(set(first) & set(known)) >= min(2, len(first))
    return _named(lines[1:], first) if header else _named(lines, names())
