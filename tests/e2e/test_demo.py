"""`make demo` as a new user has it: interrupted at any moment, then run to its end, then run again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.platform import ROOT, DeployedLaptop, free_port

#: The first minute holds every kind of moment: imports, starts, the deployment, the upload, jobs.
MOMENTS = ((0, 1), (1, 4), (4, 9), (9, 20), (20, 40), (40, 60))
FLIGHT = {
    "day": 1, "sched_dep_time": 2130, "sched_arr_time": 14, "carrier": "B6", "tailnum": "N618JB", "origin": "LGA",
    "dest": "FLL", "distance": 1076, "hour": 21, "minute": 30, "time_hour": "2013-08-02T01:00:00Z",
}  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> Iterator[DeployedLaptop]:
    folder = Path(tempfile.mkdtemp(prefix="passerelle-demo-"))
    laptop = DeployedLaptop(folder / "home", free_port(), free_port(), ROOT / "projects")
    try:
        yield laptop
    finally:
        laptop.passerelle("down", "--delete-state", "--yes", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _demo(laptop: DeployedLaptop, *options: str) -> subprocess.Popen[str]:
    """Start the demo as a terminal does: in the foreground group of a session of its own, Ctrl-C not ignored."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *options, "demo"],
        cwd=ROOT,
        env=laptop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_as_in_a_terminal,
    )


def _as_in_a_terminal() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would the demo that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _left(laptop: DeployedLaptop) -> list[str]:
    """Return what still runs for this platform, by what only its own processes have in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.environ().get("PASSERELLE_HOME") == str(laptop.home) and process.status() != "zombie":
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _moments() -> list[float]:
    draw = random.Random(20)
    return [round(draw.uniform(low, high), 2) for low, high in MOMENTS]


@pytest.mark.parametrize("seconds", _moments())
def test_ctrl_c_at_any_moment_leaves_nothing_running(machine: DeployedLaptop, seconds: float) -> None:
    process = _demo(machine)
    try:
        output, errors = process.communicate(timeout=seconds)
        pytest.fail(f"the demo ended before {seconds} s: {output}{errors}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT), output + errors
    assert _left(machine) == []
    assert not _listens(machine.port)
    assert not _listens(machine.mlflow_port)


def test_after_interruptions_the_demo_serves_real_predictions(machine: DeployedLaptop) -> None:
    process = _demo(machine, "--json")
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors[-4000:]
    answer = json.loads(output)
    assert len(answer["predictions"]["predictions"]) == len(answer["flights"]) == 5
    runs = json.loads(machine.passerelle("--json", "runs", "--project", "flights").stdout)
    assert runs[0]["status"] == "succeeded", runs[0]["error"]
    scores = {candidate["name"]: candidate["score"] for candidate in runs[0]["candidates"]}
    assert scores.keys() >= {"baseline", "logistic", "random_forest", "hist_gradient_boosting", "xgboost"}
    assert max(scores, key=lambda name: scores[name]) != "baseline"
    files = [file["key"] for run in runs for file in run["files"] if run["status"] == "succeeded"]
    assert len(files) == len(set(files)) == 6, files


def test_the_platform_stays_up_for_the_other_commands(machine: DeployedLaptop) -> None:
    status = json.loads(machine.passerelle("--json", "status").stdout)
    assert all(process["running"] for process in status["platform"]["processes"])
    assert [item["endpoint_status"] for item in status["projects"]] == ["InService"]
    shown = machine.passerelle("runs", "show", "latest").stdout
    for words in ("Files", "Candidates", "Stages", "chosen", "On AWS, USD", "Model version"):
        assert words in shown, shown
    logged = machine.passerelle("logs", "run", "latest", "--stage", "train").stdout
    assert re.search(r'"event": ?"model_chosen"', logged), logged[-2000:]
    assert "REPORT" in machine.passerelle("logs", "lambda", "claim_drop").stdout


def test_the_endpoint_explains_a_flight_and_mlflow_shows_why_the_model_answers_so(machine: DeployedLaptop) -> None:
    row = json.dumps(FLIGHT)
    answer = json.loads(machine.passerelle("--json", "explain", "flights", "--row", row).stdout)
    (why,) = answer["explanations"]
    assert why["base"] + sum(why["contributions"].values()) == pytest.approx(why["total"])
    assert set(why["contributions"]) <= set(FLIGHT)
    shown = machine.passerelle("explain", "flights", "--row", row, "--top", "3").stdout
    assert f"explained by {answer['explained_by']['method']}" in shown
    run = json.loads(machine.passerelle("--json", "runs", "show", "latest").stdout)
    told = machine.mlflow_artefacts(run, "evaluation") | machine.mlflow_artefacts(run, "evaluation/figures")
    assert told >= {
        f"evaluation/{name}"
        for name in ("explanations.json", "model_card.md", "result.json", "figures/figures.json",
                     "figures/shap_importance.png", "figures/shap_beeswarm.png", "figures/permutation_importance.png",
                     "figures/partial_dependence.png", "figures/roc.png", "figures/precision_recall.png",
                     "figures/calibration.png", "figures/gain.png")
    }  # fmt: skip


def test_the_next_demo_drops_the_next_month_and_compares_with_the_champion(machine: DeployedLaptop) -> None:
    process = _demo(machine)
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:] + errors
    assert "From dropped file to served prediction" in output
    assert "Stacks unchanged" in output
    run = json.loads(machine.passerelle("--json", "runs", "show", "latest").stdout)
    assert [file["key"].rsplit("/", 1)[-1] for file in run["files"]] == ["flights-2013-07.csv"]
    assert any("champion" in check["message"] for check in run["gate"]["checks"]), run["gate"]


def test_down_stops_everything_and_up_serves_the_same_model(machine: DeployedLaptop) -> None:
    machine.passerelle("down")
    assert _left(machine) == []
    refused = machine.passerelle("status", check=False)
    assert refused.returncode == 5
    assert "passerelle up" in refused.stderr
    machine.passerelle("up")
    answer = json.loads(machine.passerelle("--json", "predict", "flights", "--row", json.dumps(FLIGHT)).stdout)
    assert 0 <= answer["probabilities"][0][1] <= 1
