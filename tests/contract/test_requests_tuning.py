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
from passerelle.domain.requests.tuning import NAME_LENGTH, Fleet, tuning_job
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


def _dataset() -> PrepareResult:
    split = {part: SplitPart(uri=f"s3://b-curated/{part}/", rows=1) for part in ("train", "validation", "test")}
    return PrepareResult(status="accepted", dataset_id="d1", contract_hash="c1", files=(), split=split)


def _project(text: str, **training: Any) -> Project:
    document = yaml.safe_load(text)
    document["training"] |= training
    return load_project(yaml.safe_dump(document), source="project.yaml")


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize("strategy", ["Bayesian", "Hyperband", "Random"])
def test_a_tuning_request_is_one_that_sagemaker_accepts(strategy: Any, spot: bool) -> None:
    waits = {"spot": spot} | ({} if spot else {"max_wait_minutes": None, "keep_alive_minutes": 10})
    project = _project(FLIGHTS, tuning={"trials": 50, "minutes": 30}, **waits)
    request = tuning_job(PLACE, RUN, project, _dataset(), Fleet(candidate="xgboost", strategy=strategy, parallel=8))
    validate("CreateHyperParameterTuningJob", request)
    assert len(request["HyperParameterTuningJobName"]) <= NAME_LENGTH
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 8, "MaxRuntimeInSeconds": 1_800}
    assert request["TrainingJobDefinition"]["EnableManagedSpotTraining"] == spot
    assert "KeepAlivePeriodInSeconds" not in request["TrainingJobDefinition"]["ResourceConfig"]


def test_a_tuning_job_searches_the_range_that_the_project_declares() -> None:
    project = _project(FLIGHTS, tuning={"space": {"xgboost": {"max_depth": {"low": 2, "high": 4}}}})
    request = tuning_job(PLACE, RUN, project, _dataset(), Fleet(candidate="xgboost"))
    (depth,) = request["HyperParameterTuningJobConfig"]["ParameterRanges"]["IntegerParameterRanges"]
    assert (depth["MinValue"], depth["MaxValue"]) == ("2", "4")
    with pytest.raises(ValueError, match="nothing to tune"):
        tuning_job(PLACE, RUN, project, _dataset(), Fleet(candidate="baseline"))


@pytest.mark.parametrize("strategy", ["Bayesian", "Hyperband"])
def test_the_entry_run_by_a_tuning_job_tells_the_objective_of_each_trial(tmp_path: Path, strategy: Any) -> None:
    data = job(tmp_path / "job", "binary", ["baseline", "logistic"]) / "input" / "data"
    text = zipfile.ZipFile(data / "project" / "p.zip").read("project.yaml").decode()
    service = Own(tmp_path / "platform", images={"passerelle-training": (sys.executable, "-m", "training")})
    try:
        for channel in data.iterdir():
            for file in channel.rglob("*"):
                if file.is_file():
                    service.around.bucket.put_object(
                        Bucket="b-curated", Key=f"{channel.name}/{file.relative_to(channel)}", Body=file.read_bytes()
                    )
        project = _project(text, tuning={"trials": 2, "minutes": 5})
        fleet = Fleet(candidate="logistic", strategy=strategy, parallel=1)
        request = tuning_job(PLACE, RUN, project, _dataset(), fleet)
        service.call("CreateHyperParameterTuningJob", request)
        ended = service.ended("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
    finally:
        service.sagemaker.close()
    assert ended["HyperParameterTuningJobStatus"] == "Completed", ended
    best = ended["BestTrainingJob"]
    assert 1e-3 <= float(best["TunedHyperParameters"]["C"]) <= 100
    told = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert told["MetricName"] == OBJECTIVE
    assert 0.4 < told["Value"] <= 1
    assert TUNED_CANDIDATE in request["TrainingJobDefinition"]["StaticHyperParameters"]
