"""Ask a challenger again what callers asked the champion, where SageMaker has no shadow variant.

The champion's answers are the recorded ones; the challenger's come from the code that would serve it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from passerelle.contracts.prediction import INPUT
from passerelle.domain.experiment.agreement import Answers
from passerelle.domain.experiment.pairs import Pairs
from passerelle.domain.predictions import once
from passerelle.errors import InputError
from training.bundle import Bundle
from training.serve.errors import RequestError
from training.serve.inputs import check_inputs
from training.serve.request import Table
from training.serve.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS: Final = 2_000


@dataclass(frozen=True)
class Replay:
    """What both models said of the recorded rows, and how many of these the challenger refused."""

    pairs: Pairs
    asked: int
    refused: int


def replay(folder: Path, bundle: Bundle, *, variant: str, since: datetime) -> Replay:
    """Score what is recorded in a folder of Parquet files since a moment, UTC.

    Raises InputError where records do not hold an input of the model.
    """
    recorded = _recorded(folder, variant, since)
    if recorded.empty:
        return Replay(Pairs(Answers(), Answers(), np.array([], str), 0, 0), 0, 0)
    scorer, task = Scorer(bundle), bundle.signature.task
    answers = [answer for batch in _batches(recorded, bundle) for answer in _answer(scorer, batch)]
    kept = np.array([answer is not None for answer in answers])
    known, said = recorded[kept], [answer for answer in answers if answer is not None]
    champion = _answers(task, list(known["decision"]), list(known["score"]))
    challenger = _answers(task, *map(list, zip(*said, strict=True))) if said else Answers()
    entities = known["entity_id"].where(known["entity_id"].notna(), known["inference_id"])
    pairs = Pairs(champion, challenger, entities.to_numpy(str), 0, 0)
    return Replay(pairs, len(recorded), int(np.sum(~kept)))


def _recorded(folder: Path, variant: str, since: datetime) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    files = sorted(folder.rglob("*.parquet"))
    if not files:
        return pd.DataFrame()
    # Nullable types: a whole number beside a missing one stays whole.
    delivered = pd.concat([pq.read_table(path).to_pandas(types_mapper=_nullable) for path in files], ignore_index=True)
    # Recorded times are UTC without an offset.
    begin = pd.Timestamp(since).tz_convert("UTC").tz_localize(None)
    wanted = (delivered["variant"] == variant) & (delivered["event_time"] >= begin)
    return once(delivered[wanted.fillna(False)])


def _nullable(kind: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    return {pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)


def _batches(recorded: pd.DataFrame, bundle: Bundle) -> Iterator[dict[str, list[Any]]]:
    names = {column.name: f"{INPUT}{column.name.lower()}" for column in bundle.signature.inputs}
    missing = [name for name, recorded_as in names.items() if recorded_as not in recorded]
    if missing:
        raise InputError(
            f"The model asks for {', '.join(missing)}, which recorded predictions do not hold: a personal column, or "
            "one that the contract has only now. Deploy once without serving.shadow."
        )
    for begin in range(0, len(recorded), BATCH_ROWS):
        part = recorded.iloc[begin : begin + BATCH_ROWS]
        yield {name: [_cell(value) for value in part[recorded_as]] for name, recorded_as in names.items()}


def _cell(value: Any) -> Any:
    """Return a value as JSON has it."""
    import pandas as pd

    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _answer(scorer: Scorer, columns: Mapping[str, Sequence[Any]]) -> list[tuple[str | None, float | None] | None]:
    """Return decision and score of each row, None for one that the server would refuse."""
    rows = len(next(iter(columns.values())))
    try:
        signature = scorer.bundle.signature
        checked, _ = check_inputs(Table(columns, rows), signature.inputs, frozenset(("", *signature.null_values)))
        return _said(scorer.score(checked))
    except RequestError:
        if rows == 1:
            return [None]
    halves = slice(rows // 2), slice(rows // 2, rows)
    parts = ({name: values[half] for name, values in columns.items()} for half in halves)
    return [answer for part in parts for answer in _answer(scorer, part)]


def _said(answer: Mapping[str, Any]) -> list[tuple[str | None, float | None] | None]:
    shares = answer.get("probabilities")
    if shares is None:
        return [(None, float(prediction)) for prediction in answer["predictions"]]
    if len(answer["classes"]) > 2:
        return [(str(prediction), None) for prediction in answer["predictions"]]
    decided = answer.get("decisions")
    decisions = [None] * len(shares) if decided is None else [str(one).lower() for one in decided]
    return [(decision, float(share[1])) for decision, share in zip(decisions, shares, strict=True)]


def _answers(task: str, decisions: list[Any], scores: list[Any]) -> Answers:
    decided = task != "regression" and all(isinstance(one, str) for one in decisions)
    scored = task != "multiclass"
    return Answers(
        decisions=np.array(decisions) if decided else None,
        scores=np.array([np.nan if score is None else score for score in scores], dtype=float) if scored else None,
    )
