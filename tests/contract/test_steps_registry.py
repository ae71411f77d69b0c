"""A run's models reach a real MLflow server whole and once, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from laptop.platform import MLFLOW, up
from laptop.processes import Processes
from passerelle.aws.experiment_log import ExperimentLog
from passerelle.errors import InputError, NotFoundError, TransientError
from passerelle.settings import PromoteModelSettings, RegisterModelSettings
from passerelle.steps.promote_model import promote_model
from passerelle.steps.register_model import register_model
from tests.laptop_platform import LaptopPlatform
from tests.unit.steps import results
from tests.unit.steps.registry import FILES, World
from tests.unit.steps.world import ROOT, embedded

#: Dies by SIGKILL at the n-th call of a method of MLflow's client, having done what `half` says.
KILLER = """
import json, os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from passerelle.settings import RegisterModelSettings
from passerelle.steps.register_model import register_model

method, request, settings = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
real = getattr(MlflowClient, method)

def die(client, *arguments, **options):
    if method == "log_model_artifacts":
        model, folder = arguments
        client.log_model_artifact(model, str(Path(folder) / "MLmodel"))
    else:
        real(client, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(MlflowClient, method, die)
register_model(request, RegisterModelSettings(**settings))
"""


@pytest.fixture
def world(platform: LaptopPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded(platform.settings, monkeypatch):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield World(platform)


def _promotion(version: str, run_id: str = "r1") -> dict[str, Any]:
    return {
        "project": "flights", "run_id": run_id, "attempt": 1, "model_version": version,
        "model_data_url": f"s3://models/{run_id}.tar.gz", "endpoint_name": "e",
        "endpoint": {"EndpointName": "e", "EndpointConfigName": f"e-{run_id}"},
    }  # fmt: skip


def _promote(world: World, version: str, run_id: str = "r1", **changes: Any) -> dict[str, Any]:
    settings = PromoteModelSettings(**world.shared, tracking_uri=world.uri)
    return promote_model(_promotion(version, run_id) | changes, settings)


# Registering


def test_every_candidate_is_told_and_the_chosen_one_challenges(world: World) -> None:
    answer = register_model(world.finish_training(), world.settings)
    assert answer == {
        "project": "flights",
        "run_id": "r1",
        "attempt": 1,
        "status": "passed",
        "model_version": "1",
        "model_data_url": answer["model_data_url"],
    }
    assert answer["model_data_url"].endswith("/flights-r1-train-1/output/model.tar.gz")
    runs = {run.info.run_name: run for run in world.runs()}
    assert {name: run.info.status for name, run in runs.items()} == {
        "r1": "FINISHED", "forest": "FINISHED", "broken": "FAILED",
    }  # fmt: skip
    assert runs["forest"].data.tags["mlflow.parentRunId"] == runs["r1"].info.run_id
    assert runs["forest"].data.metrics["test_roc_auc"] == 0.8
    assert runs["broken"].data.tags["passerelle.error"] == "ValueError: no"
    (version,) = world.versions()
    assert world.stored(version) == {"MLmodel": 12, "model.skops": 2_000_000}
    assert version.tags["passerelle.bundle"].endswith("/flights-r1-train-1/output/model.tar.gz")
    assert (world.alias("challenger"), world.alias("champion")) == ("1", None)
    record = world.table.need("flights", "r1")
    assert record.model_version == "1"
    assert record.mlflow_url == (
        f"{world.uri}/#/experiments/{runs['r1'].info.experiment_id}/runs/{runs['r1'].info.run_id}"
    )
    assert [(stage.stage, stage.status) for stage in record.stages[1:]] == [("register", "done"), ("deploy", "running")]


def test_a_refused_model_is_kept_with_the_reasons_and_challenges_nobody(world: World) -> None:
    assert register_model(world.finish_training(gate="refused"), world.settings)["status"] == "refused"
    (version,) = world.versions()
    assert version.tags["passerelle.reasons"] == "It is no better than guessing."
    assert world.alias("challenger") is None
    assert [stage.stage for stage in world.table.need("flights", "r1").stages[1:]] == ["register"]


def test_a_refused_model_is_promoted_by_nobody_even_by_hand(world: World) -> None:
    register_model(world.finish_training(gate="refused"), world.settings)
    with pytest.raises(InputError, match=r"The gate refused the model of run r1.* It must not be served"):
        _promote(world, "1")
    assert world.alias("champion") is None
    assert world.table.item("flights", "CHAMPION") is None


def test_a_request_that_claims_another_verdict_than_the_gates_changes_nothing(world: World) -> None:
    request = world.finish_training(gate="refused") | {"status": "passed"}
    assert register_model(request, world.settings)["status"] == "refused"
    assert world.alias("challenger") is None


def test_registering_twice_changes_nothing(world: World) -> None:
    request = world.finish_training()
    first = register_model(request, world.settings)
    told = {run.info.run_id: (run.info.end_time, run.data.metrics, run.data.tags) for run in world.runs()}
    assert register_model(request, world.settings) == first
    again = {run.info.run_id: (run.info.end_time, run.data.metrics, run.data.tags) for run in world.runs()}
    parent = next(run.info.run_id for run in world.runs() if run.info.run_name == "r1")
    assert {key: value for key, value in again.items() if key != parent} == {
        key: value for key, value in told.items() if key != parent
    }
    assert set(again) == set(told)
    assert len(world.versions()) == 1


def test_the_next_run_gets_the_next_version(world: World) -> None:
    for number, run_id in enumerate(("r1", "r2"), start=1):
        assert register_model(world.finish_training(run_id), world.settings)["model_version"] == str(number)
    assert world.alias("challenger") == "2"


@pytest.mark.parametrize(
    "method",
    ["create_run", "log_batch", "create_logged_model", "log_model_artifacts", "finalize_logged_model", "log_artifacts",
     "create_registered_model", "create_model_version", "set_registered_model_alias"],
)  # fmt: skip
def test_f25_a_registration_killed_on_its_way_is_completed_by_the_next_try(
    world: World, method: str, tmp_path: Path
) -> None:
    request = world.finish_training()
    script = tmp_path / "killer.py"
    script.write_text(KILLER)
    settings = {**world.shared, "zones": world.buckets, "tracking_uri": world.uri, "git_sha": "abc", "lock_hash": "def"}
    command = [sys.executable, str(script), method, json.dumps(request), json.dumps(settings)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    if method not in ("create_model_version", "set_registered_model_alias"):
        assert world.alias("challenger") is None, "half a story must not challenge"
    assert register_model(request, world.settings)["model_version"] == "1"
    (version,) = world.versions()
    assert version.status == "READY"
    assert world.stored(version) == {"MLmodel": 12, "model.skops": 2_000_000}
    assert world.alias("challenger") == "1"
    assert sorted(run.info.run_name for run in world.runs()) == ["broken", "forest", "r1"]
    experiment = world.runs()[0].info.experiment_id
    assert len(list(world.mlflow.search_logged_models([experiment]))) == 1


def test_what_a_lost_answer_made_twice_is_one_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client sends a request again when its answer is lost, also one that creates something."""
    for name in ("create_run", "create_logged_model", "create_model_version"):
        real = getattr(MlflowClient, name)

        def twice(client: Any, *arguments: Any, real: Any = real, **options: Any) -> Any:
            real(client, *arguments, **options)
            return real(client, *arguments, **options)

        monkeypatch.setattr(MlflowClient, name, twice)
    request = world.finish_training()
    first = register_model(request, world.settings)
    assert register_model(request, world.settings) == first
    assert sorted(run.info.run_name for run in world.runs()) == ["broken", "forest", "r1"]
    assert len(list(world.mlflow.search_logged_models([world.runs()[0].info.experiment_id]))) == 1
    assert [version.version for version in world.versions()] == [first["model_version"]]


def test_an_experiment_that_somebody_deleted_comes_back(world: World) -> None:
    register_model(world.finish_training(), world.settings)
    world.mlflow.delete_experiment(world.runs()[0].info.experiment_id)
    assert register_model(world.finish_training("r2"), world.settings)["model_version"] == "2"


def test_nothing_secret_reaches_mlflow_or_the_runs_record(world: World) -> None:
    request = world.finish_training()
    trained = json.loads(results.trained().model_dump_json())
    trained["candidates"][1]["error"] = (
        "OSError: https://user:hunter2@host/x?X-Amz-Signature=feed01&X-Amz-Credential=AKIAABCDEFGHIJKLMNOP password=hunter2"
    )
    whole = FILES | {"result.json": json.dumps(trained).encode()}
    results.put_training_output(world, results.archive(whole))
    with_password = world.uri.replace("http://", "http://admin:hunter2@")
    settings = RegisterModelSettings(
        **world.shared, zones=world.buckets, tracking_uri=with_password, git_sha="abc", lock_hash="def"
    )
    register_model(request, settings)
    shown = [world.table.need("flights", "r1").model_dump_json()]
    shown += [json.dumps({**run.data.tags, **run.data.params}) for run in world.runs()]
    shown += [json.dumps(version.tags) for version in world.versions()]
    for secret in ("hunter2", "feed01", "AKIAABCDEFGHIJKLMNOP"):
        assert not [text for text in shown if secret in text], secret
    tags = {tag for run in world.runs() for tag in run.data.tags if not tag.startswith("passerelle.")}
    assert tags <= {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content", "mlflow.user",
        "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit",
    }  # fmt: skip


def test_an_earlier_attempt_registers_nothing_any_more(world: World) -> None:
    request = world.finish_training()
    world.begin_run(attempt=2)
    with pytest.raises(InputError, match="attempt 2 has begun"):
        register_model(request, world.settings)
    assert world.mlflow.get_experiment_by_name(f"flights-{world.environment}") is None


# MLflow down, slow, or refusing


def test_f22_with_mlflow_down_both_steps_ask_to_be_tried_again_and_then_succeed(world: World) -> None:
    request, settings = world.finish_training(), world.platform.settings
    Processes(settings).stop(MLFLOW)
    try:
        with pytest.raises(TransientError, match=r"MLflow at http.* does not answer"):
            register_model(request, world.settings)
        with pytest.raises(TransientError, match="does not answer"):
            _promote(world, "1")
        assert world.table.need("flights", "r1").model_version is None
        assert world.table.item("flights", "CHAMPION") is None
    finally:
        up(settings)
    assert register_model(request, world.settings)["model_version"] == "1"
    _promote(world, "1")
    assert world.alias("champion") == "1"


class _Answer(BaseHTTPRequestHandler):
    """A server that answers every request with one status, or never."""

    status, silence = 200, threading.Event()

    def do_GET(self) -> None:
        if self.status == 0:
            self.silence.wait(30)
            return
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html>no</html>")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def strange_server() -> Iterator[Any]:
    """Start a server that gives one status."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int) -> str:
        handler = type("Handler", (_Answer,), {"status": status, "silence": threading.Event()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.RequestHandlerClass.silence.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_a_server_that_is_silent_or_busy_is_tried_again(
    world: World, strange_server: Any, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    settings = PromoteModelSettings(**world.shared, tracking_uri=strange_server(status))
    world.begin_run(gate={"status": "passed"})
    with pytest.raises(TransientError, match=r"MLflow at http://127\.0\.0\.1"):
        promote_model(_promotion("1"), settings)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_server_that_refuses_is_not_tried_again(world: World, strange_server: Any, status: int) -> None:
    settings = PromoteModelSettings(**world.shared, tracking_uri=strange_server(status))
    world.begin_run(gate={"status": "passed"})
    with pytest.raises(MlflowException):
        promote_model(_promotion("1"), settings)


def test_a_server_too_slow_for_the_functions_time_is_left_in_good_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = world.finish_training()
    with monkeypatch.context() as patch:
        patch.setitem(ExperimentLog.__init__.__kwdefaults__, "patience_seconds", -1)
        with pytest.raises(TransientError, match="too slow; what is told so far is kept"):
            register_model(request, world.settings)
    assert register_model(request, world.settings)["model_version"] == "1"


# Promoting


def test_the_champion_before_is_archived_and_promoting_twice_changes_nothing(world: World) -> None:
    for number, run_id in (("1", "r1"), ("2", "r2")):
        register_model(world.finish_training(run_id), world.settings)
        _promote(world, number, run_id)
    champion = world.table.item("flights", "CHAMPION")
    record = world.table.need("flights", "r2")
    assert (world.alias("champion"), world.alias("archived")) == ("2", "1")
    assert _promote(world, "2", "r2")["model_version"] == "2"
    assert (world.alias("champion"), world.alias("archived")) == ("2", "1")
    assert world.table.item("flights", "CHAMPION") == champion
    again = world.table.need("flights", "r2")
    assert again.model_copy(update={"updated_at": record.updated_at}) == record
    assert (record.endpoint_name, record.stages[-1].status) == ("e", "done")


def test_aliases_follow_promotion_refusal_and_going_back(world: World) -> None:
    def aliases() -> dict[str, str]:
        return dict(world.mlflow.get_registered_model(world.model).aliases)

    register_model(world.finish_training("r1"), world.settings)
    assert aliases() == {"challenger": "1"}
    _promote(world, "1", "r1")
    assert aliases() == {"champion": "1"}, "what is served challenges no longer"
    register_model(world.finish_training("r2"), world.settings)
    assert aliases() == {"champion": "1", "challenger": "2"}
    _promote(world, "2", "r2")
    assert aliases() == {"champion": "2", "archived": "1"}
    register_model(world.finish_training("r3", gate="refused"), world.settings)
    assert aliases() == {"champion": "2", "archived": "1"}
    register_model(world.finish_training("r4"), world.settings)
    _promote(world, "1", "r1")  # `passerelle redeploy --version 1`
    assert aliases() == {"champion": "1", "archived": "2", "challenger": "4"}


def test_f25_a_promotion_killed_between_the_aliases_is_completed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, run_id in (("1", "r1"), ("2", "r2")):
        register_model(world.finish_training(run_id), world.settings)
        if number == "1":
            _promote(world, number, run_id)
    real = MlflowClient.set_registered_model_alias

    def die(client: Any, name: str, alias: str, version: str) -> None:
        real(client, name, alias, version)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", die)
        with pytest.raises(SystemExit):
            _promote(world, "2", "r2")
    assert (world.alias("champion"), world.alias("archived")) == ("1", "1")
    _promote(world, "2", "r2")
    assert (world.alias("champion"), world.alias("archived")) == ("2", "1")


def test_a_version_that_somebody_deleted_is_named_with_the_remedy(world: World) -> None:
    register_model(world.finish_training(), world.settings)
    with pytest.raises(NotFoundError, match=rf"no version 7 of {world.model}.*Retry the run"):
        _promote(world, "7")
    assert world.alias("champion") is None


def test_an_earlier_attempt_promotes_nothing(world: World) -> None:
    register_model(world.finish_training(), world.settings)
    world.begin_run(attempt=2)
    with pytest.raises(InputError, match="attempt 2 has begun"):
        _promote(world, "1")
    assert world.alias("champion") is None
