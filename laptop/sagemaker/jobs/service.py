"""The jobs' operations: Create, Describe, List, Stop for training, processing, transform and tuning jobs."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.errors import SageMakerError, in_use, invalid, not_found
from laptop.sagemaker.jobs.control import Control
from laptop.sagemaker.jobs.lifecycle import FINAL, PROCESSING, TRAINING, TRANSFORM, TUNING, JobKind, Lifecycle
from laptop.sagemaker.jobs.processing import ProcessingRun
from laptop.sagemaker.jobs.rules import check_processing, check_training, check_transform
from laptop.sagemaker.jobs.search import check_tuning
from laptop.sagemaker.jobs.training import TrainingRun
from laptop.sagemaker.jobs.transform import TransformRun
from laptop.sagemaker.jobs.tuning import TuningRun, counters
from laptop.sagemaker.listing import list_page
from laptop.sagemaker.store import Document, KeyExistsError, Store
from laptop.sagemaker.tags import Tags, check_tags
from laptop.sagemaker.validation import service_model
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
Operation = Callable[[dict[str, Any]], dict[str, Any]]
RETRY_SECONDS: Final = 1.0
#: What a description of a training job tells even if the request did not.
_TRAINING_DEFAULTS: Final[Document] = {
    "HyperParameters": {},
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
_OBJECTIVE: Final = "FinalHyperParameterTuningJobObjectiveMetric"

_CHECKS: Final[dict[str, Callable[[Mapping[str, Any]], None]]] = {
    TRAINING.kind: check_training,
    PROCESSING.kind: check_processing,
    TRANSFORM.kind: check_transform,
    TUNING.kind: check_tuning,
}
_WORDS: Final = {
    TRAINING.kind: "training job",
    PROCESSING.kind: "processing job",
    TRANSFORM.kind: "transform job",
    TUNING.kind: "hyperparameter tuning job",
}
_OPERATIONS: Final = {
    TRAINING.kind: ("TrainingJob", "TrainingJobs", "TrainingJobSummaries"),
    PROCESSING.kind: ("ProcessingJob", "ProcessingJobs", "ProcessingJobSummaries"),
    TRANSFORM.kind: ("TransformJob", "TransformJobs", "TransformJobSummaries"),
    TUNING.kind: ("HyperParameterTuningJob", "HyperParameterTuningJobs", "HyperParameterTuningJobSummaries"),
}


class JobService:
    """Every job of the laptop; each runs on a thread of its own, at most twice the cores at once."""

    def __init__(self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags) -> None:
        self._settings, self._surroundings, self._store, self._tags = settings, surroundings, store, tags
        self._lifecycles = {
            kind.kind: Lifecycle(kind, store, surroundings, spot_saving=settings.spot_saving)
            for kind in (TRAINING, PROCESSING, TRANSFORM, TUNING)
        }
        self._controls: dict[tuple[str, str], Control] = {}
        self._futures: dict[tuple[str, str], Future[None]] = {}
        self._lock, self._closing = threading.Lock(), False
        self._pool = ThreadPoolExecutor(2 * (os.cpu_count() or 2), thread_name_prefix="sagemaker-job")
        # A tuning job waits for its training jobs, so it must not take their place.
        self._tuners = ThreadPoolExecutor(8, thread_name_prefix="sagemaker-tuning")

    def operations(self) -> dict[str, Operation]:
        table: dict[str, Operation] = {}
        for kind in (TRAINING, PROCESSING, TRANSFORM, TUNING):
            one, many, key = _OPERATIONS[kind.kind]
            table[f"Create{one}"] = self._bound(self._create, kind)
            table[f"Describe{one}"] = self._bound(self._describe, kind)
            table[f"Stop{one}"] = self._bound(self._stop, kind)
            table[f"List{many}"] = self._bound(self._list, kind, key)
        table["ListTrainingJobsForHyperParameterTuningJob"] = self._children
        return table

    def _bound(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> Operation:
        return lambda request: function(request, *arguments)

    def start(self) -> None:
        """Go on with every job that had not ended when the platform stopped or died."""
        for kind in (TRAINING, PROCESSING, TRANSFORM, TUNING):
            for job in self._store.all(kind.kind):
                if job[kind.status_key] == "Stopping" and kind is not TUNING:  # its process died with the platform
                    self._lifecycles[kind.kind].end(job[kind.name_key], "Stopped", message="The job was stopped")
                elif job[kind.status_key] not in FINAL:
                    self._launch(kind, job[kind.name_key])

    def close(self) -> None:
        """Kill every container; unfinished jobs stay unfinished in the store."""
        with self._lock:  # a tuning job may be starting a training job at this very moment
            self._closing = True
            for control in self._controls.values():
                control.close()
        self._tuners.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def interrupt(self, job_name: str) -> None:
        """Order a spot interruption.

        Raises SageMakerError when there is no such running job, or it is not on spot.
        """
        job = self._store.get(TRAINING.kind, job_name)
        if job is None:
            raise not_found(f"Requested resource not found: training job {job_name}")
        if not job.get("EnableManagedSpotTraining"):
            raise invalid(f"Training job {job_name} does not run on managed spot; nothing can be reclaimed")
        control = self._controls.get((TRAINING.kind, job_name))
        if control is None or job.get("SecondaryStatus") != "Training":
            raise invalid(
                f"Training job {job_name} is {job.get('SecondaryStatus')}; only one in Training can lose its instance"
            )
        control.interrupt.set()

    def running(self) -> list[str]:
        """Return the names of jobs at work."""
        with self._lock:
            return sorted(name for _, name in self._controls)

    # Operations

    def _create(self, request: dict[str, Any], kind: JobKind) -> dict[str, Any]:
        name = request[kind.name_key]
        _CHECKS[kind.kind](request)
        check_tags(request.get("Tags", []))
        if kind is TRANSFORM and self._store.get("model", request["ModelName"]) is None:
            raise invalid(f'Could not find model "{arn(self._settings, "model", request["ModelName"])}".')
        identity, moment = arn(self._settings, kind.kind, name), now()
        job: Document = {key: value for key, value in request.items() if key != "Tags"}
        job |= {
            kind.arn_key: identity,
            kind.status_key: "InProgress",
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }
        if kind is TRAINING:
            job["SecondaryStatus"] = "Starting"
            job = _TRAINING_DEFAULTS | job
        if kind is TUNING:
            job |= counters(Counter(), pending=0, scored=0)
        try:
            self._store.create(kind.kind, name, job)
        except KeyExistsError as error:
            words = _WORDS[kind.kind]
            raise in_use(
                f"{words.capitalize()} names must be unique within an AWS account and region, "
                f"and a {words} with this name already exists ({identity})"
            ) from error
        self._tags.set_at_creation(identity, request.get("Tags", []))
        self._lifecycles[kind.kind].emit(job)
        self._launch(kind, name)
        return {kind.arn_key: identity}

    def _describe(self, request: dict[str, Any], kind: JobKind) -> dict[str, Any]:
        job = self._need(request, kind)
        known = service_model().operation_model(f"Describe{_OPERATIONS[kind.kind][0]}").output_shape.members
        return {key: value for key, value in job.items() if key in known}

    def _need(self, request: dict[str, Any], kind: JobKind) -> Document:
        name = request[kind.name_key]
        job = self._store.get(kind.kind, name)
        if job is None:
            # Training jobs answer ValidationException as well (API reference, Common errors).
            raise (
                invalid("Requested resource not found.")
                if kind is TRAINING
                else not_found(f"Could not find requested job with name: {name}")
            )
        return job

    def _stop(self, request: dict[str, Any], kind: JobKind) -> dict[str, Any]:
        self._need(request, kind)
        name = request[kind.name_key]
        status = self._lifecycles[kind.kind].stopping(name)
        if status in (*FINAL, "Stopping"):
            words = _WORDS[kind.kind]
            raise invalid(f"The request was rejected because the {words} is in status {status}.")
        with self._lock:
            control, future = self._controls.get((kind.kind, name)), self._futures.get((kind.kind, name))
        if control:
            control.ask_stop()
        if future and future.cancel():  # it was still waiting for its turn
            self._forget(kind, name)
            self._lifecycles[kind.kind].end(name, "Stopped", message="The job was stopped before it started")
        return {}

    def _list(self, request: dict[str, Any], kind: JobKind, result_key: str) -> dict[str, Any]:
        keys = [kind.name_key, kind.arn_key, kind.status_key, "CreationTime", "LastModifiedTime", "FailureReason"]
        keys += {
            TRAINING.kind: ["TrainingEndTime", "SecondaryStatus"],
            PROCESSING.kind: ["ProcessingEndTime", "ExitMessage"],
            TRANSFORM.kind: ["TransformEndTime"],
            TUNING.kind: ["HyperParameterTuningEndTime", "Strategy", "TrainingJobStatusCounters",
                          "ObjectiveStatusCounters", "ResourceLimits"],
        }[kind.kind]  # fmt: skip
        if kind in (TRAINING, TUNING):
            keys.remove("FailureReason")
        jobs = self._store.all(kind.kind)
        if any(request.get(filter_) for filter_ in ("WarmPoolStatusEquals", "TrainingPlanArnEquals")):
            jobs = []  # the laptop has neither warm pools nor training plans
        if kind is TUNING:
            config = "HyperParameterTuningJobConfig"
            jobs = [job | {key: job[config][key] for key in ("Strategy", "ResourceLimits")} for job in jobs]
        return list_page(
            jobs,
            request,
            result_key=result_key,
            name_key=kind.name_key,
            status_key=kind.status_key,
            summary_keys=keys,
        )

    def _children(self, request: dict[str, Any]) -> dict[str, Any]:
        jobs = self.children(self._need(request, TUNING)[TUNING.arn_key])
        if request.get("SortBy") == "FinalObjectiveMetricValue":
            # "any training jobs that did not return an objective metric are not listed"
            jobs = [job | {"_score": job[_OBJECTIVE]["Value"]} for job in jobs if _OBJECTIVE in job]
        keys = ["TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
                "TrainingJobStatus", "TunedHyperParameters", "FailureReason", _OBJECTIVE]  # fmt: skip
        return list_page(
            jobs,
            {"SortBy": "Name", "SortOrder": "Ascending", **request},
            result_key="TrainingJobSummaries",
            name_key="TrainingJobName",
            status_key="TrainingJobStatus",
            summary_keys=keys,
            sort_keys={"FinalObjectiveMetricValue": "_score"},
        )

    # Running

    def _launch(self, kind: JobKind, name: str) -> None:
        control = Control()
        pool = self._tuners if kind is TUNING else self._pool
        with self._lock:
            if self._closing:  # it is stored, and starts with the platform
                return
            self._controls[(kind.kind, name)] = control
            self._futures[(kind.kind, name)] = pool.submit(self._run, kind, name, control)

    def _forget(self, kind: JobKind, name: str) -> None:
        with self._lock:
            self._controls.pop((kind.kind, name), None)
            self._futures.pop((kind.kind, name), None)

    def _run(self, kind: JobKind, name: str, control: Control) -> None:
        try:
            if control.closing.is_set():
                return
            if (self._lifecycles[kind.kind].get(name) or {})[kind.status_key] == "Stopping":
                control.ask_stop()  # before this thread was there to hear it
            self._work(kind, name, control)
        except Exception as error:  # a defect here must end the job, not leave it InProgress for ever
            LOG.exception("%s %s", kind.kind, name)
            self._give_up(kind, name, control, f"InternalServerError: {type(error).__name__}: {error}"[:1024])
        finally:
            self._forget(kind, name)

    def _work(self, kind: JobKind, name: str, control: Control) -> None:
        lifecycle = self._lifecycles[kind.kind]
        shared: dict[str, Any] = {
            "settings": self._settings,
            "surroundings": self._surroundings,
            "lifecycle": lifecycle,
            "control": control,
        }
        if kind is TRAINING:
            TrainingRun(name, **shared).run()
        elif kind is PROCESSING:
            ProcessingRun(name, **shared).run()
        elif kind is TRANSFORM:
            model = self._store.get("model", (lifecycle.get(name) or {})["ModelName"])
            TransformRun(name, model=model, **shared).run()
        else:
            TuningRun(name, create=self.operations()["CreateTrainingJob"], jobs=self, **shared).run()

    def _give_up(self, kind: JobKind, name: str, control: Control, reason: str) -> None:
        """End a job as failed; while even that cannot be written (a full disk), try again."""
        while not control.closing.is_set():
            try:
                job = self._lifecycles[kind.kind].end(name, "Failed", message=reason, FailureReason=reason)
                for child in self.children(job[TUNING.arn_key]) if kind is TUNING else ():
                    self.stop_training_job(child["TrainingJobName"])
                return
            except sqlite3.Error:
                LOG.exception("the end of %s %s cannot be written down", kind.kind, name)
                control.closing.wait(RETRY_SECONDS)

    def training_job(self, name: str) -> Document | None:
        """Return a training job's document."""
        return self._store.get(TRAINING.kind, name)

    def tags(self, tuning_job_arn: str) -> list[dict[str, str]]:
        """Return a tuning job's tags, which "are also added to all training jobs that the tuning job launches"."""
        return list(self._tags.list({"ResourceArn": tuning_job_arn})["Tags"])

    def children(self, tuning_job_arn: str) -> list[Document]:
        """Return the training jobs that a tuning job has started."""
        return [job for job in self._store.all(TRAINING.kind) if job.get("TuningJobArn") == tuning_job_arn]

    def change_training_job(self, name: str, **fields: Any) -> None:
        """Set fields of a training job (its tuning job does)."""
        self._lifecycles[TRAINING.kind].change(name, **fields)

    def stop_training_job(self, name: str) -> None:
        """Stop a training job if it runs."""
        job = self.training_job(name)
        if job and job["TrainingJobStatus"] == "InProgress":
            with contextlib.suppress(SageMakerError):  # it may have ended by itself
                self._stop({"TrainingJobName": name}, TRAINING)
