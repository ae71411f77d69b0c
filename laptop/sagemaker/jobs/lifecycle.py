"""The life of a job as its description tells it: statuses, transitions, times, events."""

from __future__ import annotations

import json
import math
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
    log_group: str
    event: str
    path: str


TRAINING: Final = JobKind(
    "training-job", "TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "/aws/sagemaker/TrainingJobs",
    "SageMaker Training Job State Change", "training-jobs",
)  # fmt: skip
PROCESSING: Final = JobKind(
    "processing-job", "ProcessingJobName", "ProcessingJobArn", "ProcessingJobStatus", "/aws/sagemaker/ProcessingJobs",
    "SageMaker Processing Job State Change", "processing-jobs",
)  # fmt: skip
TRANSFORM: Final = JobKind(
    "transform-job", "TransformJobName", "TransformJobArn", "TransformJobStatus", "/aws/sagemaker/TransformJobs",
    "SageMaker Transform Job State Change", "transform-jobs",
)  # fmt: skip
TUNING: Final = JobKind(
    "hyper-parameter-tuning-job", "HyperParameterTuningJobName", "HyperParameterTuningJobArn",
    "HyperParameterTuningJobStatus", "", "SageMaker HyperParameter Tuning Job State Change", "tuning-jobs",
)  # fmt: skip


class Lifecycle:
    """Writes what happens to jobs of one kind into the store, and tells EventBridge."""

    def __init__(self, kind: JobKind, store: Store, surroundings: Surroundings) -> None:
        self.kind, self._store, self._surroundings = kind, store, surroundings

    def get(self, name: str) -> Document | None:
        return self._store.get(self.kind.kind, name)

    def change(self, name: str, **fields: Any) -> Document:
        """Set fields of a job; an event is sent when its status or secondary status changes."""
        before = self.get(name) or {}

        def mutate(job: Document) -> None:
            job.update(fields)
            job["LastModifiedTime"] = now()

        job = self._store.update(self.kind.kind, name, mutate)
        watched = (self.kind.status_key, "SecondaryStatus")
        if any(before.get(key) != job.get(key) for key in watched):
            self.emit(job)
        return job

    def secondary(self, name: str, status: str, message: str, **fields: Any) -> Document:
        """Enter a secondary status (training jobs): the last transition ends, a new one begins."""

        def mutate(job: Document) -> None:
            moment = now()
            transitions = job.setdefault("SecondaryStatusTransitions", [])
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1]["EndTime"] = moment
            ended = {"EndTime": moment} if status in (*FINAL, "MaxRuntimeExceeded", "MaxWaitTimeExceeded") else {}
            transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message, **ended})
            job.update(fields)
            job["SecondaryStatus"], job["LastModifiedTime"] = status, moment

        job = self._store.update(self.kind.kind, name, mutate)
        self.emit(job)
        return job

    def emit(self, job: Document) -> None:
        """Send the job's state-change event, its detail as Describe answers."""
        detail = json.loads(json.dumps({key: job[key] for key in job if not key.startswith("_")}, default=plain))
        self._surroundings.put_event(self.kind.event, detail, [job[self.kind.arn_key]])


def billed(seconds: float, *, saving: float = 0.0) -> int:
    """Return billable seconds: whole, at least one."""
    return max(1, math.ceil(seconds * (1.0 - saving)))
