"""An endpoint of several instances goes on answering when one of its servers is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, cast

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting import watcher
from laptop.sagemaker.hosting.replicas import Replicas
from laptop.sagemaker.hosting.variant import NotListeningError, Variant
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import ask, config, hold, in_background, model, serve, settled
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["hold", "own"]


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started again while a test looks."""
    monkeypatch.setattr(watcher, "WATCH_SECONDS", 3_600.0)


def _kill(own: Own, number: int) -> None:
    variant = own.sagemaker.hosting.runtime.fleets["e"].variants()[number]
    assert variant.pid is not None
    os.kill(variant.pid, signal.SIGKILL)
    wait_for(lambda: not variant.alive)


def _serve_two(own: Own, **environment: str) -> None:
    model(own, "one", **environment)
    config(own, "c", make.variant("main", ModelName="one", InitialInstanceCount=2))
    serve(own, "c")


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("number", [0, 1])
def test_requests_after_the_kill_are_answered_by_the_other_server(tmp_path: Path, number: int) -> None:
    own = Own(tmp_path)
    try:
        _serve_two(own)
        ask(own)
        _kill(own, number)
        assert {ask(own)["name"] for _ in range(20)} == {"one"}
    finally:
        own.sagemaker.close()


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("number", [0, 1])
def test_scaling_in_takes_away_the_killed_server_and_not_the_one_that_answers(tmp_path: Path, number: int) -> None:
    own = Own(tmp_path)
    try:
        _serve_two(own)
        _kill(own, number)
        wanted = [{"VariantName": "main", "DesiredInstanceCount": 1}]
        own.call("UpdateEndpointWeightsAndCapacities", {"EndpointName": "e", "DesiredWeightsAndCapacities": wanted})
        settled(own)
        assert {ask(own)["name"] for _ in range(20)} == {"one"}
    finally:
        own.sagemaker.close()


@pytest.mark.usefixtures("unwatched")
def test_a_server_whose_death_nobody_has_seen_yet_loses_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Own(tmp_path)
    try:
        _serve_two(own)
        first = own.sagemaker.hosting.runtime.fleets["e"].variants()[0]
        _kill(own, 0)
        monkeypatch.setattr(type(first), "ready", property(lambda self: True))
        assert {ask(own)["name"] for _ in range(20)} == {"one"}
        _kill(own, 1)
        with pytest.raises(SageMakerError, match="does not answer") as caught:
            ask(own)
        assert caught.value.code == "ServiceUnavailable"
    finally:
        own.sagemaker.close()


class Dead:
    """Stands for a variant whose death nobody has seen yet."""

    ready, busy = True, 0

    def __init__(self) -> None:
        self.first_asked: Callable[[], object] = lambda: None

    def invoke(self, headers: object, body: bytes) -> NoReturn:
        self.first_asked()
        raise NotListeningError("nobody listens")

    def stop(self, **_: object) -> None:
        pass


def test_a_request_whose_second_choice_is_scaled_in_meanwhile_fails_with_an_error_to_retry() -> None:
    dead = [Dead(), Dead()]
    replicas = Replicas(lambda number: cast("Variant", dead[number - 1]), 2)
    dead[0].first_asked = lambda: replicas.resize(1, threading.Event())
    with pytest.raises(NotListeningError):
        replicas.invoke({}, b"")


def test_what_was_in_flight_on_the_killed_server_fails_with_an_error_to_retry(own: Own, hold: Path) -> None:
    _serve_two(own, HOLD=str(hold))
    thread, ended = in_background(lambda: ask(own))
    variants = own.sagemaker.hosting.runtime.fleets["e"].variants()
    wait_for(lambda: any(variant.busy for variant in variants) and hold.with_name(f"{hold.name}.seen").exists())
    _kill(own, next(number for number, variant in enumerate(variants) if variant.busy))
    thread.join(60)
    (error,) = ended
    assert isinstance(error, SageMakerError)
    assert (error.code, error.status) == ("ServiceUnavailable", 503), "boto3 sends such a request again by itself"
    hold.unlink()
    assert ask(own)["name"] == "one"
