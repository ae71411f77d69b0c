"""A plan ships only when it answers as its pipeline does: on the whole holdout, and on the example's rows made odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.bundle import BundleSignature, FastPath
from passerelle.domain.candidates.frame import plain_columns, typed_frame
from passerelle.domain.features.derive import ModelColumns
from training.bundle.compile import NoPlanError, compile_plan
from training.bundle.ensemble import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE, same_answers
from training.bundle.plan import Plan, read_plan, write_plan

_UNSEEN: Final = "\x1a never seen in training"
#: So many rows are answered at a time.
_BLOCK: Final = 50_000


@dataclass(frozen=True)
class Holdout:
    """Rows that the fit has not seen, and what the pipeline says of them (probabilities, or a regression's numbers)."""

    frame: pd.DataFrame
    answers: npt.NDArray[Any]


class _DiffersError(Exception):
    """A plan does not give its pipeline's answers."""


def prove_plan(
    pipeline: Any, signature: BundleSignature, example: dict[str, Any], holdout: Holdout | None
) -> tuple[bytes | None, FastPath]:
    """Return plan.npz of a pipeline, None where no plan gives the same answers, and what was found."""
    regression = signature.task == "regression"
    try:
        content = write_plan(*compile_plan(pipeline, classes=np.asarray([] if regression else pipeline.classes_)))
        plan = read_plan(content)
        for columns in _odd_rows(example, signature):
            frame = typed_frame(columns, signature.model_inputs)
            wanted = pipeline.predict(frame) if regression else pipeline.predict_proba(frame)
            _compare(plan.answer(columns, len(frame)), wanted, "rows that were made odd")
        largest = _prove_on(plan, holdout) if holdout is not None else None
    except (NoPlanError, _DiffersError) as error:
        return None, FastPath(used=False, reason=str(error))
    except Exception as error:  # anything that a project's own model raises: its pipeline serves it then
        return None, FastPath(used=False, reason=f"{type(error).__name__}: {error}")
    return content, FastPath(
        used=True,
        rows=len(holdout.frame) if holdout is not None else 0,
        largest_difference=largest,
        relative_tolerance=RELATIVE_TOLERANCE,
        absolute_tolerance=ABSOLUTE_TOLERANCE,
    )


def _prove_on(plan: Plan, holdout: Holdout) -> float:
    """Return the largest difference on the holdout."""
    largest = 0.0
    for start in range(0, len(holdout.frame), _BLOCK):
        part = holdout.frame.iloc[start : start + _BLOCK]
        given, wanted = plan.answer(plain_columns(part), len(part)), holdout.answers[start : start + _BLOCK]
        _compare(given, wanted, f"rows {start:,} to {start + len(part) - 1:,} of the holdout")
        largest = max(largest, float(np.abs(given - wanted).max()))
    return largest


def _compare(given: npt.NDArray[Any], wanted: npt.NDArray[Any], which: str) -> None:
    if not same_answers(given, wanted):
        largest = np.abs(given - wanted).max() if given.shape == wanted.shape else np.inf
        raise _DiffersError(f"the plan differs from the pipeline by up to {largest:g} on {which}")


def _odd_rows(example: dict[str, Any], signature: BundleSignature) -> Iterator[dict[str, list[Any]]]:
    """Yield the example's rows; with nothing known that may be unknown; with unseen levels; with numbers far out."""
    split = example["dataframe_split"]
    sent = {name: list(values) for name, values in zip(split["columns"], zip(*split["data"], strict=True), strict=True)}
    rows, inputs = len(split["data"]), signature.model_inputs
    columns = {name: list(values) for name, values in ModelColumns(signature)(sent).items()}
    yield columns
    yield columns | {column.name: [None] * rows for column in inputs if column.nullable}
    yield columns | {c.name: [_UNSEEN] * rows for c in inputs if c.type in ("category", "text")}
    numbers = [column.name for column in inputs if column.type in ("integer", "number")]
    for value in (-1e9, 0.0, 1e9):
        yield columns | dict.fromkeys(numbers, [value] * rows)
