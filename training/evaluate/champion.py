"""What the champion says of the test rows."""

from __future__ import annotations

from typing import Any

from passerelle.domain.candidates.frame import typed_frame
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted, predict


def ask_champion(inputs: Inputs, challenger: Predicted) -> tuple[Predicted | None, str]:
    """Return the champion's predictions, or None and why it cannot be compared with; no word where there is none."""
    champion = inputs.champion
    if champion is None:
        return None, inputs.champion_missing
    try:
        columns: dict[str, Any] = {column.name: inputs.test.frame[column.name] for column in champion.signature.inputs}
    except KeyError as missing:
        return None, f"the champion, which needs column {missing} that today's data lacks"
    own = predict(champion.pipeline, typed_frame(columns, champion.signature.inputs), inputs.project.task.type)
    if list(own.classes) != list(challenger.classes):
        return None, "the champion, which knows other classes than today's data"
    return own, ""
