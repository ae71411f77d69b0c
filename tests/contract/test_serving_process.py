"""How the serving process starts, logs, refuses a model and ends: real processes, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from passerelle.contracts.bundle import FORMAT
from tests.serving import (
    GOOD_ROW,
    ROOT,
    RunningServer,
    free_port,
    make_bundle,
    running_server,
    serve_environment,
)
from training.bundle.ensemble import write_ensemble
from training.bundle.plan import read_plan, write_plan
from training.bundle.read import file_sha256
from training.serve.workers import SHORT_LIFE_SECONDS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opt-ml")
    make_bundle("binary", folder / "model", candidate="hist_gradient_boosting")
    return folder


def events(server: RunningServer, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.lines if line.startswith("{")]
    return [line for line in lines if line["event"] == kind]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# The end


def test_a_busy_boosting_server_ends_with_0_on_sigterm_time_after_time(base: Path) -> None:
    for _ in range(4):
        with running_server(base) as server, ThreadPoolExecutor(4) as callers:
            statuses = callers.map(lambda _: server.post({"dataframe_records": [GOOD_ROW]}).status_code, range(200))
            assert set(statuses) == {200}
            assert server.stop() == 0, server.lines
        assert not [line for line in server.lines if "panicked" in line]


def test_requests_in_flight_are_answered_after_sigterm(base: Path) -> None:
    with running_server(base) as server:
        body = json.dumps({"dataframe_records": [GOOD_ROW]}).encode()
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head + body[:40])
            server.client.get("/ping")
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: _refuses(server.port), "the server goes on listening after SIGTERM")
            connection.sendall(body[40:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert server.process.wait(30) == 0


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_while_the_model_is_loaded_ends_with_0(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / "manifest.json")  # its reader waits, as for a slow disk
    with started(tmp_path, {}) as process:
        wait_until(lambda: _is_read(tmp_path / "model" / "manifest.json"), "nobody reads the manifest")
        process.terminate()
        assert process.wait(30) == 0


def _is_read(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


# Workers


def test_as_many_workers_serve_as_sagemaker_asks_for_and_all_end_with_0(base: Path) -> None:
    with running_server(base, extra={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}) as server:
        parent = psutil.Process(server.process.pid)
        wait_until(lambda: len(events(server, "serving")) == 2, "the second worker does not serve")
        workers = parent.children(recursive=True)
        assert len(workers) == 2
        assert server.post({"dataframe_records": [GOOD_ROW]}).status_code == 200
        assert server.stop() == 0, server.lines
        assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_no_worker_outlives_a_supervisor_that_was_killed(base: Path) -> None:
    with running_server(base, extra={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}) as server:
        workers = psutil.Process(server.process.pid).children(recursive=True)
        wait_until(lambda: len(events(server, "serving")) == 2, "the second worker does not serve")
        server.process.kill()
        assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_a_worker_that_dies_is_replaced_and_one_that_dies_at_once_ends_them_all(base: Path) -> None:
    with running_server(base, extra={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}) as server:
        wait_until(lambda: len(events(server, "serving")) == 2, "the second worker does not serve")
        parent = psutil.Process(server.process.pid)
        first, second = parent.children()
        time.sleep(SHORT_LIFE_SECONDS)  # one that has lived so long has served
        first.kill()
        wait_until(lambda: len(events(server, "serving")) == 3, "the dead worker is not replaced")
        assert server.post({"dataframe_records": [GOOD_ROW]}).status_code == 200
        workers = {worker.pid for worker in parent.children()}
        second.kill()
        wait_until(lambda: {worker.pid for worker in parent.children()} - workers != set(), "no replacement")
        next(worker for worker in parent.children() if worker.pid not in workers).kill()
        assert server.process.wait(60) != 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "many"),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "0"),
        ("SAGEMAKER_BIND_TO_PORT", "99999"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "-1"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_starts(base: Path, name: str, value: str) -> None:
    with started(base, {name: value}) as process:
        assert process.wait(60) == 2
        _, words = process.communicate()
    assert name in words
    assert value in words
    assert "Traceback" not in words


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_another_server_has_is_named_with_the_remedy_and_never_shared(base: Path, workers: str) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        settings = {"SAGEMAKER_BIND_TO_PORT": taken, "SAGEMAKER_MODEL_SERVER_WORKERS": workers}
        with started(base, settings) as process:
            assert process.wait(60) == 2
            _, words = process.communicate()
    assert f"cannot listen on 127.0.0.1, port {taken}: Address already in use" in words
    assert "SAGEMAKER_BIND_TO_PORT" in words
    assert "Traceback" not in words


def test_the_limit_of_a_body_is_sagemakers_variable(base: Path) -> None:
    rows = {"dataframe_records": [GOOD_ROW] * 20_000}  # about 2.4 MB
    with running_server(base, extra={"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}) as server:
        assert server.post(rows).status_code == 413


# The start


def test_a_model_with_a_plan_is_served_without_the_libraries_that_trained_it(base: Path) -> None:
    with running_server(base, python=("-X", "importtime")) as server:
        assert server.post({"dataframe_records": [GOOD_ROW] * 50}).status_code == 200
        assert events(server, "serving")[0]["plan"] is True
        imported = {line.rpartition("|")[2].strip() for line in server.lines if line.startswith("import time:")}
    assert "numpy" in imported
    assert not imported & {"sklearn", "scipy", "pandas", "skops", "xgboost", "mlflow", "boto3", "pyarrow"}


def test_a_model_without_a_plan_gives_the_same_answers(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base / "model", tmp_path / "model")
    without_plan(tmp_path / "model")
    rows = {"dataframe_records": [GOOD_ROW, GOOD_ROW | {"wind": None, "tailnum": None, "carrier": "new"}]}
    with running_server(base) as planned, running_server(tmp_path) as plain:
        assert events(plain, "serving")[0]["plan"] is False
        given, wanted = planned.post(rows).json(), plain.post(rows).json()
    assert np.allclose(given.pop("probabilities"), wanted.pop("probabilities"), rtol=0, atol=1e-6)
    assert given == wanted


# The log


def test_each_request_leaves_one_json_line_without_any_of_its_values(base: Path) -> None:
    with running_server(base) as server:
        server.post({"dataframe_records": [GOOD_ROW | {"tailnum": "SECRET-1"}] * 3},
                    X_Amzn_SageMaker_Inference_Id="mine-1")  # fmt: skip
        refusal = server.post({"dataframe_records": [GOOD_ROW | {"hour": "SECRET-2"}]}).json()["error"]
        server.client.get("/ping")
        wait_until(lambda: len(events(server, "request")) == 2, f"no two lines: {server.lines}")
        good, bad = events(server, "request")
        assert {"time", "status", "rows", "ms", "request_id"} <= good.keys()
        assert (good["status"], good["rows"], good["request_id"]) == (200, 3, "mine-1")
        assert (bad["status"], bad["code"], bad["request_id"]) == (400, "wrong_type", refusal["request_id"])
        assert "SECRET" not in "".join(server.lines)


# Models that must not be served


@contextmanager
def started(base: Path, extra: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a server that is not expected to serve; leave none behind."""
    with subprocess.Popen(
        [sys.executable, "-m", "training", "serve"],
        cwd=ROOT,
        env={**serve_environment(base, free_port()), **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refusal_of(base: Path, **extra: str) -> str:
    """Serve a bad bundle; return what the log says: one line that names the reason and the remedy."""
    with started(base, extra) as process:
        assert process.wait(120) == 1
        _, words = process.communicate()
    assert "The model is refused: " in words
    assert "Traceback" not in words
    return words


def seal(model: Path, **changes: Any) -> None:
    """Write a manifest that fits the files as they are now."""
    names = sorted(item.name for item in model.iterdir() if item.name != "manifest.json")
    manifest = {"format": FORMAT, "files": {name: file_sha256(model / name) for name in names}} | changes
    (model / "manifest.json").write_text(json.dumps(manifest))


def newer_format(model: Path) -> None:
    seal(model, format=FORMAT + 1)


def truncated(model: Path) -> None:
    body = (model / "model.skops").read_bytes()
    (model / "model.skops").write_bytes(body[: len(body) // 2])


def without_plan(model: Path) -> None:
    (model / "plan.npz").unlink()
    seal(model)


def truncated_and_sealed(model: Path) -> None:
    truncated(model)
    without_plan(model)


def broken_plan(model: Path) -> None:
    (model / "plan.npz").write_bytes(b"PK\x03\x04 nothing")
    seal(model)


def plan_that_points_outside(model: Path) -> None:
    plan = read_plan((model / "plan.npz").read_bytes())
    children = plan.arrays["children"].copy()
    children[0] = 10**9
    graph = write_ensemble(plan.description, {**plan.arrays, "children": children})
    (model / "plan.npz").write_bytes(write_plan(plan.description, {**plan.arrays, "graph": graph}))
    seal(model)


def untrusted_type(model: Path) -> None:
    import skops.io

    skops.io.dump({"model": subprocess.Popen.__init__}, model / "model.skops")
    without_plan(model)


def no_signature(model: Path) -> None:
    (model / "signature.json").unlink()
    seal(model)


def unknown_field(model: Path) -> None:
    metadata = json.loads((model / "metadata.json").read_text())
    (model / "metadata.json").write_text(json.dumps(metadata | {"from_the_future": 1}))
    seal(model)


def another_answer(model: Path) -> None:
    example = json.loads((model / "input_example.json").read_text())
    example["probabilities"] = [[1.0, 0.0]] * len(example["probabilities"])
    (model / "input_example.json").write_text(json.dumps(example))
    seal(model)


def example_of_another_model(model: Path) -> None:
    example = json.loads((model / "input_example.json").read_text())
    del example["probabilities"]
    (model / "input_example.json").write_text(json.dumps(example))
    seal(model)


def an_mlflow_model(model: Path) -> None:
    shutil.rmtree(model)
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}")


@pytest.mark.parametrize(
    ("harm", "reason", "remedy"),
    [
        (newer_format, f"bundle format {FORMAT + 1} is newer than this image", "Deploy the image that trained"),
        (truncated, "model.skops: its SHA-256 is not the manifest's", "Train the model again"),
        (truncated_and_sealed, "model.skops: not a readable skops file", "Train the model again"),
        (untrusted_type, "types that are not on the allow-list", "Nothing of it was loaded"),
        (broken_plan, "plan.npz: cannot be read", "Train again"),
        (plan_that_points_outside, "the plan's trees are refused by ONNX Runtime", "Train the model again"),
        (no_signature, "signature.json: missing", "Train the model again"),
        (
            unknown_field,
            "metadata.json: not valid: Object contains unknown field `from_the_future`",
            "Train the model again",
        ),
        (another_answer, "answers its own example with", "Deploy the image that trained it"),
        (example_of_another_model, "cannot answer its own example", "Train it again"),
        (an_mlflow_model, "there is no manifest.json; it holds MLmodel", "ModelDataUrl"),
        (shutil.rmtree, "it is empty", "ModelDataUrl"),
    ],
)
def test_a_model_that_must_not_be_served_is_refused_with_reason_and_remedy(
    base: Path, tmp_path: Path, harm: Callable[[Path], None], reason: str, remedy: str
) -> None:
    shutil.copytree(base / "model", tmp_path / "model")
    harm(tmp_path / "model")
    words = refusal_of(tmp_path)
    assert reason in words
    assert remedy in words


def test_all_workers_end_when_the_model_is_refused(tmp_path: Path) -> None:
    words = refusal_of(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    assert "giving up" in words
