"""Endpoints through deletions, updates and restarts that cross each other: nothing is lost, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    config,
    create,
    described,
    gone,
    model,
    only_variant,
    serve,
    settled,
    status,
    update,
)
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own"]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Path]:
    """A file that keeps servers of models with HOLD from answering while it exists."""
    path = tmp_path / "hold"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def refusal(call: Callable[[], object]) -> SageMakerError:
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
    return bool(only_variant(own)._busy)


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
    model(own, "never", NEVER_READY="1")
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="never"))
    config(own, "c2", make.variant("main", ModelName="one"))
    create(own, "c")
    (fleet,) = wait_for(lambda: own.sagemaker.hosting.endpoints._deployments._alive)
    variant = fleet.variants()[0]
    wait_for(lambda: variant.alive)
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


def test_a_deleted_endpoints_server_is_never_started_again(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    variant = only_variant(own)
    start, entered, go = variant.start, threading.Event(), threading.Event()

    def held(cancelled: threading.Event) -> None:
        entered.set()
        assert go.wait(60)
        start(cancelled)

    variant.start = held  # type: ignore[method-assign]
    assert variant.pid is not None
    os.kill(variant.pid, signal.SIGKILL)
    assert entered.wait(30), "the watch tries to start it again"
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(own))
    go.set()
    own.sagemaker.hosting.endpoints._deployments._watcher.close()
    assert not variant.alive


def test_a_slow_restart_of_one_endpoint_does_not_keep_another_from_its_own(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c", "slow")
    serve(own, "c", "e")
    slow, quick, go = only_variant(own, "slow"), only_variant(own), threading.Event()
    entered = threading.Event()

    def held(cancelled: threading.Event) -> None:
        entered.set()
        assert go.wait(60)

    slow.start = held  # type: ignore[method-assign]
    for variant in (slow, quick):
        assert variant.pid is not None
        os.kill(variant.pid, signal.SIGKILL)
    assert entered.wait(30)
    wait_for(lambda: quick.alive and quick.ping())
    go.set()


def test_the_watch_goes_on_after_a_disk_that_is_full(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    variant = only_variant(own)
    start, attempts = variant.start, []

    def flaky(cancelled: threading.Event) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("no space left on device")
        start(cancelled)

    variant.start = flaky  # type: ignore[method-assign]
    assert variant.pid is not None
    os.kill(variant.pid, signal.SIGKILL)
    wait_for(lambda: len(attempts) == 2 and variant.alive and variant.ping())
    assert ask(own)["name"] == "one"


def test_a_server_comes_back_from_a_crash_though_its_model_is_gone_from_s3(own: Own, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "weights.txt").write_text("7")
    archive = Path(shutil.make_archive(str(tmp_path / "model"), "gztar", tmp_path / "pack"))
    own.around.bucket.put_object(Bucket="contract", Key="m/model.tar.gz", Body=archive.read_bytes())
    url = "s3://contract/m/model.tar.gz"
    own.call("CreateModel", make.model("one", PrimaryContainer__ModelDataUrl=url))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    own.around.bucket.path("contract", "m/model.tar.gz").unlink()
    variant = only_variant(own)
    first = variant.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: variant.pid != first and variant.alive and variant.ping())
    assert "model/weights.txt" in ask(own, b"files")["body"]


def test_after_a_restart_an_endpoint_is_in_service_only_when_its_servers_answer(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    own.sagemaker.close()
    own.open(start=False)
    assert status(own) == "SystemUpdating"
    error = refusal(lambda: ask(own))
    assert (error.code, error.status) == ("ServiceUnavailable", 503), "clients try again"
    assert "in-progress" in refusal(lambda: own.call("DeleteEndpoint", {"EndpointName": "e"})).message
    own.sagemaker.start()
    wait_for(lambda: status(own) == "InService")
    assert ask(own)["name"] == "one"
    events = [detail["EndpointStatus"] for _, detail in own.around.events]
    assert events == ["SYSTEM_UPDATING", "IN_SERVICE"]


def test_an_update_that_a_restart_interrupts_goes_on_while_the_old_model_serves(own: Own, tmp_path: Path) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    gate = tmp_path / "gate"
    model(own, "two", READY_WHEN=str(gate))
    config(own, "c2", make.variant("main", ModelName="two"))
    serve(own, "c")
    update(own, "c2")
    assert own.call("DescribeEndpoint", {"EndpointName": "e"})["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
    own.reopen()
    wait_for(lambda: "e" in own.sagemaker.hosting.runtime.fleets)
    assert ask(own)["name"] == "one", "the old model serves while the update goes on"
    assert (status(own), described(own)["EndpointConfigName"]) == ("Updating", "c")
    gate.touch()
    assert settled(own)["EndpointConfigName"] == "c2"
    assert ask(own)["name"] == "two"
    assert "PendingDeploymentSummary" not in described(own)


def test_an_update_that_fails_after_a_restart_leaves_the_old_model_in_service(own: Own, tmp_path: Path) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    gate = tmp_path / "gate"
    model(own, "broken", EXIT_WHEN=str(gate), NEVER_READY="1")
    config(own, "c2", make.variant("main", ModelName="broken"))
    serve(own, "c")
    update(own, "c2")
    own.reopen()
    gate.touch()
    answer = settled(own)
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("InService", "c")
    assert "exited" in answer["FailureReason"]
    assert ask(own)["name"] == "one"


def test_a_deletion_that_a_restart_interrupts_is_finished(own: Own, hold: Path) -> None:
    model(own, "held", HOLD=str(hold))
    config(own, "c", make.variant("main", ModelName="held"))
    serve(own, "c")
    caller, _ = in_background(lambda: ask(own))
    wait_for(lambda: busy(own))
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    own.reopen()
    caller.join()
    wait_for(lambda: gone(own))
    assert not (own.settings.sagemaker_home / "endpoints" / "e").exists()


def test_a_restart_needs_neither_the_model_nor_anything_else_but_the_endpoint(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    own.call("DeleteModel", {"ModelName": "one"})
    own.reopen()
    assert settled(own)["EndpointStatus"] == "InService"
    assert ask(own)["name"] == "one"


def test_an_endpoint_that_does_not_come_back_is_failed_with_the_reason(own: Own, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    model(own, "one", EXIT_WHEN=str(gate))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    own.sagemaker.close()
    gate.touch()
    own.open()
    answer = settled(own)
    assert answer["EndpointStatus"] == "Failed"
    assert "exited" in answer["FailureReason"]
    assert "only be deleted" in refusal(lambda: update(own, "c")).message
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(own))


def test_closing_waits_for_no_request_and_leaves_no_process(own: Own, hold: Path) -> None:
    model(own, "held", HOLD=str(hold))
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="held"))
    config(own, "c2", make.variant("main", ModelName="one"))
    serve(own, "c")
    caller, _ = in_background(lambda: ask(own))
    wait_for(lambda: busy(own))
    old = only_variant(own)
    update(own, "c2")
    settled(own)
    assert old.alive, "it drains"
    new = only_variant(own)
    own.sagemaker.close()
    assert not old.alive
    assert not new.alive
    caller.join()
    own.open()


def test_names_that_differ_in_case_alone_are_the_same_endpoint(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    assert "Cannot create already existing endpoint" in refusal(lambda: create(own, "c", "E")).message
