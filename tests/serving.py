"""Small real models, and real servers that serve them, for the tests of serving.

bundle = make_bundle("binary", tmp_path / "opt/ml/model")
with running_server(tmp_path / "opt/ml") as server:
    server.post({"dataframe_records": [GOOD_ROW]})
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import numpy as np

from passerelle.contracts.bundle import BundleMetadata, BundleSignature, SignatureColumn, TaskType
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from training.bundle import Bundle, write_bundle
from training.train.predict import predict

ROOT: Final = Path(__file__).resolve().parents[1]
STARTUP_SECONDS: Final = 60

INPUTS: Final = (
    SignatureColumn(name="hour", type="integer", min=0, max=24),
    SignatureColumn(name="distance", type="number", min=1, max=10_000),
    SignatureColumn(name="wind", type="number", nullable=True),
    SignatureColumn(name="holiday", type="boolean"),
    SignatureColumn(name="carrier", type="category"),
    SignatureColumn(name="tailnum", type="category", nullable=True),
    SignatureColumn(name="time_hour", type="datetime"),
)
NAMES: Final = [column.name for column in INPUTS]
GOOD_ROW: Final[dict[str, Any]] = {
    "hour": 17,
    "distance": 1400.5,
    "wind": 12.5,
    "holiday": False,
    "carrier": "UA",
    "tailnum": "N14228",
    "time_hour": "2013-01-01T10:00:00Z",
}
GOOD_VALUES: Final = list(GOOD_ROW.values())
CSV_LINE: Final = "17,1400.5,12.5,false,UA,N14228,2013-01-01T10:00:00Z"


def rows_of(count: int, seed: int = 7) -> dict[str, list[Any]]:
    """Return made-up rows as columns of plain values, with missing cells where the signature allows them."""
    random = np.random.default_rng(seed)
    moments = np.datetime64("2013-01-01T00:00:00") + random.integers(0, 8_000, count).astype("timedelta64[h]")
    return {
        "hour": random.integers(0, 24, count).tolist(),
        "distance": random.uniform(80, 5_000, count).tolist(),
        "wind": [None if random.random() < 0.1 else float(random.uniform(0, 40)) for _ in range(count)],
        "holiday": [bool(value) for value in random.random(count) < 0.1],
        "carrier": random.choice(["UA", "AA", "DL", "B6"], count).tolist(),
        "tailnum": [None if random.random() < 0.1 else f"N{random.integers(0, 40)}" for _ in range(count)],
        "time_hour": [f"{moment}Z" for moment in moments],
    }


def make_bundle(
    task: TaskType,
    folder: Path,
    *,
    candidate: str = "xgboost",
    threshold: float | None = None,
    rows: int = 600,
    params: Mapping[str, Any] = MappingProxyType({}),
) -> Bundle:
    """Fit a small pipeline of the platform's own making, and write it as a bundle."""
    columns = rows_of(rows)
    frame = typed_frame(columns, INPUTS)
    score = frame["hour"].to_numpy() / 24 + frame["distance"].to_numpy() / 5_000
    labels, classes = _labels(task, score)
    pipeline = make_candidate(
        candidate, task=task, inputs=INPUTS, time_parts=("weekday", "hour"), seed=1, threads=1, params=params
    ).fit(frame, labels)
    example_columns = {name: values[:3] for name, values in columns.items()}
    predicted = predict(pipeline, typed_frame(example_columns, INPUTS), task)
    data = [list(row) for row in zip(*example_columns.values(), strict=True)]
    example: dict[str, Any] = {
        "dataframe_split": {"columns": NAMES, "data": data},
        "predictions": predicted.predictions.tolist(),
    }
    if predicted.probabilities is not None:
        example["probabilities"] = predicted.probabilities.tolist()
    positive = classes[-1] if task == "binary" else None
    return write_bundle(
        folder,
        pipeline=pipeline,
        signature=BundleSignature(task=task, inputs=INPUTS, classes=classes, positive_class=positive),
        example=example,
        profile={"profile": {"rows": rows}},
        metadata=_metadata(candidate, threshold),
        background=frame.head(50),
    )


def _labels(task: TaskType, score: Any) -> tuple[Any, tuple[str, ...]]:
    if task == "regression":
        return score * 100, ()
    if task == "binary":
        return (score > np.median(score)).astype(np.int8), ("0", "1")
    names = np.asarray(["early", "late", "on time"], dtype=object)
    return names[np.digitize(score, np.quantile(score, [0.33, 0.66]))], tuple(names)


def _metadata(candidate: str, threshold: float | None) -> BundleMetadata:
    return BundleMetadata(
        project="flights",
        run_id="r20130101000000-abcdef",
        candidate=candidate,
        dataset_id="d-1",
        contract_hash="c-1",
        git_sha="0" * 40,
        lock_hash="l-1",
        created_at="2013-01-01T00:00:00Z",
        seed=1,
        threshold=threshold,
    )


@dataclass
class RunningServer:
    """A real `serve` process."""

    process: subprocess.Popen[str]
    port: int
    client: httpx.Client
    lines: list[str] = field(default_factory=list)

    def post(self, body: Any, *, content_type: str | None = "application/json", **headers: str) -> httpx.Response:
        """Post JSON (anything but bytes and str), or a body as it is, to /invocations."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            given["content-type"] = content_type
        if isinstance(body, bytes | str):
            return self.client.post("/invocations", content=body, headers=given)
        return self.client.post("/invocations", json=body, headers=given)

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = 30) -> int:
        """Signal the process, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serve_environment(base: Path, port: int, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a `serve` process."""
    given = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(port), "PASSERELLE_BIND_HOST": "127.0.0.1"}
    return {**os.environ, **given, **(extra or {})}


@contextmanager
def running_server(
    base: Path, *, extra: Mapping[str, str] | None = None, python: tuple[str, ...] = ()
) -> Iterator[RunningServer]:
    """Start `python -m training serve` on a free port, wait for its first good ping, and stop it at the end."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *python, "-m", "training", "serve"],
        cwd=ROOT,
        env=serve_environment(base, port, extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        server = RunningServer(process, port, client)
        reader = threading.Thread(target=_read_lines, args=(server,), daemon=True)
        reader.start()
        try:
            _wait_for_ping(server)
            yield server
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            reader.join(10)


def _read_lines(server: RunningServer) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.lines.append(line.rstrip("\n"))


def _wait_for_ping(server: RunningServer) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"the server exited with {server.process.returncode}: {server.lines}")
        try:
            if server.client.get("/ping").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"no good ping within {STARTUP_SECONDS} s: {server.lines}")
