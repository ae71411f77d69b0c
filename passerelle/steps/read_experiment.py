"""Read an A/B test: what both models answered, what came of it, and what follows so far."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from passerelle.aws.objects import Objects
from passerelle.aws.recorded_answers import fetch_records, recorded_answers, values_of
from passerelle.contracts import zones
from passerelle.contracts.ab_tests import AbReading, AbTest
from passerelle.contracts.prediction import INPUT
from passerelle.domain.experiment.outcomes import outcomes_of
from passerelle.domain.experiment.reading import Recorded, read_test
from passerelle.domain.project import Project
from passerelle.steps.outcome_files import Labels, read_labels

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Reader:
    """Who reads, where predictions are recorded and where what was read is kept."""

    objects: Objects
    predictions: str
    reports: str


def read_experiment(
    reader: Reader,
    project: Project,
    test: AbTest,
    files: Sequence[Path],
    now: datetime,
    progress: Callable[[int], None] = lambda _: None,
) -> AbReading:
    """Return what the test shows at a moment, UTC; without files of labels it says who met which model.

    Raises InputError naming file and row for labels that cannot be read.
    """
    labels = read_labels(project, files)
    since = datetime.fromisoformat(test.started_at)
    until = min(now, datetime.fromisoformat(test.ended.at)) if test.ended else now
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        paths = fetch_records(reader.objects, reader.predictions, test.project, since, until, folder, progress)
        answers = recorded_answers(paths, _recorded_as(project, test), since, until, folder)
    recorded = _joined(project, test, answers[answers["entity"].notna()], labels)
    days = (until - since).total_seconds() / 86_400
    read_at = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return read_test(test, recorded, days=round(days, 2), read_at=read_at)


def keep_reading(reader: Reader, reading: AbReading) -> str:
    """Write a reading where people find it, and return its URI."""
    key = zones.ab_reading_key(reading.test.project, reading.test.name, reading.read_at)
    reader.objects.write(reader.reports, key, reading.model_dump_json(indent=2).encode())
    return zones.s3_uri(reader.reports, key)


def _recorded_as(project: Project, test: AbTest) -> tuple[str, ...]:
    if test.entity == project.data.entity_id:
        return ("entity_id",)
    return tuple(f"{INPUT}{name.lower()}" for name in test.entity)


def _joined(project: Project, test: AbTest, answers: pd.DataFrame, labels: Labels) -> Recorded:
    found = labels.of(answers)
    known = np.array([label is not None for label in found], dtype=bool)
    told, outcomes = answers[known], np.full(len(found), np.nan)
    outcomes[known] = outcomes_of(
        project,
        test.outcome,
        [label for label in found if label is not None],
        values_of(told["decision"]),
        values_of(told["score"]),
    )
    _, entities = np.unique(answers["entity"].to_numpy(str), return_inverse=True)
    return Recorded(entities=entities, challenger=answers["challenger"].to_numpy(bool), outcomes=outcomes)
