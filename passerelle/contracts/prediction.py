"""One prediction as the predictions zone keeps it: the columns of its Parquet files, and how each is there once.

Files are delivered at least once, so the same prediction may lie in two of them. Who reads keeps one row for each
IDENTITY (`once_sql`): the view that Athena has of the files does, and so does `passerelle.domain.predictions.once`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType, TaskType

#: `numbers` are several in one cell, with the seven digits of single precision.
RecordType: TypeAlias = "ColumnType | Literal['numbers']"
Columns: TypeAlias = "tuple[tuple[str, RecordType], ...]"

#: `inference_id` is the caller's, or the one that SageMaker gave the request; `request_row` counts its rows from 0.
#: `entity_id` is the contract's entity as datasets spell it (`__entity`), a keyed hash of that where it is personal.
_FIRST: Final[Columns] = (
    ("inference_id", "text"),
    ("request_row", "integer"),
    ("event_time", "datetime"),
    ("model", "text"),
    ("version", "text"),
    ("variant", "text"),
    ("entity_id", "text"),
)
#: `score` is the probability of the positive class, of the likeliest class, or the predicted number; `decision` is
#: true or false where a threshold decides, the class of a multiclass model, empty for a number.
_LAST: Final[Columns] = (("score", "number"), ("decision", "text"), ("latency_ms", "number"))
#: Of a model of several classes besides, at the end: the probability of each, in the order of its bundle's classes.
#: Files of before there was one do not have it; in records of other tasks it is never.
PROBABILITIES: Final = "probabilities"
#: The model's answer, in predictions and in the profiles of these.
SCORE: Final = "__score"
DECISION: Final = "__decision"
#: Before each of the contract's columns, so that none is taken for one of ours.
INPUT: Final = "input_"
#: What makes a prediction the same one: champion and shadow answer the same request.
IDENTITY: Final = ("inference_id", "request_row", "variant")
#: The event of log lines that hold predictions, where SageMaker captures none: a word that nothing else logs.
LOGGED: Final = "served_prediction"
#: What tells a server to log them: a JSON list of the columns to log beside the model's.
LOG_VARIABLE: Final = "PASSERELLE_LOG_PREDICTIONS"
#: The inference id of what a deployment asks its endpoint itself: a model's own example is nobody's prediction.
OWN_REQUEST: Final = "passerelle-smoke-test"
#: The partition: the day of the event, UTC, as yyyy-mm-dd.
DAY: Final = "day"


def prediction_columns(inputs: Iterable[tuple[str, ColumnType]], task: TaskType = "binary") -> Columns:
    """Return the columns of a project's predictions, in order; names in lower case, as Athena reads every name."""
    own: Columns = ((PROBABILITIES, "numbers"),) if task == "multiclass" else ()
    return (*_FIRST, *((f"{INPUT}{name.lower()}", type_) for name, type_ in inputs), *_LAST, *own)


def once_sql(relation: str, columns: Iterable[str], *, within: Iterable[str] = ()) -> str:
    """Return a query of Trino's (Athena's) and DuckDB's SQL for each prediction of a relation once, its earliest.

    Parameters
    ----------
    within : columns that an identity never crosses. Of these alone a condition on the query reaches the files
        (Trino pushes a filter through a window only by what it is partitioned by).
    """
    names = ", ".join(f'"{name}"' for name in columns)
    identity = ", ".join((*IDENTITY, *within))
    copies = f"row_number() OVER (PARTITION BY {identity} ORDER BY event_time, version, score)"
    return f"SELECT {names} FROM (SELECT *, {copies} AS __copy FROM {relation}) AS delivered WHERE __copy = 1"
