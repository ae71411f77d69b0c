"""A plan ships only when it answers as its pipeline does, on the bundle's example and on the same rows made odd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from passerelle.contracts.bundle import BundleSignature
from training.bundle.compile import compile_plan
from training.bundle.ensemble import same_answers
from training.bundle.plan import Plan, read_plan, write_plan

_UNSEEN: Final = "\x1a never seen in training"


def make_proven_plan(pipeline: Any, signature: BundleSignature, example: dict[str, Any]) -> Plan | None:
    """Return the plan of a pipeline; None when it has none, or when the two do not give the same answers."""
    from passerelle.domain.candidates.frame import typed_frame

    regression = signature.task == "regression"
    try:
        compiled = compile_plan(pipeline, classes=np.asarray([] if regression else pipeline.classes_))
        plan = read_plan(write_plan(compiled))
        for columns in _odd_rows(example, signature):
            frame = typed_frame(columns, signature.inputs)
            wanted = pipeline.predict(frame) if regression else pipeline.predict_proba(frame)
            given = plan.answer(columns, len(frame))
            if not same_answers(given, wanted):
                return None
    except Exception:  # NoPlanError; or anything that a project's own model raises: its pipeline serves it then
        return None
    return plan


def _odd_rows(example: dict[str, Any], signature: BundleSignature) -> Iterator[dict[str, list[Any]]]:
    """Yield the example's rows; with nothing known that may be unknown; with unseen levels; with numbers far out."""
    split = example["dataframe_split"]
    columns = {
        name: list(values) for name, values in zip(split["columns"], zip(*split["data"], strict=True), strict=True)
    }
    rows = len(split["data"])
    yield columns
    yield columns | {column.name: [None] * rows for column in signature.inputs if column.nullable}
    yield columns | {c.name: [_UNSEEN] * rows for c in signature.inputs if c.type in ("category", "text")}
    numbers = [column.name for column in signature.inputs if column.type in ("integer", "number")]
    for value in (-1e9, 0.0, 1e9):
        yield columns | dict.fromkeys(numbers, [value] * rows)
