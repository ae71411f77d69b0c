"""One processing job (SageMaker's "Build your own processing container")."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from laptop.sagemaker.arns import now
from laptop.sagemaker.containers import Container, LogTarget
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.jobs.control import Control
from laptop.sagemaker.jobs.failure import REASON_CHARACTERS, failure_reason, read_message
from laptop.sagemaker.jobs.launch import StartError, image_entrypoint, start_container
from laptop.sagemaker.jobs.lifecycle import PROCESSING, Lifecycle
from laptop.sagemaker.jobs.rules import below_root
from laptop.sagemaker.jobs.transfer import (
    Cancelled,
    CheckpointSync,
    TransferError,
    act_as,
    download_manifest,
    download_prefix,
    upload_folder,
)
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings


class ProcessingRun:
    """Runs one processing job on the calling thread."""

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
        self._job = job
        self._folder = settings.sagemaker_home / PROCESSING.path / name
        self._base = self._folder / "opt" / "ml"

    def run(self) -> None:
        """Run until the job has its final status, or the platform closes (then it starts anew later)."""
        if self._control.ended.wait(self._settings.launch_seconds):
            return self._leave()
        self._lifecycle.change(self.name, ProcessingStartTime=now())
        try:
            self._lay_out()
            container = self._start()
        except Cancelled:
            return self._leave()
        except (TransferError, StartError) as error:
            return self._fail(str(error))
        continuous = self._upload_continuously(container)
        try:
            end = self._watch(container)
        finally:  # whatever happens here, no container goes on without its job
            container.signal_group(signal.SIGKILL)
            for sync in continuous:
                sync.finish()
        return None if end == "closing" else self._conclude(end, container)

    def _leave(self) -> None:
        """End before the container has started: the job was stopped, or the platform closes."""
        if not self._control.closing.is_set():
            self._finish("Stopped")

    def _lay_out(self) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        for part in ("config", "output"):
            (self._base / part).mkdir(parents=True, exist_ok=True)
        request = {key: value for key, value in self._job.items() if not key.startswith("_")}
        config = self._base / "config"
        (config / "processingjobconfig.json").write_text(json.dumps(request, default=plain), encoding="utf-8")
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
        (config / "resourceconfig.json").write_text(json.dumps(hosts), encoding="utf-8")
        for item in self._job.get("ProcessingInputs", ()):
            source = item["S3Input"]
            if not item.get("AppManaged"):
                target = self._local(source["LocalPath"])
                listed = source.get("S3DataType") == "ManifestFile"
                download = download_manifest if listed else download_prefix
                download(self._s3(), source["S3Uri"], target, cancelled=self._control.ended.is_set)
        for output in self._outputs():
            self._local(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        if self._control.ended.is_set():
            raise Cancelled

    def _s3(self) -> Any:
        """Return S3 as the job's role sees it: SageMaker copies in its name."""
        return act_as(self._surroundings, self._job["RoleArn"])

    def _local(self, path: str) -> Path:
        return self._base / below_root(path)

    def _outputs(self) -> list[dict[str, Any]]:
        outputs = self._job.get("ProcessingOutputConfig", {}).get("Outputs", ())
        return [output["S3Output"] for output in outputs if not output.get("AppManaged")]

    def _start(self) -> Container:
        """Start the image's command, or the request's own.

        Raises StartError.
        """
        specification = self._job["AppSpecification"]
        image = image_entrypoint(self._settings, specification["ImageUri"])
        extra = {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self._job["ProcessingJobArn"]}
        return start_container(
            [*(specification.get("ContainerEntrypoint") or image), *(specification.get("ContainerArguments") or ())],
            base=self._base,
            environment=extra | self._job.get("Environment", {}),
            log=LogTarget(PROCESSING.log_group, f"{self.name}/algo-1-{int(time.time())}", self._folder / "log.txt"),
            settings=self._settings,
            surroundings=self._surroundings,
            role=self._job["RoleArn"],
            isolated=bool(self._job.get("NetworkConfig", {}).get("EnableNetworkIsolation")),
        )

    def _upload_continuously(self, container: Container) -> list[CheckpointSync]:
        """Copy outputs of mode Continuous to S3 while the container writes."""
        syncs = [
            CheckpointSync(self._s3, self._local(output["LocalPath"]), output["S3Uri"])
            for output in self._outputs()
            if output["S3UploadMode"] == "Continuous"
        ]
        for sync in syncs:
            sync.begin(container.say)
        return syncs

    def _watch(self, container: Container) -> str:
        limit = time.monotonic() + self._job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400)
        while container.wait(0.1) is None:
            if self._control.closing.is_set():
                container.signal_group(signal.SIGKILL)
                container.wait()
                return "closing"
            if self._control.stop.is_set() or time.monotonic() > limit:
                end = "stopped" if self._control.stop.is_set() else "max_runtime"
                self._lifecycle.change(self.name, ProcessingJobStatus="Stopping")
                container.stop(self._settings.stop_grace_seconds, hurry=self._control.closing)
                return "closing" if self._control.closing.is_set() else end
        return "exited"

    def _conclude(self, end: str, container: Container) -> None:
        try:
            written = read_message(self._base / "output" / "message")
        except UnicodeDecodeError:  # "If the data in this file isn't UTF-8 encoded, the job fails"
            return self._fail("ClientError: /opt/ml/output/message is not UTF-8 encoded text")
        message = {"ExitMessage": written} if written else {}
        if end == "exited" and container.returncode != 0:
            reason = failure_reason("AlgorithmError", container.returncode or 0, written, container.tail)
            return self._fail(reason, **message)
        try:
            for output in self._outputs():
                upload_folder(self._s3(), self._local(output["LocalPath"]), output["S3Uri"])
        except TransferError as error:
            return self._fail(str(error), **message)
        if end == "max_runtime":
            limit = self._job["StoppingCondition"]["MaxRuntimeInSeconds"]
            return self._fail(f"ClientError: the job exceeded its MaxRuntimeInSeconds of {limit}", **message)
        return self._finish("Stopped" if end == "stopped" else "Completed", **message)

    def _fail(self, reason: str, **fields: Any) -> None:
        if not self._control.closing.is_set():  # what goes wrong while the platform goes down is not the job's failure
            self._finish("Failed", FailureReason=reason[:REASON_CHARACTERS], **fields)

    def _finish(self, status: str, **fields: Any) -> None:
        self._lifecycle.end(self.name, status, **fields)
        shutil.rmtree(self._base, ignore_errors=True)
