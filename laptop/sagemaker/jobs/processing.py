"""One processing job (SageMaker's "Build your own processing container")."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

from laptop.sagemaker.arns import now
from laptop.sagemaker.containers import (
    Container,
    LogTarget,
    container_environment,
    image_command,
    local_command,
)
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.jobs.lifecycle import PROCESSING, Lifecycle
from laptop.sagemaker.jobs.training import REASON_CHARACTERS, Control, failure_reason
from laptop.sagemaker.jobs.transfer import TransferError, download_prefix, upload_folder
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

PREFIX = "/opt/ml/"


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
        if self._control.stop.wait(self._settings.launch_seconds):
            return self._finish("Stopped")
        self._lifecycle.change(self.name, ProcessingStartTime=now())
        try:
            self._lay_out()
        except TransferError as error:
            return self._finish("Failed", FailureReason=str(error)[:REASON_CHARACTERS])
        command = self._command()
        if command is None:
            image = self._job["AppSpecification"]["ImageUri"]
            known = ", ".join(self._settings.images)
            reason = f"ClientError: Cannot pull the image {image}: unknown on the laptop, which has {known}"
            return self._finish("Failed", FailureReason=reason)
        container = self._start(command)
        stop_uploads = self._upload_continuously()
        end = self._watch(container)
        stop_uploads()
        if end == "closing":
            return None
        return self._conclude(end, container)

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
                download_prefix(self._surroundings.s3(), source["S3Uri"], self._local(source["LocalPath"]))
        for output in self._outputs():
            self._local(output["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _local(self, path: str) -> Path:
        return self._base / path.removeprefix(PREFIX)

    def _outputs(self) -> list[dict[str, Any]]:
        outputs = self._job.get("ProcessingOutputConfig", {}).get("Outputs", ())
        return [output["S3Output"] for output in outputs if not output.get("AppManaged")]

    def _command(self) -> list[str] | None:
        specification = self._job["AppSpecification"]
        entrypoint = image_command(self._settings, specification["ImageUri"])
        if entrypoint is None:
            return None
        chosen = specification.get("ContainerEntrypoint") or entrypoint
        return local_command([*chosen, *(specification.get("ContainerArguments") or ())])

    def _start(self, command: list[str]) -> Container:
        extra = {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self._job["ProcessingJobArn"]}
        return Container(
            command,
            environment=container_environment(self._settings, self._base, extra | self._job.get("Environment", {})),
            surroundings=self._surroundings,
            log=LogTarget(PROCESSING.log_group, f"{self.name}/algo-1-{int(time.time())}", self._folder / "log.txt"),
        )

    def _upload_continuously(self) -> Any:
        """Upload outputs of mode Continuous while the container writes; returns a function that stops it."""
        continuous = [output for output in self._outputs() if output["S3UploadMode"] == "Continuous"]
        done = threading.Event()

        def loop() -> None:
            while not done.wait(1.0):
                for output in continuous:
                    upload_folder(self._surroundings.s3(), self._local(output["LocalPath"]), output["S3Uri"])

        thread = threading.Thread(target=loop, name=f"continuous-upload-{self.name}", daemon=True)
        if continuous:
            thread.start()

        def stop() -> None:
            done.set()
            if continuous:
                thread.join()

        return stop

    def _watch(self, container: Container) -> str:
        limit = time.monotonic() + self._job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400)
        while container.wait(0.1) is None:
            if self._control.closing.is_set():
                container.signal_group(signal.SIGKILL)
                container.wait()
                return "closing"
            if self._control.stop.is_set() or time.monotonic() > limit:
                stopped = self._control.stop.is_set()
                self._lifecycle.change(self.name, ProcessingJobStatus="Stopping")
                container.stop(self._settings.stop_grace_seconds)
                return "stopped" if stopped else "max_runtime"
        return "exited"

    def _conclude(self, end: str, container: Container) -> None:
        message = self._read_message()
        if end == "exited" and container.returncode != 0:
            written = message.get("ExitMessage", "")
            reason = failure_reason("AlgorithmError", container.returncode or 0, written, container.tail)
            self._finish("Failed", FailureReason=reason[:REASON_CHARACTERS], **message)
            return
        try:
            for output in self._outputs():
                upload_folder(self._surroundings.s3(), self._local(output["LocalPath"]), output["S3Uri"])
        except TransferError as error:
            self._finish("Failed", FailureReason=str(error)[:REASON_CHARACTERS], **message)
            return
        if end == "max_runtime":
            limit = self._job["StoppingCondition"]["MaxRuntimeInSeconds"]
            reason = f"ClientError: the job exceeded its MaxRuntimeInSeconds of {limit}"
            self._finish("Failed", FailureReason=reason, **message)
        else:
            self._finish("Stopped" if end == "stopped" else "Completed", **message)

    def _read_message(self) -> dict[str, str]:
        """Return ExitMessage: the first KB of /opt/ml/output/message; text that is not UTF-8 is left out."""
        try:
            raw = (self._base / "output" / "message").read_bytes()[:REASON_CHARACTERS]
            return {"ExitMessage": raw.decode("utf-8")} if raw else {}
        except (OSError, UnicodeDecodeError):
            return {}

    def _finish(self, status: str, **fields: Any) -> None:
        self._lifecycle.change(self.name, ProcessingJobStatus=status, ProcessingEndTime=now(), **fields)
        shutil.rmtree(self._base / "processing", ignore_errors=True)
