"""One training job, from Starting to its end, through interruptions (SageMaker's "How SageMaker runs training")."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.containers import Container, LogTarget
from laptop.sagemaker.jobs.control import Clock, Control
from laptop.sagemaker.jobs.failure import REASON_CHARACTERS, failure_reason, read_reason
from laptop.sagemaker.jobs.launch import StartError, image_entrypoint, start_container
from laptop.sagemaker.jobs.lifecycle import TRAINING, Lifecycle
from laptop.sagemaker.jobs.metrics import LogMetrics
from laptop.sagemaker.jobs.rules import below_root
from laptop.sagemaker.jobs.transfer import (
    Cancelled,
    CheckpointSync,
    TransferError,
    act_as,
    download_prefix,
    join_uri,
    upload_archive,
)
from laptop.sagemaker.store import Document
from laptop.settings import LaptopSettings
from laptop.surroundings import MetricDatum, Surroundings

#: A drawn interruption comes this long after the start of training, in seconds.
INTERRUPTION_WINDOW: Final = (0.5, 4.0)


def log_file(settings: LaptopSettings, name: str) -> Path:
    """Return the file that keeps what a training job has printed, over all its attempts."""
    return settings.sagemaker_home / TRAINING.path / name / "log.txt"


class TrainingRun:
    """Runs one training job on the calling thread."""

    def __init__(
        self,
        name: str,
        *,
        settings: LaptopSettings,
        surroundings: Surroundings,
        lifecycle: Lifecycle,
        control: Control,
    ) -> None:
        self.name, self._settings, self._surroundings = name, settings, surroundings
        self._lifecycle, self._control = lifecycle, control
        job = lifecycle.get(name)
        assert job is not None
        self._job: Document = job
        self._log = log_file(settings, name)
        self._base = self._log.parent / "opt" / "ml"
        self._clock = Clock(name, lifecycle, control)

    @property
    def _spot(self) -> bool:
        return bool(self._job.get("EnableManagedSpotTraining"))

    def run(self) -> None:
        """Run until the job has its final status, or the platform closes."""
        while self._attempt() == "interrupted":
            message = "Spot instance reclaimed; the job restarts from its checkpoint"
            self._lifecycle.secondary(self.name, "Interrupted", message, TrainingJobStatus="InProgress")
            self._control.interrupt.clear()

    def _attempt(self) -> str:
        """One go on one instance; returns how it ended."""
        self._say("Starting", "Launching requested ML instances")
        if self._control.ended.wait(self._settings.launch_seconds):
            return self._leave()
        if self._wait_exceeded():
            return self._finish("Stopped", "MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds")
        self._clock.instance_starts()
        checkpoints = self._checkpoints()
        try:
            start = {} if "TrainingStartTime" in self._job else {"TrainingStartTime": now()}
            self._job = self._say("Downloading", "Downloading input data", **start)
            self._lay_out(checkpoints)
            container = self._start()
        except Cancelled:
            return self._leave()
        except (TransferError, StartError) as error:
            return self._fail(str(error))
        try:
            if checkpoints:
                checkpoints.begin(container.say)
            end = self._watch(container)
        finally:  # whatever happens here, no container goes on without its job
            container.signal_group(signal.SIGKILL)
            if checkpoints:
                checkpoints.finish()
        return self._conclude(end, container)

    def _say(self, status: str, message: str, **fields: Any) -> Document:
        return self._lifecycle.secondary(self.name, status, message, TrainingJobStatus="InProgress", **fields)

    def _leave(self) -> str:
        """End before the container has started: the job was stopped, or the platform closes."""
        if self._control.closing.is_set():
            self._clock.instance_ends()
            return "closing"
        return self._finish("Stopped", "Stopped", "Training job stopped")

    def _s3(self) -> Any:
        """Return S3 as the job's role sees it: SageMaker copies in its name."""
        return act_as(self._surroundings, self._job["RoleArn"])

    # Before the container

    def _checkpoints(self) -> CheckpointSync | None:
        config = self._job.get("CheckpointConfig")
        if not config:
            return None
        local = below_root(config.get("LocalPath", "/opt/ml/checkpoints"))
        return CheckpointSync(self._s3, self._base / local, config["S3Uri"])

    def _lay_out(self, checkpoints: CheckpointSync | None) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        for part in ("input/config", "input/data", "model", "output/data", "output"):
            (self._base / part).mkdir(parents=True, exist_ok=True)
        self._write_config()
        cancelled = self._control.ended.is_set
        for channel in self._job.get("InputDataConfig", ()):
            target = self._base / "input" / "data" / channel["ChannelName"]
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            download_prefix(self._s3(), uri, target, cancelled=cancelled)
        if checkpoints:
            checkpoints.restore(cancelled=cancelled)
        if cancelled():
            raise Cancelled

    def _write_config(self) -> None:
        config = self._base / "input" / "config"
        channels = {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", "File"),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in self._job.get("InputDataConfig", ())
        }
        resources = {
            "current_host": "algo-1",
            "hosts": ["algo-1"],
            "network_interface_name": "lo",
            "current_instance_type": self._job.get("ResourceConfig", {}).get("InstanceType"),
        }
        documents = {
            "hyperparameters.json": self._job.get("HyperParameters", {}),
            "inputdataconfig.json": channels,
            "resourceconfig.json": resources,
        }
        for name, document in documents.items():
            (config / name).write_text(json.dumps(document), encoding="utf-8")

    def _start(self) -> Container:
        """Start the image's command.

        Raises StartError.
        """
        algorithm = self._job["AlgorithmSpecification"]
        image = image_entrypoint(self._settings, algorithm["TrainingImage"])
        arguments = algorithm.get("ContainerArguments") or ()
        # An entrypoint of the request "takes precedence over the default train processing instructions".
        entrypoint = algorithm.get("ContainerEntrypoint") or (*image, *(() if arguments else ("train",)))
        extra = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self._job["TrainingJobArn"]}
        self._say("Training", "Training image download completed. Training in progress.")
        if "CheckpointConfig" not in self._job:  # this attempt begins from nothing: what the last one printed is void
            self._lifecycle.note(self.name, _log_start=self._log.stat().st_size if self._log.exists() else 0)
        return start_container(
            [*entrypoint, *arguments],
            base=self._base,
            environment=extra | self._job.get("Environment", {}),
            log=LogTarget(TRAINING.log_group, f"{self.name}/algo-1-{int(time.time())}", self._log),
            settings=self._settings,
            surroundings=self._surroundings,
            role=self._job["RoleArn"],
            isolated=bool(self._job.get("EnableNetworkIsolation")),
        )

    # While it runs

    def _watch(self, container: Container) -> str:
        """Wait for the container's end or for a reason to end it; returns exited, interrupted, stopped, …"""
        drawn = self._drawn_interruption()
        while container.wait(0.1) is None:
            self._clock.save()
            reason = self._reason_to_end(drawn)
            if reason == "closing":
                container.signal_group(signal.SIGKILL)
                container.wait()
            elif reason:
                container.stop(self._settings.stop_grace_seconds, hurry=self._control.closing)
            if reason:
                return "closing" if self._control.closing.is_set() else reason
        return "exited"

    def _reason_to_end(self, drawn: float | None) -> str | None:
        longest = self._job["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        reasons = {
            "closing": self._control.closing.is_set(),
            "stopped": self._control.stop.is_set(),
            "interrupted": self._control.interrupt.is_set() or (drawn is not None and time.monotonic() > drawn),
            "max_runtime": self._clock.on_instance > longest,
            "max_wait": self._wait_exceeded(),
        }
        return next((reason for reason, given in reasons.items() if given), None)

    def _drawn_interruption(self) -> float | None:
        """Return when the seeded draw takes the instance away: at most once a job."""
        job = self._lifecycle.get(self.name) or {}
        earlier = [part for part in job.get("SecondaryStatusTransitions", ()) if part["Status"] == "Interrupted"]
        if not self._spot or earlier:
            return None
        seed = hashlib.sha256(f"{self._settings.seed}/{self.name}".encode()).hexdigest()
        generator = random.Random(seed)
        if generator.random() >= self._settings.spot_interruption_rate:
            return None
        return time.monotonic() + generator.uniform(*INTERRUPTION_WINDOW)

    def _wait_exceeded(self) -> bool:
        """MaxWait is the time for capacity and for running together, over all attempts."""
        wait = self._job["StoppingCondition"].get("MaxWaitTimeInSeconds")
        return wait is not None and self._clock.elapsed > wait

    # After it

    def _conclude(self, end: str, container: Container) -> str:
        if end in ("interrupted", "closing"):
            self._clock.instance_ends()
            return end
        self._send_metrics()
        if end == "exited" and container.returncode != 0:
            written = read_reason(self._base / "output" / "failure")
            return self._fail(failure_reason("AlgorithmError", container.returncode or 0, written, container.tail))
        try:
            self._upload()
        except TransferError as error:
            return self._fail(str(error))
        ends = {
            "exited": ("Completed", "Completed", "Training job completed"),
            "stopped": ("Stopped", "Stopped", "Training job stopped"),
            "max_runtime": (
                "Stopped",
                "MaxRuntimeExceeded",
                "Training job runtime exceeded MaxRuntimeInSeconds provided",
            ),
            "max_wait": ("Stopped", "MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds provided"),
        }
        return self._finish(*ends[end])

    def _upload(self) -> None:
        self._lifecycle.secondary(self.name, "Uploading", "Uploading generated training model")
        output = join_uri(self._job["OutputDataConfig"]["S3OutputPath"], self.name, "output")
        s3 = self._s3()
        if upload_archive(s3, self._base / "model", f"{output}/model.tar.gz"):
            self._lifecycle.change(self.name, ModelArtifacts={"S3ModelArtifacts": f"{output}/model.tar.gz"})
        upload_archive(s3, self._base / "output" / "data", f"{output}/output.tar.gz")

    def _send_metrics(self) -> None:
        """Read the MetricDefinitions out of the log; the last value of each is the final one."""
        definitions = self._job["AlgorithmSpecification"].get("MetricDefinitions", ())
        if not definitions:
            return
        start = (self._lifecycle.get(self.name) or {}).get("_log_start", 0)
        last = dict(LogMetrics(definitions, self._log, start=start).new_values())
        final = [{"MetricName": name, "Value": value, "Timestamp": now()} for name, value in last.items()]
        self._lifecycle.change(self.name, FinalMetricDataList=final)
        namespace, where = TRAINING.log_group, {"TrainingJobName": self.name}
        self._surroundings.put_metrics(
            [
                MetricDatum(name=name, value=value, unit="None", dimensions=where, namespace=namespace)
                for name, value in last.items()
            ]
        )

    def _fail(self, reason: str) -> str:
        if self._control.closing.is_set():  # what goes wrong while the platform goes down is not the job's failure
            return self._leave()
        reason = reason[:REASON_CHARACTERS]
        return self._finish("Failed", "Failed", reason, FailureReason=reason)

    def _finish(self, status: str, secondary: str, message: str, **fields: Any) -> str:
        self._clock.instance_ends()
        self._lifecycle.end(self.name, status, secondary=secondary, message=message, **fields)
        shutil.rmtree(self._base, ignore_errors=True)
        return status
