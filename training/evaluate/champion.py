"""What the champion says of the test rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from passerelle.contracts.bundle import BundleSignature
from passerelle.domain.candidates.frame import plain_columns, typed_frame
from passerelle.domain.features.derive import ModelColumns
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted, predict


def ask_champion(inputs: Inputs, challenger: Predicted) -> tuple[Predicted | None, str]:
    """Return the champion's predictions, or None and why it cannot be compared with; no word where there is none."""
    champion = inputs.champion
    if champion is None:
        return None, inputs.champion_missing
    try:
        frame = _champions_frame(inputs, champion.signature)
    except KeyError as missing:
        return None, f"the champion, which needs column {missing} that today's data lacks"
    own = predict(champion.pipeline, frame, inputs.project.task.type)
    if list(own.classes) != list(challenger.classes):
        return None, "the champion, which knows other classes than today's data"
    return own, ""


def _champions_frame(inputs: Inputs, signature: BundleSignature) -> pd.DataFrame:
    """Return what the champion sees of the test rows: its own features, which today's of that name may differ from.

    Raises KeyError for a column that the test rows lack.
    """
    test, derived = inputs.test, {column.name for column in inputs.project.derived_columns}
    known = {name: test.frame[name] for name in test.frame if name not in derived}
    known |= {name: test.sent_frame[name] for name in test.sent_frame if name not in derived}
    columns: dict[str, Any] = {column.name: known[column.name] for column in signature.inputs}
    frame = typed_frame(columns, signature.inputs)
    if not signature.derived:
        return frame
    return typed_frame(ModelColumns(signature)(plain_columns(frame)), signature.model_inputs)
