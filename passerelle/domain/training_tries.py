"""Where a training job is tried next when AWS has no instance for it, or takes spot instances away too often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from passerelle.domain.project.training import Training

#: How a FailureReason begins when it is AWS that lacks something, not the job: capacity now, or the account's quota.
CAPACITY: Final = ("CapacityError", "InsufficientCapacity", "ResourceLimitExceeded")
#: SecondaryStatus of a spot job that waited in vain (API reference, DescribeTrainingJob).
WAITED_IN_VAIN: Final = "MaxWaitTimeExceeded"


@dataclass(frozen=True)
class TrainingTry:
    """One job of a run's training: the first is number 1."""

    number: int
    instance_type: str
    spot: bool

    @property
    def suffix(self) -> str:
        """What the job's name ends with: a name can be used once."""
        return "" if self.number == 1 else f"-{self.number}"


def first_try(training: Training) -> TrainingTry:
    """Return where training starts."""
    return TrainingTry(1, training.instance_type, training.spot)


def try_of(job: dict[str, Any], number: int) -> TrainingTry:
    """Return what a job's description or request says of its try."""
    return TrainingTry(number, job["ResourceConfig"]["InstanceType"], bool(job.get("EnableManagedSpotTraining")))


def next_try(training: Training, tried: TrainingTry, job: dict[str, Any]) -> TrainingTry | None:
    """Return where to try again, None when the job's own failure or the end of the list is reached.

    Without capacity or quota: the next of `fallback_instance_types`. After `on_demand_after_interruptions`
    interruptions, or after waiting in vain, or at the end of the list: on demand, where the project allows it.
    """
    on_demand = tried.spot and training.on_demand_after_interruptions is not None
    if job["TrainingJobStatus"] == "Failed" and str(job.get("FailureReason", "")).startswith(CAPACITY):
        types = training.instance_types
        later = types[types.index(tried.instance_type) + 1 :] if tried.instance_type in types else ()
        if later:
            return TrainingTry(tried.number + 1, later[0], tried.spot)
        return TrainingTry(tried.number + 1, training.instance_type, False) if on_demand else None
    if job["TrainingJobStatus"] == "Stopped" and on_demand:
        waited = job.get("SecondaryStatus") == WAITED_IN_VAIN
        if waited or interruptions(job) >= (training.on_demand_after_interruptions or 1):
            return TrainingTry(tried.number + 1, tried.instance_type, False)
    return None


def once_more(tried: TrainingTry) -> TrainingTry:
    """Return the same try under a new name: it goes on from the checkpoints of the one that failed."""
    return TrainingTry(tried.number + 1, tried.instance_type, tried.spot)


def interruptions(job: dict[str, Any]) -> int:
    """Return how often a spot job lost its instance."""
    return sum(part["Status"] == "Interrupted" for part in job.get("SecondaryStatusTransitions", ()))
