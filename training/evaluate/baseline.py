"""What the baseline says of the test rows."""

from __future__ import annotations

import numpy as np

from training.evaluate.inputs import Inputs
from training.train.predict import Predicted


def guess(inputs: Inputs, predicted: Predicted) -> Predicted:
    """Return what the baseline says: the classes' shares, or the median, of the training period."""
    rows = len(inputs.test.labels)
    label = inputs.challenger.profile["label"]
    if predicted.probabilities is None:
        return Predicted(np.full(rows, float(label["median"])), None, predicted.classes)
    shares = np.asarray([label["shares"][str(name)] for name in predicted.classes], dtype=np.float64)
    guess = predicted.classes[int(np.argmax(shares))]
    return Predicted(np.full(rows, guess), np.tile(shares, (rows, 1)), predicted.classes)
