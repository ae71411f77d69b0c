"""One training job, from Starting to its end, through interruptions (SageMaker's "How SageMaker runs training")."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.containers import (
    Container,
    LogTarget,
    container_environment,
    image_command,
    local_command,
)
from laptop.sagemaker.jobs.lifecycle import TRAINING, Lifecycle, billed
from laptop.sagemaker.jobs.transfer import CheckpointSync, TransferError, download_prefix, upload_archive
from laptop.sagemaker.store import Document
from laptop.settings import LaptopSettings
from laptop.surroundings import MetricDatum, Surroundings

#: The first 1,024 characters of /opt/ml/output/failure become FailureReason.
REASON_CHARACTERS: Final = 1_024
#: A drawn interruption comes this long after the start of training, in seconds.
INTERRUPTION_WINDOW: Final = (0.5, 4.0)


@dataclass
class Control:
    """What may be asked of a running job from outside its thread."""

    stop: threading.Event = field(default_factory=threading.Event)
    interrupt: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)


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
        self._folder = settings.sagemaker_home / TRAINING.path / name
        self._base = self._folder / "opt" / "ml"
        self._started = time.monotonic()
        # A restart of the platform goes on where the clock stood.
        self._billed = float(job.get("_billed_seconds", 0.0))

    @property
    def _spot(self) -> bool:
        return bool(self._job.get("EnableManagedSpotTraining"))

    def run(self) -> None:
        """Run until the job has its final status, or the platform closes."""
        while True:
            outcome = self._attempt()
            if outcome != "interrupted" or self._control.closing.is_set():
                return
            message = "Spot instance reclaimed; the job restarts from its checkpoint"
            self._lifecycle.secondary(self.name, "Interrupted", message)
            self._control.interrupt.clear()

    def _attempt(self) -> str:
        """One go on one instance; returns how it ended."""
        self._say("Starting", "Launching requested ML instances")
        if self._control.stop.wait(self._settings.launch_seconds):
            return self._finish_stopped("Stopped", "Training job stopped")
        if self._wait_exceeded():
            return self._finish_stopped("MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds")
        began = time.monotonic()
        checkpoints = self._checkpoints()
        try:
            self._say("Downloading", "Downloading input data")
            self._lay_out(checkpoints)
        except TransferError as error:
            return self._fail(str(error), time.monotonic() - began)
        command = self._command()
        if command is None:
            image = self._job["AlgorithmSpecification"].get("TrainingImage")
            known = ", ".join(self._settings.images)
            reason = f"ClientError: Cannot pull the image {image}: unknown on the laptop, which has {known}"
            return self._fail(reason, time.monotonic() - began)
        self._say("Training", "Training image download completed. Training in progress.")
        container = self._start(command)
        if checkpoints:
            checkpoints.begin()
        end = self._watch(container)
        if checkpoints:
            checkpoints.finish()
        return self._conclude(end, container, time.monotonic() - began)

    def _say(self, status: str, message: str) -> None:
        start = {} if "TrainingStartTime" in (self._lifecycle.get(self.name) or {}) else {"TrainingStartTime": now()}
        self._lifecycle.secondary(self.name, status, message, TrainingJobStatus="InProgress", **start)

    # Before the container

    def _checkpoints(self) -> CheckpointSync | None:
        config = self._job.get("CheckpointConfig")
        if not config:
            return None
        local = config.get("LocalPath", "/opt/ml/checkpoints/").rstrip("/").removeprefix("/opt/ml/")
        return CheckpointSync(self._surroundings.s3, self._base / local, config["S3Uri"])

    def _lay_out(self, checkpoints: CheckpointSync | None) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        for part in ("input/config", "input/data", "model", "output/data", "output"):
            (self._base / part).mkdir(parents=True, exist_ok=True)
        self._write_config()
        for channel in self._job.get("InputDataConfig", ()):
            target = self._base / "input" / "data" / channel["ChannelName"]
            download_prefix(self._surroundings.s3(), channel["DataSource"]["S3DataSource"]["S3Uri"], target)
        if checkpoints:
            checkpoints.restore()

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

    def _command(self) -> list[str] | None:
        algorithm = self._job["AlgorithmSpecification"]
        entrypoint = image_command(self._settings, algorithm.get("TrainingImage", ""))
        if entrypoint is None:
            return None
        chosen = algorithm.get("ContainerEntrypoint") or entrypoint
        return local_command([*chosen, *(algorithm.get("ContainerArguments") or ["train"])])

    def _start(self, command: list[str]) -> Container:
        stream = f"{self.name}/algo-1-{int(time.time())}"
        extra = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self._job["TrainingJobArn"]}
        return Container(
            command,
            environment=container_environment(self._settings, self._base, extra | self._job.get("Environment", {})),
            surroundings=self._surroundings,
            log=LogTarget(TRAINING.log_group, stream, self._folder / "log.txt"),
        )

    # While it runs

    def _watch(self, container: Container) -> str:
        """Wait for the container's end or for a reason to end it; returns exited, interrupted, stopped, …"""
        limit = time.monotonic() + self._job["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        drawn = self._drawn_interruption()
        while container.wait(0.1) is None:
            if self._control.closing.is_set():
                container.signal_group(signal.SIGKILL)
                container.wait()
                return "interrupted"
            if self._control.stop.is_set():
                self._lifecycle.secondary(self.name, "Stopping", "Stopping", TrainingJobStatus="Stopping")
                container.stop(self._settings.stop_grace_seconds)
                return "stopped"
            if self._control.interrupt.is_set() or (drawn and time.monotonic() > drawn):
                container.stop(self._settings.stop_grace_seconds)
                return "interrupted"
            if time.monotonic() > limit:
                container.stop(self._settings.stop_grace_seconds)
                return "max_runtime"
            if self._wait_exceeded():
                container.stop(self._settings.stop_grace_seconds)
                return "max_wait"
        return "exited"

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
        wait = self._job["StoppingCondition"].get("MaxWaitTimeInSeconds")
        created = self._job["CreationTime"]
        return wait is not None and (now() - created).total_seconds() > wait

    # After it

    def _conclude(self, end: str, container: Container, seconds: float) -> str:
        self._billed += seconds
        self._lifecycle.change(self.name, _billed_seconds=self._billed)
        if end == "interrupted":
            return end
        self._send_metrics(container)
        if end == "exited" and container.returncode != 0:
            return self._fail(self._failure_reason(container), 0.0)
        try:
            self._upload()
        except TransferError as error:
            return self._fail(str(error), 0.0)
        if end == "exited":
            return self._finish("Completed", "Completed", "Training job completed")
        reasons = {
            "stopped": ("Stopped", "Training job stopped"),
            "max_runtime": ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided"),
            "max_wait": ("MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds provided"),
        }
        return self._finish_stopped(*reasons[end])

    def _upload(self) -> None:
        self._lifecycle.secondary(self.name, "Uploading", "Uploading generated training model")
        output = f"{self._job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        s3 = self._surroundings.s3()
        if upload_archive(s3, self._base / "model", f"{output}/model.tar.gz"):
            self._lifecycle.change(self.name, ModelArtifacts={"S3ModelArtifacts": f"{output}/model.tar.gz"})
        upload_archive(s3, self._base / "output" / "data", f"{output}/output.tar.gz")

    def _failure_reason(self, container: Container) -> str:
        code = container.returncode or 0
        written = _read_reason(self._base / "output" / "failure")
        return failure_reason("AlgorithmError", code, written, container.tail)

    def _send_metrics(self, container: Container) -> None:
        """Read the MetricDefinitions out of the log; the last value of each is the final one."""
        definitions = self._job["AlgorithmSpecification"].get("MetricDefinitions", ())
        if not definitions:
            return
        text = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        final: list[dict[str, Any]] = []
        for definition in definitions:
            values = [float(match) for match in re.findall(definition["Regex"], text) if _is_number(match)]
            if values:
                final.append({"MetricName": definition["Name"], "Value": values[-1], "Timestamp": now()})
        self._lifecycle.change(self.name, FinalMetricDataList=final)
        namespace, where = "/aws/sagemaker/TrainingJobs", {"TrainingJobName": self.name}
        self._surroundings.put_metrics(
            [
                MetricDatum(name=m["MetricName"], value=m["Value"], unit="None", dimensions=where, namespace=namespace)
                for m in final
            ]
        )

    def _fail(self, reason: str, seconds: float) -> str:
        self._billed += seconds
        return self._finish("Failed", "Failed", reason, FailureReason=reason[:REASON_CHARACTERS])

    def _finish_stopped(self, secondary: str, message: str) -> str:
        return self._finish("Stopped", secondary, message)

    def _finish(self, status: str, secondary: str, message: str, **fields: Any) -> str:
        ended = now()
        job = self._lifecycle.get(self.name) or {}
        seconds = (ended - job.get("TrainingStartTime", ended)).total_seconds()
        saving = self._settings.spot_saving if self._spot else 0.0
        self._lifecycle.secondary(
            self.name,
            secondary,
            message,
            TrainingJobStatus=status,
            TrainingEndTime=ended,
            TrainingTimeInSeconds=billed(seconds),
            BillableTimeInSeconds=billed(self._billed, saving=saving),
            **fields,
        )
        shutil.rmtree(self._base / "input" / "data", ignore_errors=True)
        return status


def failure_reason(kind: str, code: int, written: str, tail: list[str]) -> str:
    """Return FailureReason: what the container wrote, else its last words; a signal is named."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (often the kernel's out-of-memory killer)" if -code == signal.SIGKILL else ""
        return f"{kind}: the container was killed by {name}{hint}, exit code: {128 - code}. {written}".strip()
    words = written or "\n".join(tail[-5:])
    return f"{kind}: {words[: REASON_CHARACTERS - 60]}, exit code: {code}"


def _read_reason(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:REASON_CHARACTERS].strip()
    except OSError:
        return ""


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
