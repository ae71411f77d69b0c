"""Steady load on an endpoint by clients that never try a request again by themselves: what failed is seen."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.platform import DeployedLaptop

CLIENTS: Final = 4
#: Between two requests of one client: 4 clients leave the cores to what changes the endpoint meanwhile.
PAUSE_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Request:
    """One request: when it was sent and answered, by which version, or why it failed."""

    sent: float
    ended: float
    version: str | None
    error: str | None = None


@dataclass
class SteadyLoad:
    """What clients saw. A request that failed is sent again once, as another request; `given_up` failed again."""

    requests: list[Request] = field(default_factory=list)
    given_up: list[Request] = field(default_factory=list)
    _under_way: dict[int, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def failed(self) -> list[Request]:
        return [request for request in list(self.requests) if request.error]

    def versions(self, *, since: float, until: float = float("inf")) -> set[str | None]:
        """Return the versions that answered the requests that were sent and answered in a time."""
        found = list(self.requests)
        return {item.version for item in found if item.sent >= since and item.ended <= until and not item.error}

    def wait_for_answers(self, count: int = 20) -> None:
        """Wait until so many requests, sent from now on, were answered."""
        moment = time.monotonic()
        wait_until(lambda: sum(item.sent >= moment and not item.error for item in list(self.requests)) >= count)

    def is_one_held_up(self) -> bool:
        """Return whether a request waits while many that were sent after it are answered."""
        first, found = min(self._under_way.copy().values(), default=float("inf")), list(self.requests)
        return sum(item.sent > first and not item.error for item in found) >= 5 * CLIENTS

    def stop(self) -> None:
        self._over.set()

    def ask_on(self, client: Any, endpoint: str, body: bytes) -> None:
        """Be one client until the load is over."""
        while not self._over.is_set():
            if self._ask(client, endpoint, body).error:
                again = self._ask(client, endpoint, body)
                self.given_up += [again] if again.error else []
            time.sleep(PAUSE_SECONDS)

    def _ask(self, client: Any, endpoint: str, body: bytes) -> Request:
        version, problem = None, None
        self._under_way[threading.get_ident()] = sent = time.monotonic()
        try:
            answer = client.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
            version = json.loads(answer["Body"].read())["model"]["version"]
        except (ClientError, BotoCoreError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        request = Request(sent, time.monotonic(), version, problem)
        self.requests.append(request)
        del self._under_way[threading.get_ident()]
        return request

    def change(self, platform: DeployedLaptop, project: str, command: str, *words: str) -> dict[str, Any]:
        """Change the champion by hand; returns what the command says.

        Before it and while it goes on the old version answers, once it has returned only the new one; none fails.
        """
        self.wait_for_answers()
        began = time.monotonic()
        told = json.loads(platform.passerelle("--json", command, project, "--reason", "the drill", *words).stdout)
        ended = time.monotonic()
        self.wait_for_answers()
        assert self.versions(since=began, until=ended) == {told["before"], told["model_version"]}
        assert self.versions(since=ended) == {told["model_version"]}
        assert not self.failed()
        return dict(told)


@contextmanager
def steady_load(platform: DeployedLaptop, endpoint: str, records: list[dict[str, Any]]) -> Iterator[SteadyLoad]:
    """Ask an endpoint all the time."""
    load, body = SteadyLoad(), json.dumps({"dataframe_records": records}).encode()
    threads = [
        threading.Thread(target=load.ask_on, args=(_client(platform), endpoint, body), daemon=True)
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        load.wait_for_answers()
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(70)


def _client(platform: DeployedLaptop) -> Any:
    return boto3.Session().client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{platform.port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=70),
    )


def scale(platform: DeployedLaptop, endpoint: str, count: int) -> None:
    """Have so many instances, and wait until they serve."""
    sagemaker = platform.client("sagemaker")
    wanted = [{"VariantName": "champion", "DesiredInstanceCount": count}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=wanted)
    deadline = time.monotonic() + 300
    while (found := sagemaker.describe_endpoint(EndpointName=endpoint))["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == count


def kill_one_server(platform: DeployedLaptop, endpoint: str, load: SteadyLoad) -> tuple[float, float]:
    """Kill -9 the server of one instance while it has requests; returns a moment before and one after.

    It is stopped first, so that what it has been given stays with it: others are answered, and one is not.
    """
    (found, *others) = servers(platform, endpoint)
    assert others
    os.killpg(found.pid, signal.SIGSTOP)
    wait_until(load.is_one_held_up)
    before = time.monotonic()
    os.killpg(found.pid, signal.SIGKILL)
    return before, time.monotonic()


def servers(platform: DeployedLaptop, endpoint: str) -> list[psutil.Process]:
    """Return the first process of each server of an endpoint."""
    folder = f"{platform.home}/sagemaker/endpoints/{endpoint}/"
    found = [process for process in psutil.process_iter() if _base(process).startswith(folder)]
    numbers = {process.pid for process in found}
    return [process for process in found if process.ppid() not in numbers]


def _base(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("SAGEMAKER_BASE_DIR", "")) + "/"
    except psutil.Error:
        return ""


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
