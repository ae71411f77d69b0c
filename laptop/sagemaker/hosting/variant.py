"""One production or shadow variant: one server process on its own port of 127.0.0.1."""

from __future__ import annotations

import http.client
import queue
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from laptop.sagemaker.containers import (
    Container,
    LogTarget,
    container_environment,
    image_command,
    local_command,
)
from laptop.sagemaker.jobs.transfer import TransferError
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri

#: SageMaker gives a container four to eight minutes to answer its first ping.
STARTUP_SECONDS: Final = 480.0
PING_SECONDS: Final = 2.0
#: SIGTERM, then SIGKILL 30 s later (SageMaker, "How containers serve").
STOP_SECONDS: Final = 30.0
INVOKE_SECONDS: Final = 60.0
MAX_CONNECTIONS: Final = 64


class VariantError(Exception):
    """A variant did not come into service; the text becomes FailureReason."""


@dataclass(frozen=True)
class ContainerAnswer:
    """What a container answered, and after how many microseconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    microseconds: int


class Variant:
    """A model's server process. Thread-safe."""

    def __init__(
        self,
        model: Mapping[str, Any],
        *,
        folder: Path,
        group: str,
        stream: str,
        settings: LaptopSettings,
        surroundings: Surroundings,
    ) -> None:
        self._container_spec = model.get("PrimaryContainer") or model["Containers"][0]
        self._folder, self._settings, self._surroundings = folder, settings, surroundings
        self._log = LogTarget(group, stream, folder / "log.txt")
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(MAX_CONNECTIONS)
        self._busy, self._drained = 0, threading.Condition()
        self.port = 0
        self._container: Container | None = None

    @property
    def alive(self) -> bool:
        return self._container is not None and self._container.returncode is None

    @property
    def log_group(self) -> str:
        return self._log.group

    @property
    def pid(self) -> int | None:
        return self._container.pid if self._container else None

    def start(self, cancelled: threading.Event, *, startup_seconds: float = STARTUP_SECONDS) -> None:
        """Fetch the model, start the process, wait for its first good ping.

        Raises VariantError with the container's last words.
        """
        base = self._folder / "opt" / "ml"
        shutil.rmtree(base, ignore_errors=True)
        (base / "model").mkdir(parents=True)
        self._fetch_model(base)
        command = image_command(self._settings, self._container_spec.get("Image", ""))
        if command is None:
            raise VariantError(f"The image {self._container_spec.get('Image')} does not exist on the laptop.")
        self.port = _free_port()
        extra = {
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "PASSERELLE_BIND_HOST": "127.0.0.1",
            **self._container_spec.get("Environment", {}),
        }
        self._container = Container(
            local_command([*command, "serve"]),
            environment=container_environment(self._settings, base, extra),
            surroundings=self._surroundings,
            log=self._log,
        )
        self._await_ping(cancelled, startup_seconds)

    def _fetch_model(self, base: Path) -> None:
        uri = self._container_spec.get("ModelDataUrl")
        if not uri:
            return
        bucket, key = split_s3_uri(uri)
        archive = self._folder / "model.tar.gz"
        try:
            self._surroundings.s3().download_file(bucket, key, str(archive))
            unpack_model(archive, base / "model")
        except TransferError as error:
            raise VariantError(str(error)) from error
        except Exception as error:
            raise VariantError(f"Failed to download model data {uri}: {error}") from error
        finally:
            archive.unlink(missing_ok=True)

    def _await_ping(self, cancelled: threading.Event, startup_seconds: float) -> None:
        assert self._container is not None
        deadline = time.monotonic() + startup_seconds
        while time.monotonic() < deadline:
            if self._container.wait(0.0) is not None:
                words = " | ".join(self._container.tail[-3:])
                raise VariantError(
                    f"The container exited with code {self._container.returncode} before it passed the ping health "
                    f"check: {words}. See the log group {self._log.group}."
                )
            if cancelled.is_set():
                raise VariantError("The endpoint was deleted or updated while it was created.")
            if self.ping():
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

    def invoke(self, headers: Mapping[str, str], body: bytes) -> ContainerAnswer:
        """Post to /invocations over a kept connection.

        Raises OSError or HTTPException when the container does not answer.
        """
        with self._drained:
            self._busy += 1
        try:
            return self._exchange(headers, body)
        finally:
            with self._drained:
                self._busy -= 1
                self._drained.notify_all()

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> ContainerAnswer:
        started = time.perf_counter()
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request("POST", "/invocations", body, dict(headers))
                response = connection.getresponse()
                content = response.read()
            except TimeoutError:
                connection.close()
                raise
            except (OSError, http.client.HTTPException):
                connection.close()
                if fresh:
                    raise
                continue  # a kept connection may have been closed by the server meanwhile
            self._keep(connection)
            lowered = {name.lower(): value for name, value in response.getheaders()}
            elapsed = int((time.perf_counter() - started) * 1_000_000)
            return ContainerAnswer(response.status, lowered, content, elapsed)
        raise AssertionError("unreachable: the second exchange returns or raises")

    def _connection(self, fresh: bool) -> http.client.HTTPConnection:
        if not fresh:
            try:
                return self._idle.get_nowait()
            except queue.Empty:
                pass
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=INVOKE_SECONDS)
        connection.connect()
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def stop(self, *, drain_seconds: float = INVOKE_SECONDS) -> None:
        """Wait for the requests in flight, then SIGTERM, then SIGKILL."""
        with self._drained:
            self._drained.wait_for(lambda: self._busy == 0, timeout=drain_seconds)
        while not self._idle.empty():
            self._idle.get_nowait().close()
        if self._container is not None:
            self._container.stop(STOP_SECONDS)
        shutil.rmtree(self._folder / "opt", ignore_errors=True)


def unpack_model(archive: Path, target: Path) -> None:
    """Unpack model.tar.gz; nothing may land outside.

    Raises TransferError for an archive that is not sound.
    """
    import tarfile

    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TransferError(f"Model data is not a sound tar.gz archive: {error}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
