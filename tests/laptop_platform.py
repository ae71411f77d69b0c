"""Fixtures for tests that need the laptop platform: real processes, a home of their own, free ports.

    from tests.laptop_platform import embedded_aws, platform  # noqa: F401 in a conftest.py

`embedded_aws` is the embedded AWS alone (about 1 s to start), `platform` has PostgreSQL and MLflow too (about 15 s).
Both last for the test session (of one pytest-xdist worker) and leave no process behind.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from laptop.platform import down, up
from laptop.settings import DEFAULT_IMAGES, LaptopSettings

ROLE = "arn:aws:iam::000000000000:role/test"
#: The image `script` is tests/fakes/container.py.
IMAGES = {**DEFAULT_IMAGES, "script": (sys.executable, str(Path(__file__).parent / "fakes" / "container.py"))}


@dataclass(frozen=True)
class LaptopPlatform:
    """A running platform and what tests do with it."""

    settings: LaptopSettings

    def client(self, service: str) -> Any:
        """Return a boto3 client of the embedded AWS, without retries: tests see the first answer."""
        return boto3.client(
            service,
            endpoint_url=self.settings.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name=self.settings.region,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )

    def create_function(self, code: str, **options: Any) -> str:
        """Create a Python Lambda from the source of its handler module; returns the ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("handler.py", code)
        answer = self.client("lambda").create_function(
            **{
                "FunctionName": unique("function"),
                "Runtime": "python3.12",
                "Role": ROLE,
                "Handler": "handler.handler",
                "Code": {"ZipFile": archive.getvalue()},
                "Timeout": 20,
                **options,
            }
        )
        return str(answer["FunctionArn"])

    def create_machine(self, states: Mapping[str, Any], **definition: Any) -> str:
        """Create a JSONata state machine that begins with the first of `states`; returns the ARN."""
        document = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **definition}
        machine = self.client("stepfunctions").create_state_machine(
            name=unique("machine"), roleArn=ROLE, definition=json.dumps(document)
        )
        return str(machine["stateMachineArn"])

    def start(self, machine: str, value: Any = None, **options: Any) -> str:
        """Start an execution; returns its ARN."""
        states = self.client("stepfunctions")
        return str(
            states.start_execution(stateMachineArn=machine, input=json.dumps(value or {}), **options)["executionArn"]
        )

    def finish(self, execution: str) -> dict[str, Any]:
        """Wait for the end of an execution; returns its description."""
        states = self.client("stepfunctions")
        return wait_for(
            lambda: (found := states.describe_execution(executionArn=execution))["status"] != "RUNNING" and found
        )


def unique(word: str) -> str:
    """Return a name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:10]}"


def wait_for(condition: Callable[[], Any], seconds: float = 300.0) -> Any:
    """Return the first true value of `condition`; fail the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail(f"nothing happened within {seconds:.0f} s")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def platform_home() -> Iterator[Path]:
    """Yield a folder that is removed afterwards; PostgreSQL, run as another user under root, can reach it."""
    home = Path(tempfile.mkdtemp(prefix="passerelle-test-")).resolve()
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running_platform(*, tracking_server: bool, **options: Any) -> Iterator[LaptopPlatform]:
    """Yield a platform that runs, and stop it afterwards; `options` are fields of LaptopSettings."""
    with platform_home() as home:
        settings = LaptopSettings(home=home, port=free_port(), mlflow_port=free_port(), **options)
        try:
            up(settings, tracking_server=tracking_server)
            yield LaptopPlatform(settings)
        finally:
            if os.environ.get("PASSERELLE_KEEP_LOGS"):
                shutil.copytree(home / "logs", Path(os.environ["PASSERELLE_KEEP_LOGS"]), dirs_exist_ok=True)
            down(settings)


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[LaptopPlatform]:
    """The embedded AWS alone."""
    with running_platform(tracking_server=False, images=IMAGES) as running:
        yield running


@pytest.fixture(scope="session")
def platform() -> Iterator[LaptopPlatform]:
    """The embedded AWS, PostgreSQL and MLflow."""
    with running_platform(tracking_server=True) as running:
        yield running
