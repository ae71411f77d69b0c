"""What is killed or down in mid-run: nothing is lost, and the run says what to do, or goes on by itself."""

from __future__ import annotations

import os
import signal
import time

import psutil

from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import as_csv, make_rows


def _training_process(job: str) -> psutil.Process:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for process in psutil.process_iter():
            try:
                if process.environ().get("TRAINING_JOB_NAME") == job:
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise AssertionError(f"no process of {job}")


def test_a_killed_training_process_fails_the_run_with_a_remedy_that_works(laptop: DeployedLaptop) -> None:
    version = laptop.drop("killed/a.csv", as_csv(make_rows(500)))
    job = laptop.await_stage("killed", "train")["job_name"]
    _training_process(job).kill()
    run = laptop.run_of("killed", "killed/a.csv", version)
    assert run["status"] == "failed"
    assert run["error"]["stage"] == "train"
    assert "SIGKILL" in run["error"]["message"]
    assert f"passerelle runs retry {run['run_id']}" in run["error"]["remedy"]
    laptop.passerelle("runs", "retry", run["run_id"])
    again = laptop.run_of("killed", "killed/a.csv", version)
    assert (again["status"], again["attempt"]) == ("succeeded", 2)


def test_a_reclaimed_spot_instance_costs_time_and_no_result(laptop: DeployedLaptop) -> None:
    version = laptop.drop("spot/a.csv", as_csv(make_rows(500)))
    job = laptop.await_stage("spot", "train")["job_name"]
    laptop.await_training(job)
    laptop.passerelle("interrupt", job)
    run = laptop.run_of("spot", "spot/a.csv", version)
    assert run["status"] == "succeeded", run["error"]
    described = laptop.client("sagemaker").describe_training_job(TrainingJobName=job)
    statuses = [part["Status"] for part in described["SecondaryStatusTransitions"]]
    assert statuses.count("Interrupted") == 1
    assert statuses.count("Training") == 2
    train = next(stage for stage in run["stages"] if stage["stage"] == "train")
    assert train["summary"]["interruptions"] == 1


def test_mlflow_down_in_mid_run_delays_the_run_and_loses_nothing(laptop: DeployedLaptop) -> None:
    mlflow = next(
        process
        for process in psutil.process_iter()
        if f"--port {laptop.mlflow_port}" in " ".join(_words(process)) and "mlflow" in " ".join(_words(process))
    )
    os.killpg(mlflow.pid, signal.SIGKILL)
    version = laptop.drop("mlflowdown/a.csv", as_csv(make_rows(500)))
    laptop.await_stage("mlflowdown", "register")
    time.sleep(3)  # at least one try meets the dead server
    assert laptop.runs("mlflowdown")[-1]["status"] == "running"
    laptop.passerelle("up")
    run = laptop.run_of("mlflowdown", "mlflowdown/a.csv", version)
    assert run["status"] == "succeeded", run["error"]
    assert run["model_version"] == "1"


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_platform_killed_in_mid_run_goes_on_when_it_is_up_again(laptop: DeployedLaptop) -> None:
    version = laptop.drop("restarted/a.csv", as_csv(make_rows(500)))
    job = laptop.await_stage("restarted", "train")["job_name"]
    laptop.await_training(job)
    time.sleep(3)  # snapshots are taken every second and a half
    server = next(
        process
        for process in psutil.process_iter()
        if "laptop.server" in _words(process) and process.environ().get("PASSERELLE_PORT") == str(laptop.port)
    )
    os.killpg(server.pid, signal.SIGKILL)
    laptop.passerelle("up")
    run = laptop.run_of("restarted", "restarted/a.csv", version)
    assert run["status"] == "succeeded", run["error"]
    assert run["attempt"] == 1
