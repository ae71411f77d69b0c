"""What the builders make is what SageMaker's own model accepts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.validation import validate
from passerelle.contracts.container import BACKTEST_INPUTS, PrepareResult, SplitPart
from passerelle.contracts.naming import backtest_job_name
from passerelle.domain.project import Project, load_project
from passerelle.domain.requests.backtest import backtest_job
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.domain.requests.jobs import JobPlace, RunRef, evaluate_job, prepare_job, training_job
from passerelle.domain.requests.tuning import tuning_job
from passerelle.domain.training_tries import TrainingTry
from passerelle.domain.tuning.fleet import Share
from passerelle.domain.tuning.space import spaces
from passerelle.errors import SettingsError
from training.__main__ import ENTRIES

TEXT = (Path(__file__).parents[2] / "projects/flights/project.yaml").read_text()
ZONES = {zone: f"b-{zone}" for zone in ("raw", "quarantine", "curated", "models", "predictions", "reports")}
IMAGE, ROLE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/passerelle-training:1", "arn:aws:iam::123456789012:role/j"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
RUN = RunRef(project="flights", run_id="r20261121050000-abcdef", attempt=1, project_uri="s3://b-curated/p.zip")


def _place(kms: str) -> JobPlace:
    return JobPlace(
        environment="dev", zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn=kms,
        prepare_instance_type="ml.m5.large", git_sha="abc", lock_hash="def",
    )  # fmt: skip


def _project(part: str, **changes: Any) -> Project:
    project = load_project(TEXT, source="project.yaml")
    return project.model_copy(update={part: getattr(project, part).model_copy(update=changes)})


def _dataset() -> PrepareResult:
    names = SplitPart.model_fields
    wanted = {"uri": "s3://b-curated/d/train/"}
    part = SplitPart.model_construct(**{name: wanted.get(name) for name in names})
    split = dict.fromkeys(("train", "validation", "test"), part)
    return PrepareResult.model_construct(status="accepted", dataset_id="d1", contract_hash="c1", split=split)


@pytest.mark.parametrize("kms", ["", KEY])
def test_processing_requests_are_accepted(kms: str) -> None:
    project, place = load_project(TEXT, source="project.yaml"), _place(kms)
    validate("CreateProcessingJob", prepare_job(place, RUN, project))
    for champion in (None, "s3://b-models/champion.tar.gz"):
        request = evaluate_job(place, RUN, project, training_job="t", test_uri="s3://b/t/", champion_uri=champion)
        validate("CreateProcessingJob", request)


@pytest.mark.parametrize("kms", ["", KEY])
def test_a_back_test_reads_the_champions_training_and_a_whole_dataset_without_network(kms: str) -> None:
    project = load_project(TEXT, source="project.yaml")
    name = backtest_job_name("a" * 20, datetime(2026, 11, 22, tzinfo=UTC))
    request = backtest_job(_place(kms), RUN, project, name=name, training_job="t", dataset_id="d1")
    validate("CreateProcessingJob", request)
    inputs = {item["InputName"]: item["S3Input"]["S3Uri"] for item in request["ProcessingInputs"]}
    assert set(inputs) == set(BACKTEST_INPUTS)
    assert inputs["dataset"] == "s3://b-curated/flights/datasets/d1/"
    assert inputs["training"] == "s3://b-models/flights/training/t/output/output.tar.gz"
    assert request["AppSpecification"]["ContainerArguments"] == ["backtest"]
    assert request["NetworkConfig"]["EnableNetworkIsolation"]
    assert "backtest" in ENTRIES


@pytest.mark.parametrize(("kms", "spot"), list(product(["", KEY], [True, False])))
def test_a_training_request_is_accepted_and_waits_long_enough_on_spot(kms: str, spot: bool) -> None:
    request = training_job(_place(kms), RUN, _project("training", spot=spot), _dataset())
    validate("CreateTrainingJob", request)
    limits = request["StoppingCondition"]
    assert ("MaxWaitTimeInSeconds" in limits) == spot
    assert limits.get("MaxWaitTimeInSeconds", limits["MaxRuntimeInSeconds"]) >= limits["MaxRuntimeInSeconds"]


def test_each_try_of_training_has_the_image_that_fits_its_instance_type() -> None:
    project = _project("training", instance_type="ml.g5.xlarge", fallback_instance_types=("ml.m5.xlarge",))
    place = replace(_place(""), gpu_image_uri=f"{IMAGE}-gpu")
    first, second = (
        training_job(place, RUN, project, _dataset(), TrainingTry(number, name, True))
        for number, name in enumerate(project.training.instance_types, start=1)
    )
    images = [job["AlgorithmSpecification"]["TrainingImage"] for job in (first, second)]
    assert images == [f"{IMAGE}-gpu", IMAGE]
    (space,) = spaces(["xgboost"], {})
    fleet = tuning_job(place, RUN, project, _dataset(), space, Share(trials=2, parallel=1, seconds=None))
    assert fleet["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] == f"{IMAGE}-gpu"
    for job in (
        prepare_job(place, RUN, project),
        evaluate_job(place, RUN, project, training_job="t", test_uri="s3://b/t/", champion_uri=None),
    ):
        assert job["AppSpecification"]["ImageUri"] == IMAGE


def test_a_gpu_instance_is_not_paid_for_where_there_is_no_image_for_it() -> None:
    with pytest.raises(SettingsError, match=r"dev has no image for ml\.g5\.xlarge, .* `passerelle --env dev deploy`"):
        training_job(_place(""), RUN, _project("training", instance_type="ml.g5.xlarge"), _dataset())


@pytest.mark.parametrize(("kms", "profile"), list(product(["", KEY], ["real-time", "serverless"])))
def test_hosting_requests_are_accepted_and_serverless_has_no_capture(kms: str, profile: str) -> None:
    place = HostingPlace(environment="dev", zones=ZONES, image_uri=IMAGE, role_arn=ROLE, kms_key_arn=kms)
    sizes = {"instance_type": "ml.m5.large", "instance_count": 1, "memory_mb": 2048, "max_concurrency": 5}
    project = _project("serving", profile=profile, capture_percent=100, **sizes)
    given = {"run_id": RUN.run_id, "attempt": 1, "model_data_url": "s3://b-models/m.tar.gz", "model_version": "3"}
    made = deployment(place, project, **given)
    validate("CreateModel", made.model)
    validate("CreateEndpointConfig", made.endpoint_config)
    validate("CreateEndpoint", made.endpoint)
    validate("UpdateEndpoint", made.endpoint)
    assert ("DataCaptureConfig" in made.endpoint_config) == (profile == "real-time")
    assert made == deployment(place, project, **given)
