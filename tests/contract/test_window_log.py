"""Windows in a real MLflow: series of the run whose model was asked."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from passerelle.aws.mlflow_batches import Point
from passerelle.aws.model_registry import LEVEL_TAG, RUN_TAG
from passerelle.aws.window_log import WindowLog, metric_name
from tests.laptop_platform import LaptopPlatform, unique


@pytest.fixture
def project(platform: LaptopPlatform) -> str:
    """An experiment with one run."""
    client, name = MlflowClient(platform.settings.mlflow_url), unique("windows")
    experiment = client.create_experiment(f"{name}-dev")
    client.create_run(experiment, run_name="r1", tags={RUN_TAG: "r1-1", LEVEL_TAG: "run"})
    client.create_run(experiment, run_name="logistic", tags={RUN_TAG: "r1-1", LEVEL_TAG: "candidate"})
    return name


def test_points_are_series_of_the_run_and_twice_the_same_is_once(platform: LaptopPlatform, project: str) -> None:
    client = MlflowClient(platform.settings.mlflow_url)
    log = WindowLog(platform.settings.mlflow_url, project, "dev")
    wild = metric_name("windows", "moved", "../a.b:c/é\n")
    points = [Point("windows/rows", 10.0 + n, 1_700_000_000_000 + n, n) for n in range(3)] + [Point(wild, 0.5, 1, 0)]
    for _ in range(2):
        assert log.tell("r1-1", points, {"passerelle.window": "2026-11-01"})
    (run,) = client.search_runs(
        [client.get_experiment_by_name(f"{project}-dev").experiment_id], f"tags.`{LEVEL_TAG}` = 'run'"
    )
    history = client.get_metric_history(run.info.run_id, "windows/rows")
    assert [(point.value, point.step) for point in history] == [(10.0, 0), (11.0, 1), (12.0, 2)]
    assert run.data.metrics[wild] == 0.5
    assert run.data.tags["passerelle.window"] == "2026-11-01"


def test_a_run_that_is_not_there_is_said_not_to_be(platform: LaptopPlatform, project: str) -> None:
    url = platform.settings.mlflow_url
    assert not WindowLog(url, project, "dev").tell("r2-1", [], {})
    assert not WindowLog(url, "nothing", "dev").tell("r1-1", [], {})
