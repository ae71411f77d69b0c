"""Steady load on an endpoint by clients that never try a request again by themselves: what failed is seen."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
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
    """What clients saw. A request that failed is sent again at once, as another request."""

    requests: list[Request] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def failed(self) -> list[Request]:
        return [request for request in list(self.requests) if request.error]

    def versions(self, *, since: float, until: float = float("inf")) -> set[str | None]:
        """Return the versions that answered the requests that were sent and answered in a time."""
        found = list(self.requests)
        return {item.version for item in found if item.sent >= since and item.ended <= until and not item.error}

    def wait_for_answers(self, count: int = 20) -> None:
        """Wait until so many requests, sent from now on, were answered."""
        moment, deadline = time.monotonic(), time.monotonic() + 60
        while sum(item.sent >= moment and not item.error for item in list(self.requests)) < count:
            assert time.monotonic() < deadline, self.failed()[-3:]
            time.sleep(0.02)

    def stop(self) -> None:
        self._over.set()

    def ask_on(self, client: Any, endpoint: str, body: bytes) -> None:
        while not self._over.is_set():
            sent = time.monotonic()
            try:
                answer = client.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
                document = json.loads(answer["Body"].read())
                self.requests.append(Request(sent, time.monotonic(), document["model"]["version"]))
            except (ClientError, BotoCoreError, ValueError) as error:
                self.requests.append(Request(sent, time.monotonic(), None, f"{type(error).__name__}: {error}"))
                continue
            time.sleep(PAUSE_SECONDS)


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
    deadline = time.monotonic() + 120
    while (found := sagemaker.describe_endpoint(EndpointName=endpoint))["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == count


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
