"""Endpoints through creations, updates and deletions that cross each other: nothing is lost or left behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting import fleet as fleet_module
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    busy,
    config,
    create,
    gone,
    hold,
    in_background,
    listens,
    model,
    only_variant,
    refusal,
    serve,
    settled,
    status,
    update,
)
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["hold", "own"]


def test_while_an_endpoint_is_deleted_it_can_be_neither_deleted_again_nor_made_nor_updated(
    own: Own, hold: Path
) -> None:
    model(own, "held", HOLD=str(hold))
    for name in ("c", "c2"):
        config(own, name, make.variant("main", ModelName="held"))
    serve(own, "c")
    caller, answers = in_background(lambda: ask(own)["name"])
    wait_for(lambda: busy(own))
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    assert status(own) == "Deleting"
    assert "in-progress" in refusal(lambda: own.call("DeleteEndpoint", {"EndpointName": "e"})).message
    assert "in-progress" in refusal(lambda: update(own, "c2")).message
    assert "Cannot create already existing endpoint" in refusal(lambda: create(own, "c")).message
    hold.unlink()
    caller.join()
    assert answers == ["held"], "the request in flight has its answer"
    wait_for(lambda: gone(own))


def test_an_endpoint_made_anew_under_the_same_name_outlives_the_deletion_of_the_first(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    first = only_variant(own)
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(own))
    assert not first.alive
    serve(own, "c")
    assert ask(own)["name"] == "one"
    folder = own.settings.sagemaker_home / "endpoints" / "e"
    assert len(list(folder.iterdir())) == 1, "the first one's files are gone, the second one's are there"


def test_a_creation_that_is_given_up_leaves_no_process_and_no_trace_in_its_successor(own: Own) -> None:
    model(own, "never", NEVER_READY="1", LINGER="1")
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="never"))
    config(own, "c2", make.variant("main", ModelName="one"))
    create(own, "c")
    (fleet,) = wait_for(lambda: own.sagemaker.hosting.endpoints._deployments._alive)
    variant = fleet.variants()[0]
    wait_for(lambda: variant.alive and listens(variant.port))
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(own))
    assert not variant.alive
    serve(own, "c2")
    assert ask(own)["name"] == "one"


def test_clients_that_never_pause_get_every_answer_through_many_updates(own: Own) -> None:
    names = [f"m{number}" for number in range(6)]
    for name in names:
        model(own, name)
        config(own, name, make.variant("main", ModelName=name))
    serve(own, "m0")
    seen: set[str] = set()
    failures: list[BaseException] = []
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            try:
                seen.add(ask(own)["name"])
            except BaseException as error:
                failures.append(error)

    clients = [threading.Thread(target=send) for _ in range(8)]
    for client in clients:
        client.start()
    for name in names[1:]:
        update(own, name)
        assert settled(own)["EndpointConfigName"] == name
        wait_for(lambda name=name: name in seen)
    done.set()
    for client in clients:
        client.join()
    assert failures == []
    assert seen == set(names)


def test_a_request_that_chose_a_variant_just_before_it_was_replaced_is_answered_by_the_next(own: Own) -> None:
    for name in ("one", "two"):
        model(own, name)
        config(own, name, make.variant("main", ModelName=name))
    serve(own, "one")
    old = only_variant(own)
    send, chosen, go = old.invoke, threading.Event(), threading.Event()

    def late(headers: Any, body: bytes) -> Any:
        chosen.set()
        assert go.wait(60)
        return send(headers, body)

    old.invoke = late  # type: ignore[method-assign]
    caller, answers = in_background(lambda: ask(own)["name"])
    assert chosen.wait(30)
    update(own, "two")
    settled(own)
    wait_for(lambda: not old.alive)
    go.set()
    caller.join()
    assert answers == ["two"]


def test_of_two_updates_at_once_exactly_one_is_accepted(own: Own) -> None:
    model(own, "one")
    configs = [f"c{number}" for number in range(6)]
    for name in configs:
        config(own, name, make.variant("main", ModelName="one"))
    serve(own, "c0")
    barrier = threading.Barrier(len(configs) - 1)

    def compete(name: str) -> str:
        barrier.wait()
        update(own, name)
        return name

    runs = [in_background(lambda name=name: compete(name)) for name in configs[1:]]
    for thread, _ in runs:
        thread.join()
    outcomes = [ended[0] for _, ended in runs]
    (accepted,) = [outcome for outcome in outcomes if isinstance(outcome, str)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, SageMakerError)]
    assert len(refused) == len(configs) - 2
    assert {error.code for error in refused} == {"ValidationException"}
    assert all("in-progress" in error.message for error in refused)
    assert settled(own)["EndpointConfigName"] == accepted


def test_a_server_that_never_passes_its_health_check_fails_the_endpoint_and_is_ended(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "STARTUP_SECONDS", 1.0)
    model(own, "never", NEVER_READY="1")
    config(own, "c", make.variant("main", ModelName="never"))
    create(own, "c")
    (fleet,) = wait_for(lambda: own.sagemaker.hosting.endpoints._deployments._alive)
    answer = settled(own)
    assert answer["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in answer["FailureReason"]
    assert not fleet.variants()[0].alive
    assert "not found" in refusal(lambda: ask(own)).message


def test_names_that_differ_in_case_alone_are_the_same_endpoint(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    assert "Cannot create already existing endpoint" in refusal(lambda: create(own, "c", "E")).message
