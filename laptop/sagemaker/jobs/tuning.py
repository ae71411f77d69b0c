"""One hyperparameter tuning job: a search proposes, training jobs try (automatic model tuning)."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from laptop.sagemaker.jobs.control import Clock, Control
from laptop.sagemaker.jobs.lifecycle import FINAL, TUNING, Lifecycle
from laptop.sagemaker.jobs.metrics import LogMetrics
from laptop.sagemaker.jobs.search import Search, most_jobs
from laptop.sagemaker.jobs.training import log_file
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

if TYPE_CHECKING:
    from laptop.sagemaker.jobs.service import JobService

POLL_SECONDS: Final = 0.2
IMPROVEMENT: Final = 0.01
#: The quota of a tuning job's run time: 30 days.
MAX_SECONDS: Final = 2_592_000
OBJECTIVE_HYPERPARAMETER: Final = "_tuning_objective_metric"
#: What a training job takes over from the tuning job's definition as it stands.
_TAKEN_OVER: Final = (
    "AlgorithmSpecification", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition", "RoleArn",
    "CheckpointConfig", "EnableManagedSpotTraining", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
    "RetryStrategy", "Environment", "VpcConfig",
)  # fmt: skip
_NUMBER: Final = re.compile(r"-(\d{3,})-[0-9a-f]{8}")
Operation = Callable[[dict[str, Any]], dict[str, Any]]


class TuningRun:
    """Runs one tuning job on the calling thread."""

    def __init__(
        self,
        name: str,
        *,
        create: Operation,
        jobs: JobService,
        settings: LaptopSettings,
        surroundings: Surroundings,
        lifecycle: Lifecycle,
        control: Control,
    ) -> None:
        job = lifecycle.get(name)
        assert job is not None
        self.name, self._job, self._create_job, self._jobs = name, job, create, jobs
        self._lifecycle, self._control = lifecycle, control
        self._config = job["HyperParameterTuningJobConfig"]
        self._objective = self._config["HyperParameterTuningJobObjective"]
        self._sign = 1.0 if self._objective["Type"] == "Maximize" else -1.0
        static = job["TrainingJobDefinition"].get("StaticHyperParameters")
        self._clock, self._search = Clock(name, lifecycle, control), Search(self._config, static)
        self._progress = Progress(job["TrainingJobDefinition"], self._objective["MetricName"], settings)
        self._trials: dict[str, Any] = {}
        self._scores: dict[str, float] = {}
        self._done: Counter[str] = Counter()

    def run(self) -> None:
        """Propose, start, wait, tell, until the limits or a completion rule are reached."""
        started, most = self._recall(), most_jobs(self._config)
        parallel = self._config["ResourceLimits"]["MaxParallelTrainingJobs"]
        while not self._control.closing.is_set():
            self._collect()
            self._stop_hopeless()
            self._clock.save()
            ending = self._control.stop.is_set() or self._is_late() or self._is_good_enough()
            if ending or started >= most:
                if not self._trials:
                    return self._finish("Stopped" if self._control.stop.is_set() else "Completed")
                if ending:
                    for child in self._trials:
                        self._jobs.stop_training_job(child)
            elif len(self._trials) < parallel:
                started += 1
                self._start(started)
                continue
            self._control.closing.wait(POLL_SECONDS)
        return None

    def _recall(self) -> int:
        """Take up the training jobs of an earlier life of the platform; returns the number of the last one."""
        numbered = {
            int(found[1]): job
            for job in self._jobs.children(self._job[TUNING.arn_key])
            if (found := _NUMBER.fullmatch(job["TrainingJobName"].removeprefix(self.name)))
        }
        for _, job in sorted(numbered.items()):
            self._trials[job["TrainingJobName"]] = self._search.recall(job["TunedHyperParameters"])
        return max(numbered, default=0)

    def _is_late(self) -> bool:
        longest = float(self._config["ResourceLimits"].get("MaxRuntimeInSeconds", MAX_SECONDS))
        return self._clock.elapsed > longest

    def _start(self, number: int) -> None:
        trial, tuned = self._search.propose(number)
        definition = self._job["TrainingJobDefinition"]
        unique = hashlib.sha256(f"{self.name}/{number}/{self._job['CreationTime']}".encode()).hexdigest()[:8]
        child = f"{self.name}-{number:03d}-{unique}"
        request = {
            "TrainingJobName": child,
            "HyperParameters": definition.get("StaticHyperParameters", {})
            | tuned
            | {OBJECTIVE_HYPERPARAMETER: self._objective["MetricName"]},
            "TuningJobArn": self._job[TUNING.arn_key],
            "TunedHyperParameters": tuned,
            "Tags": self._jobs.tags(self._job[TUNING.arn_key]),
            **{key: definition[key] for key in _TAKEN_OVER if key in definition},
        }
        if "CheckpointConfig" in request:  # trials must not resume from each other
            uri = request["CheckpointConfig"]["S3Uri"].rstrip("/")
            request["CheckpointConfig"] = request["CheckpointConfig"] | {"S3Uri": f"{uri}/{child}"}
        self._create_job(request)
        self._trials[child] = trial

    def _collect(self) -> None:
        """Learn from the training jobs that have ended, in the order of their ends."""
        jobs = [self._jobs.training_job(child) or {} for child in self._trials]
        ended = [job for job in jobs if job.get("TrainingJobStatus") in FINAL]
        for job in sorted(ended, key=_ended):
            child = job["TrainingJobName"]
            self._done[job["TrainingJobStatus"]] += 1
            score = self._score(job)
            self._report(job, ended=True)
            self._search.tell(self._trials.pop(child), None if score is None else self._sign * score)
            if score is not None:
                self._scores[child] = score
                if "FinalHyperParameterTuningJobObjectiveMetric" in job:  # told before a restart
                    continue
                metric = {"MetricName": self._objective["MetricName"], "Value": score, "Type": self._objective["Type"]}
                self._jobs.change_training_job(child, FinalHyperParameterTuningJobObjectiveMetric=metric)
        self._count()

    def _stop_hopeless(self) -> None:
        """Early stopping and Hyperband: a training job that is behind the others at the same epoch is stopped."""
        for child in self._trials:
            job = self._jobs.training_job(child) or {}
            if job.get("TrainingJobStatus") == "InProgress" and self._report(job):
                self._jobs.stop_training_job(child)

    def _report(self, job: Mapping[str, Any], *, ended: bool = False) -> bool:
        """Tell the search what a training job has printed since the last time; returns whether it is without prospects.

        Each epoch is judged by itself, so that it makes no difference how often the logs are read.
        """
        hopeless = False
        if self._search.stops_early:
            trial = self._trials[job["TrainingJobName"]]
            for epoch, value in self._progress.new_values(job, ended=ended):
                hopeless |= self._search.gives_up(trial, epoch, self._sign * value)
        return hopeless

    def _score(self, job: Mapping[str, Any]) -> float | None:
        found = [
            m["Value"] for m in job.get("FinalMetricDataList", ()) if m["MetricName"] == self._objective["MetricName"]
        ]
        return float(found[-1]) if found and job["TrainingJobStatus"] != "Failed" else None

    def _is_good_enough(self) -> bool:
        criteria = self._config.get("TuningJobCompletionCriteria", {})
        target = criteria.get("TargetObjectiveMetricValue")
        if target is not None and any(self._sign * score >= self._sign * target for score in self._scores.values()):
            return True
        patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        return patience is not None and self._without_progress() >= int(patience)

    def _without_progress(self) -> int:
        """Return how many training jobs, up to the last, "have failed to improve by 1% or greater over prior" ones."""
        best, since = -math.inf, 0
        for score in (self._sign * score for score in self._scores.values()):
            improved = score > best and (best == -math.inf or score - best >= IMPROVEMENT * abs(best))
            best, since = max(best, score), 0 if improved else since + 1
        return since

    def _count(self) -> None:
        fields = counters(self._done, pending=len(self._trials), scored=len(self._scores))
        best = max(self._scores, key=lambda child: self._sign * self._scores[child], default=None)
        if best:
            job = self._jobs.training_job(best) or {}
            keys = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
                    "TrainingJobStatus", "TunedHyperParameters",
                    "FinalHyperParameterTuningJobObjectiveMetric")  # fmt: skip
            fields["BestTrainingJob"] = {key: job[key] for key in keys if key in job}
            fields["BestTrainingJob"]["ObjectiveStatus"] = "Succeeded"
        before = self._lifecycle.get(self.name) or {}
        if any(before.get(key) != value for key, value in fields.items()):
            self._lifecycle.change(self.name, **fields)

    def _finish(self, status: str) -> None:
        if status == "Completed" and not self._scores:
            reason = "All training jobs failed, or none gave the objective metric"
            self._lifecycle.end(self.name, "Failed", FailureReason=reason)
        else:
            self._lifecycle.end(self.name, status)


class Progress:
    """The objective of running training jobs, epoch by epoch: one value of the metric is one epoch."""

    def __init__(self, definition: Mapping[str, Any], metric: str, settings: LaptopSettings) -> None:
        metrics = definition["AlgorithmSpecification"].get("MetricDefinitions", ())
        self._definitions = [item for item in metrics if item["Name"] == metric]
        self._settings = settings
        self._logs: dict[str, tuple[int, LogMetrics]] = {}
        self._epochs: Counter[str] = Counter()

    def new_values(self, job: Mapping[str, Any], *, ended: bool) -> Iterator[tuple[int, float]]:
        """Yield (epoch, value) since the last call; an attempt that began anew begins at epoch 1 again."""
        name, start = job["TrainingJobName"], job.get("_log_start", 0)
        if name not in self._logs or self._logs[name][0] != start:
            self._logs[name] = start, LogMetrics(self._definitions, log_file(self._settings, name), start=start)
            self._epochs[name] = 0
        for _, value in self._logs[name][1].new_values(whole=ended):
            self._epochs[name] += 1
            yield self._epochs[name], value


def _ended(job: Mapping[str, Any]) -> datetime:
    moment = job.get("TrainingEndTime") or job["LastModifiedTime"]
    assert isinstance(moment, datetime)
    return moment


def counters(done: Mapping[str, int], *, pending: int, scored: int) -> dict[str, Any]:
    """Return what a description tells of a tuning job's training jobs, by status and by objective."""
    return {
        "TrainingJobStatusCounters": {
            "Completed": done.get("Completed", 0),
            "InProgress": pending,
            "RetryableError": 0,
            "NonRetryableError": done.get("Failed", 0),
            "Stopped": done.get("Stopped", 0),
        },
        "ObjectiveStatusCounters": {
            "Succeeded": scored,
            "Pending": pending,
            "Failed": sum(done.values()) - scored,
        },
    }
