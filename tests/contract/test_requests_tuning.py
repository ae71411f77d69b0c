"""A SageMaker tuning job over the project's own space: the real entry, run by the local SageMaker."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from laptop.sagemaker.validation import validate
from passerelle.contracts.container import PrepareResult, SplitPart
from passerelle.contracts.study import OBJECTIVE, TUNED_CANDIDATE
from passerelle.domain.project import Project, load_project
from passerelle.domain.requests.jobs import JobPlace, RunRef
from passerelle.domain.requests.tuning import NAME_LENGTH, tuning_job
from passerelle.domain.tuning.engine import searched
from passerelle.domain.tuning.fleet import Share
from tests.contract.sagemaker_service import Own
from tests.unit.training.test_train import job

FLIGHTS = (Path(__file__).parents[2] / "projects/flights/project.yaml").read_text()
IMAGE, ROLE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/passerelle-training:1", "arn:aws:iam::123456789012:role/j"
ZONES = {zone: f"b-{zone}" for zone in ("raw", "quarantine", "curated", "models", "predictions", "reports")}
PLACE = JobPlace(
    environment="dev", zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn="",
    prepare_instance_type="ml.m5.large", git_sha="abc", lock_hash="def",
)  # fmt: skip
RUN = RunRef(project="flights", run_id="r20261121050000-abcdef", attempt=1, project_uri="s3://b-curated/project/")

SHARE = Share(trials=50, seconds=1_800, parallel=8)


def _dataset() -> PrepareResult:
    split = {part: SplitPart(uri=f"s3://b-curated/{part}/", rows=1) for part in ("train", "validation", "test")}
    return PrepareResult(status="accepted", dataset_id="d1", contract_hash="c1", files=(), split=split)


def _project(text: str, **training: Any) -> Project:
    document = yaml.safe_load(text)
    document["training"] |= training
    return load_project(yaml.safe_dump(document), source="project.yaml")


def _request(project: Project, share: Share = SHARE, **more: Any) -> dict[str, Any]:
    return tuning_job(PLACE, RUN, project, _dataset(), searched(project)[0], share, **more)


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize(
    ("search", "strategy", "stopping"),
    [
        ({}, "Bayesian", "Auto"),
        ({"pruner": "none"}, "Bayesian", "Off"),
        ({"pruner": "hyperband"}, "Hyperband", "Off"),
        ({"sampler": "random"}, "Random", "Auto"),
        # One fit without stages can be neither stopped early nor given epochs.
        ({"pruner": "hyperband", "candidates": ["logistic"]}, "Bayesian", "Off"),
    ],
)
def test_a_tuning_request_is_one_that_sagemaker_accepts(
    search: dict[str, Any], strategy: str, stopping: str, spot: bool
) -> None:
    waits = {"spot": spot} | ({} if spot else {"max_wait_minutes": None, "keep_alive_minutes": 10})
    project = _project(FLIGHTS, tuning={"candidates": ["xgboost"], **search}, **waits)
    request = _request(project, number=2)
    validate("CreateHyperParameterTuningJob", request)
    assert request["HyperParameterTuningJobName"] == f"{RUN.run_id}-t1-2"
    assert len(request["HyperParameterTuningJobName"]) <= NAME_LENGTH
    config, trial = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    limits = {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 8, "MaxRuntimeInSeconds": 1_800}
    assert config["ResourceLimits"] == limits
    assert (config["Strategy"], config["TrainingJobEarlyStoppingType"]) == (strategy, stopping)
    assert trial["EnableManagedSpotTraining"] == spot
    assert "KeepAlivePeriodInSeconds" not in trial["ResourceConfig"]
    assert [item["ChannelName"] for item in trial["InputDataConfig"]] == ["project", "train", "validation"]


def test_a_search_without_a_limit_of_time_gives_sagemaker_none() -> None:
    project = _project(FLIGHTS, tuning={"candidates": ["xgboost"], "minutes": None})
    request = _request(project, Share(trials=3, seconds=None, parallel=1))
    assert "MaxRuntimeInSeconds" not in request["HyperParameterTuningJobConfig"]["ResourceLimits"]


def test_a_tuning_job_searches_the_range_that_the_project_declares() -> None:
    tuning = {"candidates": ["xgboost"], "space": {"xgboost": {"max_depth": {"low": 2, "high": 4}}}}
    request = _request(_project(FLIGHTS, tuning=tuning))
    (depth,) = request["HyperParameterTuningJobConfig"]["ParameterRanges"]["IntegerParameterRanges"]
    assert (depth["MinValue"], depth["MaxValue"]) == ("2", "4")


@pytest.mark.parametrize(("pruner", "candidate"), [("none", "logistic"), ("hyperband", "hist_gradient_boosting")])
def test_the_entry_run_by_a_tuning_job_tells_the_objective_of_each_trial(
    tmp_path: Path, pruner: str, candidate: str
) -> None:
    data = job(tmp_path / "job", "binary", ["baseline", candidate]) / "input" / "data"
    text = zipfile.ZipFile(data / "project" / "p.zip").read("project.yaml").decode()
    service = Own(tmp_path / "platform", images={"passerelle-training": (sys.executable, "-m", "training")})
    try:
        for channel in data.iterdir():
            for file in channel.rglob("*"):
                if file.is_file():
                    service.around.bucket.put_object(
                        Bucket="b-curated", Key=f"{channel.name}/{file.relative_to(channel)}", Body=file.read_bytes()
                    )
        project = _project(text, tuning={"pruner": pruner})
        request = _request(project, Share(trials=2, seconds=300, parallel=1))
        service.call("CreateHyperParameterTuningJob", request)
        ended = service.ended("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
    finally:
        service.sagemaker.close()
    assert ended["HyperParameterTuningJobStatus"] == "Completed", ended
    best = ended["BestTrainingJob"]
    assert set(best["TunedHyperParameters"]) == {item.name for item in searched(project)[0].dimensions}
    told = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert told["MetricName"] == OBJECTIVE
    assert 0.4 < told["Value"] <= 1
    assert TUNED_CANDIDATE in request["TrainingJobDefinition"]["StaticHyperParameters"]
