"""What is said of the test rows without any model: by the baseline, and by the declared business rule."""

from __future__ import annotations

import numpy as np

from passerelle.domain.candidates.declared import RuleClassifier, RuleRegressor
from passerelle.domain.project.metric_names import RULE
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted, predict


def guess(inputs: Inputs, predicted: Predicted) -> Predicted:
    """Return what the baseline says: the classes' shares, or the median, of the training period."""
    rows = len(inputs.test.labels)
    label = inputs.challenger.profile["label"]
    if predicted.probabilities is None:
        return Predicted(np.full(rows, float(label["median"])), None, predicted.classes)
    shares = np.asarray([label["shares"][str(name)] for name in predicted.classes], dtype=np.float64)
    guess = predicted.classes[int(np.argmax(shares))]
    return Predicted(np.full(rows, guess), np.tile(shares, (rows, 1)), predicted.classes)


def ask_rule(inputs: Inputs, predicted: Predicted) -> tuple[Predicted | None, str]:
    """Return what the business rule says, or None and why it cannot be asked; no word where there is none.

    Where the rule itself was chosen there is nothing to compare it with.
    """
    lines, task = inputs.project.training.rule, inputs.project.task.type
    if not lines or inputs.training.chosen == RULE:
        return None, ""
    frame = inputs.test.frame
    try:
        if task == "regression":
            return predict(RuleRegressor(lines).fit(frame, None), frame, task), ""
        # It learns the names of the classes only, and those are the challenger's.
        rule = RuleClassifier(lines).fit(frame, predicted.classes)
        return predict(rule, frame, task), ""
    except ValueError as error:
        return None, f"the business rule: {error}"
