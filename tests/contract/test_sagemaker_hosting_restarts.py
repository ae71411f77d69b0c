"""Endpoints through crashes of their servers and restarts of the platform: they come back, or say why not."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.hosting import watcher
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    busy,
    config,
    create,
    described,
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
    first = variant.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert entered.wait(30), "the watch tries to start it again"
    own.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: gone(own))
    go.set()
    own.sagemaker.hosting.endpoints._deployments._watcher.close()
    assert variant.pid == first


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
    wait_for(lambda: quick.ready)
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
    wait_for(lambda: len(attempts) == 2 and variant.ready)
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
    wait_for(lambda: variant.pid != first and variant.ready)
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


def test_a_server_that_starts_again_gets_no_call_before_it_is_ready(own: Own, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    model(own, "one", READY_WHEN=str(gate))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    variant = only_variant(own)
    first = variant.pid
    assert first is not None
    gate.unlink()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: variant.pid != first and listens(variant.port))
    assert refusal(lambda: ask(own)).code == "ServiceUnavailable"
    gate.touch()
    wait_for(lambda: variant.ready)
    assert ask(own)["name"] == "one"


def test_what_a_killed_platform_left_of_its_servers_files_is_cleared_away(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    left = own.settings.sagemaker_home / "endpoints" / "e" / "main-0" / "opt" / "ml" / "model"
    left.mkdir(parents=True)
    own.reopen()
    settled(own)
    assert not left.exists()
    assert ask(own)["name"] == "one"


def test_a_server_that_hangs_is_ended_and_started_again(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "HEALTH_SECONDS", 0.2)
    monkeypatch.setattr(watcher, "UNHEALTHY_SECONDS", 1.0)
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    variant = only_variant(own)
    first = variant.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    wait_for(lambda: variant.pid != first and variant.ready)
    assert ask(own)["name"] == "one"


def test_who_calls_while_the_platform_ends_is_told_to_try_again(own: Own, hold: Path) -> None:
    model(own, "held", HOLD=str(hold))
    config(own, "c", make.variant("main", ModelName="held"))
    serve(own, "c")
    caller, answers = in_background(lambda: ask(own)["name"])
    wait_for(lambda: busy(own))
    closing, _ = in_background(own.sagemaker.close)
    wait_for(lambda: not own.sagemaker.hosting.runtime.fleets)
    assert refusal(lambda: ask(own)).code == "ServiceUnavailable"
    hold.unlink()
    for thread in (caller, closing):
        thread.join()
    assert answers == ["held"], "the request in flight has its answer"
    own.open()


def test_an_endpoint_that_was_never_in_service_is_not_said_to_come_back(own: Own) -> None:
    model(own, "never", NEVER_READY="1")
    config(own, "c", make.variant("main", ModelName="never"))
    create(own, "c")
    own.reopen()
    assert status(own) == "Creating"
    assert refusal(lambda: ask(own)).code == "ValidationError"


@pytest.mark.parametrize("there", [True, False])
def test_an_endpoint_of_an_earlier_version_comes_back_by_its_configuration(own: Own, there: bool) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")

    def as_it_was(document: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items() if not key.startswith("_")}

    own.sagemaker._store.update("endpoint", "e", as_it_was)
    if not there:
        own.sagemaker._store.delete("endpoint-config", "c")
    own.reopen()
    answer = settled(own)
    if there:
        assert (answer["EndpointStatus"], ask(own)["name"]) == ("InService", "one")
    else:
        assert answer["EndpointStatus"] == "Failed"
        assert "Could not find endpoint configuration c" in answer["FailureReason"]
