"""What `evaluate` judges: a project, its models, its training and its test rows."""

from __future__ import annotations

from dataclasses import dataclass

from passerelle.contracts.container import TrainResult
from passerelle.domain.metrics import score_all
from passerelle.domain.project import Project
from training.bundle import Bundle
from training.train.data import Rows
from training.train.predict import Predicted


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What `evaluate` reads, unpacked; `champion_missing` says why a champion that there is cannot be asked."""

    project: Project
    challenger: Bundle
    champion: Bundle | None
    training: TrainResult
    test: Rows
    champion_missing: str = ""


def score_every_metric(inputs: Inputs, predicted: Predicted) -> dict[str, float]:
    """Return every metric that the test rows allow."""
    task, labels = inputs.project.task.type, inputs.test.labels
    return score_all(task, labels, predicted.predictions, predicted.probabilities, predicted.classes)
