"""The life of a job as its description tells it: statuses, transitions, times, events."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.store import Document, Store
from laptop.surroundings import Surroundings

FINAL: Final = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class JobKind:
    """What differs between the kinds of jobs."""

    kind: str
    name_key: str
    arn_key: str
    status_key: str
    end_key: str
    log_group: str
    event: str
    path: str


TRAINING: Final = JobKind(
    "training-job", "TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "TrainingEndTime",
    "/aws/sagemaker/TrainingJobs", "SageMaker Training Job State Change", "training-jobs",
)  # fmt: skip
PROCESSING: Final = JobKind(
    "processing-job", "ProcessingJobName", "ProcessingJobArn", "ProcessingJobStatus", "ProcessingEndTime",
    "/aws/sagemaker/ProcessingJobs", "SageMaker Processing Job State Change", "processing-jobs",
)  # fmt: skip
TRANSFORM: Final = JobKind(
    "transform-job", "TransformJobName", "TransformJobArn", "TransformJobStatus", "TransformEndTime",
    "/aws/sagemaker/TransformJobs", "SageMaker Transform Job State Change", "transform-jobs",
)  # fmt: skip
TUNING: Final = JobKind(
    "hyper-parameter-tuning-job", "HyperParameterTuningJobName", "HyperParameterTuningJobArn",
    "HyperParameterTuningJobStatus", "HyperParameterTuningEndTime",
    "", "SageMaker HyperParameter Tuning Job State Change", "tuning-jobs",
)  # fmt: skip


class Lifecycle:
    """Writes what happens to jobs of one kind into the store, and tells EventBridge.

    A status never goes back: what has ended stays so, and what is being stopped does not start again.
    """

    def __init__(self, kind: JobKind, store: Store, surroundings: Surroundings, *, spot_saving: float = 0.0) -> None:
        self.kind, self._store, self._surroundings = kind, store, surroundings
        self._spot_saving = spot_saving

    def get(self, name: str) -> Document | None:
        return self._store.get(self.kind.kind, name)

    def change(self, name: str, **fields: Any) -> Document:
        """Set fields of a job; an event is sent when its status changes."""
        key = self.kind.status_key

        def mutate(job: Document) -> None:
            if self._goes_back(job, fields.get(key)):
                fields.pop(key)
            job.update(fields)
            job["LastModifiedTime"] = now()

        return self._written(name, mutate)

    def note(self, name: str, **fields: Any) -> None:
        """Keep what only the service itself needs: nothing that a description shows changes."""
        self._store.update(self.kind.kind, name, lambda job: job.update(fields))

    def secondary(self, name: str, status: str, message: str, **fields: Any) -> Document:
        """Enter a secondary status (training jobs): the last transition ends, a new one begins."""

        def mutate(job: Document) -> None:
            if job[self.kind.status_key] in FINAL or self._goes_back(job, fields.get(self.kind.status_key)):
                return
            _enter(job, status, message)
            job.update(fields)

        return self._written(name, mutate)

    def stopping(self, name: str) -> str:
        """Enter Stopping, unless the job has ended or is stopping already; returns the status that it had."""
        had: list[str] = []

        def mutate(job: Document) -> None:
            had.append(job[self.kind.status_key])
            if had[0] in (*FINAL, "Stopping"):
                return
            job[self.kind.status_key] = "Stopping"
            job["LastModifiedTime"] = now()
            if self.kind is TRAINING:
                _enter(job, "Stopping", "Stopping the training job")

        self._written(name, mutate)
        return had[0]

    def end(self, name: str, status: str, *, secondary: str = "", message: str = "", **fields: Any) -> Document:
        """Give a job its final status and its end time; a training job also its last transition and its seconds."""
        job = self.get(name) or {}
        if job.get(self.kind.status_key) in FINAL:
            return job
        fields |= {self.kind.status_key: status, self.kind.end_key: now()}
        if self.kind is not TRAINING:
            return self.change(name, **fields)
        if "TrainingStartTime" in job:  # a job that never had an instance costs nothing
            seconds = float(job.get("_billed_seconds", 0.0))
            saving = self._spot_saving if job.get("EnableManagedSpotTraining") else 0.0
            fields["TrainingTimeInSeconds"] = billed(seconds)
            fields["BillableTimeInSeconds"] = billed(seconds, saving=saving)
        return self.secondary(name, secondary or status, message, **fields)

    def _goes_back(self, job: Document, status: str | None) -> bool:
        had = job[self.kind.status_key]
        return status is not None and (
            (had in FINAL and status != had) or (had == "Stopping" and status == "InProgress")
        )

    def _written(self, name: str, mutate: Callable[[Document], None]) -> Document:
        """Change the job in the store; an event follows when a watched status is another than before."""
        watched = (self.kind.status_key, "SecondaryStatus")
        before: list[Any] = []

        def step(job: Document) -> None:
            before.extend(job.get(key) for key in watched)
            mutate(job)

        job = self._store.update(self.kind.kind, name, step)
        if before != [job.get(key) for key in watched]:
            self.emit(job)
        return job

    def emit(self, job: Document) -> None:
        """Send the job's state-change event, its detail as Describe answers."""
        detail = json.loads(json.dumps({key: job[key] for key in job if not key.startswith("_")}, default=plain))
        self._surroundings.put_event(self.kind.event, detail, [job[self.kind.arn_key]])


def _enter(job: Document, status: str, message: str) -> None:
    moment = now()
    transitions = job.setdefault("SecondaryStatusTransitions", [])
    if transitions and "EndTime" not in transitions[-1]:
        transitions[-1]["EndTime"] = moment
    ended = {"EndTime": moment} if status in (*FINAL, "MaxRuntimeExceeded", "MaxWaitTimeExceeded") else {}
    transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message, **ended})
    job["SecondaryStatus"], job["LastModifiedTime"] = status, moment


def billed(seconds: float, *, saving: float = 0.0) -> int:
    """Return billable seconds: whole, at least one."""
    return max(1, math.ceil(seconds * (1.0 - saving)))
