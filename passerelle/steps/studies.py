"""The best trials of a project's latest study: where its next search begins."""

from __future__ import annotations

import json
from typing import Final

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.study import Study

_KEY: Final = "STUDY"
KEPT: Final = 5
#: SageMaker's limit for a hyperparameter's value (API reference, CreateTrainingJob, HyperParameters).
MAX_CHARACTERS: Final = 2_500


def keep_study(table: RunsTable, project: str, run_id: str, study: Study | None) -> None:
    """Keep a study's best trials; a run without a study leaves the earlier one's."""
    points = warm_start(study) if study else ""
    if points:
        table.put(project, _KEY, points=points, run_id=run_id)


def earlier_points(table: RunsTable, project: str) -> str:
    """Return the points to begin with as JSON, "" when no study was kept."""
    return str((table.item(project, _KEY) or {}).get("points", ""))


def warm_start(study: Study) -> str:
    """Return the best trials as JSON that fits a hyperparameter, "" when none has a score."""
    points = [{"candidate": trial.candidate, "params": trial.params} for trial in study.ranked()[:KEPT]]
    while points:
        text = json.dumps(points, separators=(",", ":"))
        if len(text) <= MAX_CHARACTERS:
            return text
        points.pop()
    return ""
