"""One production or shadow variant: one server process on its own port of 127.0.0.1."""

from __future__ import annotations

import http.client
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from laptop.sagemaker.containers import (
    HOME_MARKER,
    Container,
    LogTarget,
    container_environment,
    image_command,
    local_command,
)
from laptop.sagemaker.hosting.connections import INVOKE_SECONDS, Connections, ContainerAnswer
from laptop.sagemaker.hosting.model_data import fetch_model_data
from laptop.sagemaker.hosting.ports import free_port, give_back
from laptop.sagemaker.jobs.transfer import TransferError, act_as
from laptop.settings import LaptopSettings
from laptop.surroundings import RefusedError, Surroundings

#: SageMaker gives a container four to eight minutes to answer its first ping.
STARTUP_SECONDS: Final = 480.0
PING_SECONDS: Final = 2.0
#: SIGTERM, then SIGKILL 30 s later (SageMaker, "How containers serve").
STOP_SECONDS: Final = 30.0
#: How the laptop tells a server where it is; a model's Environment cannot move it elsewhere.
_OURS: Final = ("SAGEMAKER_BASE_DIR", HOME_MARKER)


class VariantError(Exception):
    """A variant did not come into service; the text becomes FailureReason."""


class RetiredError(Exception):
    """The variant takes no more requests: another fleet has taken over, or the endpoint is deleted."""


class NotListeningError(ConnectionError):
    """Nobody listens at the variant's port: its server has died, or is started again."""


class Variant:
    """A model's server process. Thread-safe; once stopped it never starts again."""

    def __init__(
        self,
        model: Mapping[str, Any],
        *,
        folder: Path,
        group: str,
        stream: str,
        settings: LaptopSettings,
        surroundings: Surroundings,
        startup_seconds: float = STARTUP_SECONDS,
        invoke_seconds: float | None = None,
    ) -> None:
        self._container_spec = model.get("PrimaryContainer") or model["Containers"][0]
        self._isolated = bool(model.get("EnableNetworkIsolation"))
        self._role = str(model.get("ExecutionRoleArn", ""))
        self._folder, self._settings, self._surroundings = folder, settings, surroundings
        self._startup_seconds = startup_seconds
        self._log = LogTarget(group, stream, folder / "log.txt")
        self._connections = Connections(invoke_seconds)
        self._busy, self._retired, self._drained = 0, False, threading.Condition()
        self._process_lock, self._fetched, self._ready = threading.Lock(), False, False
        self.port = 0
        self._container: Container | None = None

    @property
    def alive(self) -> bool:
        return self._container is not None and self._container.returncode is None

    @property
    def ready(self) -> bool:
        """Return whether the server runs and has passed its health check."""
        return self._ready and self.alive

    @property
    def busy(self) -> int:
        """Return how many requests are with the server."""
        return self._busy

    @property
    def retired(self) -> bool:
        return self._retired

    @property
    def log_group(self) -> str:
        return self._log.group

    @property
    def pid(self) -> int | None:
        return self._container.pid if self._container else None

    def start(self, cancelled: threading.Event) -> None:
        """Fetch the model once, start the process (again), wait for its first good ping.

        Raises VariantError with the container's last words.
        """
        base = self._folder / "opt" / "ml"
        try:
            self._fetch(base)
            container = self._launch(base)
        except (TransferError, RefusedError, OSError) as error:
            raise VariantError(str(error)) from error
        try:
            self._await_ping(container, cancelled)
        except VariantError:
            container.stop(PING_SECONDS)
            raise

    def _fetch(self, base: Path) -> None:
        """A server that is started again finds the model where it was, even if S3 has it no more."""
        if not self._fetched:
            shutil.rmtree(base, ignore_errors=True)
            (base / "model").mkdir(parents=True)
            fetch_model_data(self._container_spec, base, act_as(self._surroundings, self._role))
            self._fetched = True

    def _launch(self, base: Path) -> Container:
        image = self._container_spec.get("Image", "")
        command = image_command(self._settings, image)
        if command is None:
            raise VariantError(f"The image {image} does not exist on the laptop.")
        with self._process_lock:
            if self._retired:
                raise VariantError("The endpoint was deleted or updated while its server was started.")
            self._connections.close()
            give_back(self.port)
            self.port = free_port()
            self._ready = False
            self._container = Container(
                local_command([*command, "serve"]),
                environment=self._environment(base),
                surroundings=self._surroundings,
                log=self._log,
            )
            return self._container

    def _environment(self, base: Path) -> dict[str, str]:
        given = self._container_spec.get("Environment", {})
        extra = {
            **{name: value for name, value in given.items() if name not in _OURS},
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "PASSERELLE_BIND_HOST": "127.0.0.1",
        }
        aws = {} if self._isolated else self._surroundings.credentials(self._role)
        return container_environment(self._settings, base, extra, aws=aws)

    def _await_ping(self, container: Container, cancelled: threading.Event) -> None:
        deadline = time.monotonic() + self._startup_seconds
        while time.monotonic() < deadline:
            if cancelled.is_set() or self._retired:
                raise VariantError("The endpoint was deleted or updated while it was created.")
            answered = self.ping()
            if container.wait(0.0) is not None:
                words = " | ".join(container.tail[-3:])
                raise VariantError(
                    f"The container exited with code {container.returncode} before it passed the ping health "
                    f"check: {words}. See the log group {self._log.group}."
                )
            if answered:
                self._ready = True
                return
            time.sleep(0.05)
        raise VariantError(
            f"The primary container for production variant did not pass the ping health check. "
            f"Please check CloudWatch logs for this endpoint ({self._log.group})."
        )

    def ping(self) -> bool:
        """Return whether GET /ping answers 200 within two seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PING_SECONDS)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End a server that hangs; `start` may start it again."""
        with self._process_lock:
            if self._container is not None and self._container.returncode is None:
                self._container.signal_group(signal.SIGKILL)

    def invoke(self, headers: Mapping[str, str], body: bytes) -> ContainerAnswer:
        """Post to /invocations over a kept connection.

        Raises RetiredError when the variant was stopped before (the request was not sent), NotListeningError when its
        server is down, OSError or HTTPException when the container does not answer.
        """
        with self._drained:
            if self._retired:
                raise RetiredError
            if not self._ready:
                raise NotListeningError("its server is started again, and has not passed the ping health check yet")
            self._busy += 1
        try:
            return self._connections.exchange(self.port, headers, body)
        except ConnectionRefusedError as error:
            raise NotListeningError(str(error)) from error
        finally:
            with self._drained:
                self._busy -= 1
                self._drained.notify_all()

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Take no more requests, wait for those in flight, then SIGTERM, then SIGKILL."""
        with self._drained:
            self._retired = True
            timeout = INVOKE_SECONDS if drain_seconds is None else drain_seconds
            self._drained.wait_for(lambda: self._busy == 0, timeout=timeout)
        with self._process_lock:
            container = self._container
        if container is not None:
            container.stop(STOP_SECONDS)
        self._connections.close()
        give_back(self.port)
        shutil.rmtree(self._folder / "opt", ignore_errors=True)
