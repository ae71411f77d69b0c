"""What a model's decisions are worth on the test rows."""

from __future__ import annotations

import numpy as np

from passerelle.domain.decision import total_value
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted


def decisions_worth(inputs: Inputs, predicted: Predicted) -> dict[str, float]:
    """Return the money that the model's decisions would have made on the test period."""
    value, threshold = inputs.project.why.value, inputs.challenger.metadata.threshold
    if value is None or predicted.probabilities is None or threshold is None:
        return {}
    money = total_value(value, inputs.test.labels, predicted.probabilities[:, 1], threshold)
    never = total_value(value, inputs.test.labels, np.zeros(len(inputs.test.labels)), 0.5)
    return {"value": money, "value_over_no_model": money - never}
