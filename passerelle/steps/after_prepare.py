"""What follows accepted data: tuning jobs where the project wants them, then `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from passerelle.contracts.container import PrepareResult, Problem
from passerelle.contracts.study import Study
from passerelle.domain.cost.prices import instance_price
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import Request, RunRef
from passerelle.domain.requests.tuning import tuning_job
from passerelle.domain.tuning.engine import searched
from passerelle.domain.tuning.fleet import Share, joined, share
from passerelle.settings import JobSettings
from passerelle.steps.preparation import job_place


@dataclass(frozen=True, kw_only=True)
class NextTuning:
    """The next tuning job, or (`why_not`) why its candidate is not searched."""

    candidate: str
    number: int
    request: Request | None = None
    why_not: str = ""

    @property
    def problem(self) -> Problem:
        """What the run says where a candidate is not searched."""
        remedy = "Raise trials, minutes or usd of training.tuning in project.yaml, or name fewer candidates there."
        return tuning_problem(f"SageMaker did not search {self.candidate}: {self.why_not}.", remedy)


def next_tuning(
    settings: JobSettings,
    run: RunRef,
    project: Project,
    dataset: PrepareResult,
    *,
    number: int,
    done: Sequence[Study] = (),
) -> NextTuning | None:
    """Return the tuning job of the `number`th candidate; None after the last."""
    found = searched(project)
    if number > len(found):
        return None
    space, part = found[number - 1], share_of(settings, project, number=number, done=done)
    if isinstance(part, str):
        return NextTuning(candidate=space.candidate, number=number, why_not=part)
    request = tuning_job(job_place(settings), run, project, dataset, space, part, number=number)
    return NextTuning(candidate=space.candidate, number=number, request=request)


def share_of(settings: JobSettings, project: Project, *, number: int, done: Sequence[Study]) -> Share | str:
    """Return what the `number`th tuning job may use after those that are done, or why there can be none."""
    if project.training.tuning is None:
        return "the project does not tune any more"
    price = instance_price("SageMaker Training", project.training.instance_type, settings.region)
    return share(
        project.training.tuning,
        joined(done) if done else None,
        jobs_left=max(1, len(searched(project)) - number + 1),
        hourly_usd=price.usd if price else None,
    )


def start_tuning(base: dict[str, Any], following: NextTuning) -> dict[str, Any]:
    """Return what state StartTuning is given."""
    number, candidate = following.number, following.candidate
    return {**base, "status": "tune", "tuning_job": following.request, "tuning_number": number, "candidate": candidate}


def start_training(base: dict[str, Any], job: Request, project: Project) -> dict[str, Any]:
    """Return what state StartTraining is given."""
    return {
        **base,
        "status": "accepted",
        "training_job": job,
        "training_try": 1,
        # 0: spot jobs go on however often they are interrupted.
        "interruptions_allowed": project.training.on_demand_after_interruptions or 0,
    }


def tuning_problem(message: str, remedy: str) -> Problem:
    """Return what a run says of a search that did not come to its end; it goes on without."""
    return Problem(code="tuning", severity="warning", rule="training.tuning", message=message, remedy=remedy)
