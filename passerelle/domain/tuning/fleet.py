"""A search as SageMaker tuning jobs, one per candidate, one after the other: shares of the budget, and their trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from passerelle.contracts.study import OBJECTIVE, TRIAL_REACHED, TRIAL_ROUNDS, Study, TrialRecord
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import End
from passerelle.domain.tuning.space import Space

#: API reference, ResourceLimits: MaxRuntimeInSeconds is at least 120.
LEAST_SECONDS: Final = 120
_STATES: Final[Mapping[str, Literal["finished", "pruned"]]] = {"Completed": "finished", "Stopped": "pruned"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one tuning job may use; `seconds` None is no limit, else `limit` says whose it is."""

    trials: int
    seconds: int | None
    parallel: int
    limit: End = "trials"

    def ended(self, *, trials: int, seconds: float) -> End | None:
        """Return which limit ended the job; None when it failed, or somebody stopped it."""
        if trials >= self.trials:
            return "trials"
        return self.limit if self.seconds is not None and seconds >= self.seconds else None


def share(tuning: Tuning, spent: Study | None, *, jobs_left: int, hourly_usd: float | None) -> Share | str:
    """Return an equal part of what is left of the budget for the next of `jobs_left` tuning jobs, or why there is none.

    A budget in USD is kept by time: so many instances at their price on demand cannot cost more.
    """
    trials = (tuning.trials - (len(spent.trials) if spent else 0)) // jobs_left
    if trials < 1:
        return f"no trial is left for it of {tuning.trials}"
    parallel, limits = min(tuning.parallel, trials), list[tuple[float, End]]()
    if tuning.minutes is not None:
        limits.append(((tuning.minutes * 60 - (spent.seconds if spent else 0.0)) / jobs_left, "minutes"))
    if tuning.usd is not None:
        if not hourly_usd:
            return "no price of this instance is known to keep a budget in USD: give minutes instead of usd"
        left = tuning.usd - ((spent.usd or 0.0) if spent else 0.0)
        limits.append((left / jobs_left / (hourly_usd * parallel) * 3600, "usd"))
    if not limits:
        return Share(trials=trials, seconds=None, parallel=parallel)
    seconds, limit = min(limits)
    if seconds < LEAST_SECONDS:
        what = f"{max(seconds, 0):.0f} s on {parallel} instances are left for it"
        return f"{what} of the budget, and SageMaker runs a tuning job for {LEAST_SECONDS} s or more"
    return Share(trials=trials, seconds=int(seconds), parallel=parallel, limit=limit)


def trial_of(job: Mapping[str, Any], space: Space, *, number: int, begun: datetime) -> TrialRecord:
    """Return the trial of one training job of a tuning job, from its description (DescribeTrainingJob).

    SageMaker gives the last value of each metric, and a trial tells its best score so far.
    """
    told = {item["MetricName"]: item["Value"] for item in job.get("FinalMetricDataList", ())}
    given, score = job["HyperParameters"], told.get(OBJECTIVE)
    state = _STATES.get(job["TrainingJobStatus"]) if score is not None else None
    ended = job.get("TrainingEndTime")
    billed = job.get("BillableTimeInSeconds")
    return TrialRecord(
        number=number,
        candidate=space.candidate,
        params={item.name: item.parse(given[item.name]) for item in space.dimensions},
        state=state or "failed",
        origin="sampled",
        score=score if state else None,
        rounds=round(told.get(TRIAL_ROUNDS, 1)) if state else 1,
        pruned_at=round(told.get(TRIAL_REACHED, 1)) if state == "pruned" else None,
        seconds=float(job.get("TrainingTimeInSeconds") or 0),
        ended_at=(ended - begun).total_seconds() if ended else 0.0,
        error=None if state else job.get("FailureReason") or f"it ended {job['TrainingJobStatus']} without a score",
        job_name=job["TrainingJobName"],
        billable_seconds=None if billed is None else float(billed),
    )


def joined(parts: Sequence[Study]) -> Study:
    """Return the studies of one run as one, in their order, its trials numbered anew."""
    trials: list[TrialRecord] = []
    for part, before in zip(parts, _starts(parts), strict=True):
        trials += [
            trial.model_copy(update={"number": len(trials) + place, "ended_at": before + trial.ended_at})
            for place, trial in enumerate(part.trials)
        ]
    known = [part.usd for part in parts if part.usd is not None]
    whole = parts[0].model_copy(
        update={
            "trials": tuple(trials),
            "seconds": sum(part.seconds for part in parts),
            "usd": sum(known) if len(known) == len(parts) else None,
            "ended_by": parts[-1].ended_by,
        }
    )
    return whole.with_best()


def _starts(parts: Sequence[Study]) -> list[float]:
    return [sum(part.seconds for part in parts[:place]) for place in range(len(parts))]
