"""Studies between the jobs: the best trials of a project's latest one, and those of a run's tuning jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from passerelle.aws.clients import client
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.study import STUDY_FILE, Study
from passerelle.domain.requests.jobs import RunRef
from passerelle.domain.tuning.fleet import joined
from passerelle.errors import NotFoundError

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


def parts_of(bucket: str, run: RunRef, count: int) -> list[Study]:
    """Return the studies of a run's first `count` tuning jobs."""
    objects = Objects(client("s3"))
    texts = (objects.read(bucket, f"{_prefix(run)}/{number}.json") for number in range(1, count + 1))
    return [Study.model_validate_json(text) for text in texts]


def keep_parts(bucket: str, run: RunRef, parts: Sequence[Study]) -> str:
    """Keep the study of the latest tuning job, and all as one; returns where the training job finds that."""
    objects, folder = Objects(client("s3")), f"{_prefix(run)}/study"
    objects.write(bucket, f"{_prefix(run)}/{len(parts)}.json", parts[-1].model_dump_json().encode())
    objects.write(bucket, f"{folder}/{STUDY_FILE}", joined(parts).model_dump_json(indent=2).encode())
    return zones.s3_uri(bucket, folder)


def study_uri(bucket: str, run: RunRef) -> str:
    """Return where the study of a run's tuning jobs lies, "" when it has none."""
    folder = f"{_prefix(run)}/study"
    try:
        Objects(client("s3")).read(bucket, f"{folder}/{STUDY_FILE}")
    except NotFoundError:
        return ""
    return zones.s3_uri(bucket, folder)


def _prefix(run: RunRef) -> str:
    return zones.tuning_prefix(run.project, run.run_id, run.attempt)
