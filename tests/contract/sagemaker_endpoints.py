"""Short words for what tests of endpoints do again and again."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting.variant import Variant
from laptop.surroundings import MetricDatum
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, wait_for


def model(own: Own, name: str, **environment: str) -> None:
    """Create a model whose server answers with its name."""
    own.call("CreateModel", make.model(name, PrimaryContainer__Environment={"NAME": name, **environment}))


def config(own: Own, name: str, *variants: dict[str, Any], **changes: Any) -> None:
    own.call("CreateEndpointConfig", make.endpoint_config(name, ProductionVariants=list(variants), **changes))


def described(own: Own, name: str = "e") -> dict[str, Any]:
    return dict(own.call("DescribeEndpoint", {"EndpointName": name}))


def status(own: Own, name: str = "e") -> str:
    return str(described(own, name)["EndpointStatus"])


def create(own: Own, config_name: str, name: str = "e") -> None:
    own.call("CreateEndpoint", {"EndpointName": name, "EndpointConfigName": config_name})


def serve(own: Own, config_name: str, name: str = "e") -> None:
    """Create an endpoint, and wait until it is in service."""
    create(own, config_name, name)
    wait_for(lambda: status(own, name) != "Creating")
    assert status(own, name) == "InService", described(own, name)


def update(own: Own, config_name: str, **rest: Any) -> None:
    own.call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": config_name, **rest})


def settled(own: Own, name: str = "e") -> dict[str, Any]:
    """Wait until nothing changes the endpoint, and describe it."""

    def at_rest() -> dict[str, Any]:
        answer = described(own, name)
        return answer if answer["EndpointStatus"] in ("InService", "Failed") else {}

    return dict(wait_for(at_rest))


def ask(own: Own, body: bytes = b"hi", name: str = "e", **headers: str) -> dict[str, Any]:
    return dict(json.loads(own.sagemaker.invoke_endpoint(name, headers, body).body))


def measured(own: Own) -> list[MetricDatum]:
    """Return the metrics per endpoint and variant; each is also sent with the endpoint configuration's name."""
    own.sagemaker.hosting.runtime.metrics.flush()
    return [datum for datum in own.around.metrics if "EndpointConfigName" not in datum.dimensions]


def only_variant(own: Own, name: str = "e") -> Variant:
    """Return the one variant that an endpoint serves with now."""
    (variant,) = own.sagemaker.hosting.runtime.fleets[name].variants()
    return variant


def gone(own: Own, name: str = "e") -> bool:
    """Return whether an endpoint does not exist any more."""
    return name not in {item["EndpointName"] for item in own.call("ListEndpoints", {})["Endpoints"]}


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Path]:
    """A file that keeps servers of models with HOLD from answering while it exists."""
    path = tmp_path / "hold"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def refusal(call: Callable[[], object]) -> SageMakerError:
    """Return the error of a call that must fail."""
    with pytest.raises(SageMakerError) as caught:
        call()
    return caught.value


def in_background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Call on a thread; what it returns or raises comes into the list."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(call())
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def busy(own: Own) -> bool:
    """Return whether a request is with the endpoint's server."""
    return bool(only_variant(own)._busy)


def listens(port: int) -> bool:
    """Return whether somebody accepts connections at a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
