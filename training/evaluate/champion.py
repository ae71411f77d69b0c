"""The challenger and the champion on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.metrics import bootstrap_scores
from training.evaluate.inputs import Inputs, score_every_metric
from training.train.predict import Predicted, predict


def compare_with_champion(inputs: Inputs, predicted: Predicted) -> tuple[dict[str, float], tuple[float, float] | None]:
    """Return the champion's scores and (how much better the challenger is, 95 % lower bound) on the same rows."""
    champion, task, labels = inputs.champion, inputs.project.task, inputs.test.labels
    if champion is None:
        return {}, None
    try:
        columns: dict[str, Any] = {column.name: inputs.test.frame[column.name] for column in champion.signature.inputs}
    except KeyError as missing:
        print(f"The champion needs column {missing}, which today's data lacks: it is not compared with.", flush=True)
        return {}, None
    own = predict(champion.pipeline, typed_frame(columns, champion.signature.inputs), task.type)
    if list(own.classes) != list(predicted.classes):
        print("The champion knows other classes than today's data: it is not compared with.", flush=True)
        return {}, None
    scores = score_every_metric(inputs, own)
    sign = 1.0 if inputs.project.greater_is_better else -1.0
    ours, theirs = (
        bootstrap_scores(
            task.metric, task.type, labels, item.predictions, item.probabilities, item.classes, seed=0, rounds=100
        )
        for item in (predicted, own)
    )
    differences = sign * (ours - theirs)
    differences = differences[np.isfinite(differences)]
    whole = score_every_metric(inputs, predicted)
    if task.metric not in scores or task.metric not in whole or not len(differences):
        return scores, None
    return scores, (sign * (whole[task.metric] - scores[task.metric]), float(np.quantile(differences, 0.025)))
