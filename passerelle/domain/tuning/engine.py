"""Where a search runs: in the training job, or as SageMaker tuning jobs with an instance for each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from passerelle.domain.cost.fit_times import FitTime, series
from passerelle.domain.cost.instances import instances
from passerelle.domain.project import Project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import RUNTIME_SHARE
from passerelle.domain.tuning.space import Space, spaces

#: Taken for what an instance needs until a trial's container runs; a job's own is in its SecondaryStatusTransitions.
START_UP_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Engine:
    """The choice and its reason."""

    name: Literal["job", "sagemaker"]
    why: str


def searched(project: Project) -> tuple[Space, ...]:
    """Return the spaces that the project searches, none when it does not tune."""
    tuning = project.training.tuning
    return spaces(tuning.candidates or project.candidates, tuning.overrides()) if tuning else ()


def choose_engine(project: Project, *, rows: int, fits: Sequence[FitTime] | None = None) -> Engine:
    """Return where the project's search runs; `auto` by the measured times of fits of so many rows.

    Parameters
    ----------
    fits : the measured fits, else the recorded ones.
    """
    tuning, found = project.training.tuning, searched(project)
    if tuning is None or not found:
        return Engine("job", "nothing is searched")
    if tuning.engine != "auto":
        return Engine(tuning.engine, f"training.tuning.engine is {tuning.engine}")
    return _by_time(project, tuning, found, rows, fits)


def _by_time(
    project: Project, tuning: Tuning, found: Sequence[Space], rows: int, fits: Sequence[FitTime] | None
) -> Engine:
    instance = next((item for item in instances() if item.instance_type == project.training.instance_type), None)
    lines = [series(space.candidate, project.task.type, "cpu", fits=fits) for space in found]
    known = [line for line in lines if line is not None and line.measured(rows)]
    if instance is None or len(known) < len(found):
        return Engine("job", f"how long trials of {rows:,} rows take there was not measured")
    columns = len(project.feature_columns)
    alone = sum(line.seconds(rows, columns) for line in known) / len(known)
    there = sum(line.seconds(rows, columns, instance.vcpus) for line in known) / len(known)
    in_job = tuning.trials * alone / instance.vcpus
    fleet = math.ceil(tuning.trials / tuning.parallel) * (START_UP_SECONDS + there)
    minutes = RUNTIME_SHARE * project.training.max_runtime_minutes
    limit = 60 * min(minutes, tuning.minutes if tuning.minutes is not None else minutes)
    said = f"{tuning.trials} trials take about {_minutes(in_job)} in the job, which has {_minutes(limit)}"
    if in_job <= limit:
        return Engine("job", said)
    if fleet >= in_job:
        return Engine("job", f"{said}; on {tuning.parallel} instances they would take {_minutes(fleet)}")
    return Engine("sagemaker", f"{said}, and {_minutes(fleet)} on {tuning.parallel} instances")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min"
