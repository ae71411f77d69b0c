"""A job's line has what SageMaker bills of it, spot's billable time, and a volume where it has one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.contracts import tags
from passerelle.domain.cost.ledger.jobs import processing_charges, training_charges, transform_charges
from passerelle.domain.cost.ledger.used import Owner, owner_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
OWNER = Owner(project="flights", cost_centre="cc-1", environment="dev", run_id="r1")


def training(**changes: Any) -> dict[str, Any]:
    job = {
        "TrainingJobName": "flights-r1-train-1",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/flights-r1-train-1",
        "TrainingStartTime": NOON,
        "TrainingEndTime": NOON + timedelta(hours=1),
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30},
        "TrainingTimeInSeconds": 3600,
        "BillableTimeInSeconds": 3600,
        "EnableManagedSpotTraining": False,
    }
    return {name: value for name, value in (job | changes).items() if value is not None}


def processing(entry: str = "prepare", **changes: Any) -> dict[str, Any]:
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
    return {
        "ProcessingJobName": "p",
        "ProcessingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:processing-job/p",
        "ProcessingStartTime": NOON,
        "ProcessingEndTime": NOON + timedelta(minutes=30),
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {"ContainerArguments": [entry]},
    } | changes


def test_on_demand_training_costs_its_hours_of_every_instance() -> None:
    instances, volume = training_charges(training(), OWNER, "us-east-1")
    assert (instances.quantity, instances.unit_price_usd, instances.usd) == (2.0, 0.23, pytest.approx(0.46))
    assert (instances.pricing_category, instances.on_demand_usd) == ("Standard", instances.usd)
    assert (instances.stage, instances.run_id, instances.cost_centre) == ("train", "r1", "cc-1")
    # 2 x 30 GB for an hour at 0.14 USD a GB-month of 730 h.
    assert volume.usd == pytest.approx(60 / 730 * 0.14)
    assert (volume.service, volume.unit) == ("SageMaker storage", "GB-month")


def test_spot_is_billed_by_its_billable_time_and_would_have_cost_the_time_that_it_trained() -> None:
    job = training(EnableManagedSpotTraining=True, BillableTimeInSeconds=1080)
    instances, _ = training_charges(job, OWNER, "us-east-1")
    assert instances.pricing_category == "Dynamic"
    assert instances.usd == pytest.approx(0.46 * 0.3)
    assert instances.on_demand_usd == pytest.approx(0.46)


def test_a_trial_of_a_tuning_job_belongs_to_the_search() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/r1-t1-1"
    instances, _ = training_charges(training(TuningJobArn=arn), OWNER, "us-east-1")
    assert (instances.stage, instances.experiment) == ("tune", "r1-t1-1")


@pytest.mark.parametrize(
    "instance", ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.p4d.24xlarge", "ml.g6e.2xlarge", "ml.m5d.large"]
)
def test_an_instance_with_disks_of_its_own_has_no_volume_to_pay(instance: str) -> None:
    job = training(ResourceConfig={"InstanceType": instance, "InstanceCount": 1, "VolumeSizeInGB": 30})
    assert [line.sku for line in training_charges(job, OWNER, "us-east-1")] == [instance]


def test_a_time_that_sagemaker_does_not_say_is_unknown_and_not_zero() -> None:
    instances, _ = training_charges(training(BillableTimeInSeconds=None), OWNER, "us-east-1")
    assert (instances.quantity, instances.usd) == (None, None)


def test_a_price_that_nobody_read_is_unknown_and_the_quantity_still_said() -> None:
    job = training(ResourceConfig={"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30})
    (line,) = training_charges(job, OWNER, "eu-west-3")
    assert (line.quantity, line.unit_price_usd, line.usd) == (1.0, None, None)


def test_a_job_that_never_had_an_instance_has_no_line() -> None:
    assert training_charges(training(TrainingStartTime=None), OWNER, "us-east-1") == ()


def test_a_description_without_instances_is_an_error_that_names_what_it_lacks() -> None:
    with pytest.raises(KeyError, match="ResourceConfig"):
        training_charges(training(ResourceConfig=None), OWNER, "us-east-1")


@pytest.mark.parametrize(
    ("entry", "stage"),
    [
        ("prepare", "prepare"),
        ("evaluate", "evaluate"),
        ("judge", "judge"),
        ("backtest", "backtest"),
        ("count", "watch"),
    ],
)
def test_a_processing_jobs_stage_is_the_entry_of_its_container(entry: str, stage: str) -> None:
    instances, volume = processing_charges(processing(entry), OWNER, "us-east-1")
    assert {instances.stage, volume.stage} == {stage}
    assert instances.usd == pytest.approx(0.115 / 2)


def test_a_transform_job_costs_the_time_from_its_start_to_its_end() -> None:
    job = {
        "TransformJobName": "b",
        "TransformJobArn": "arn:aws:sagemaker:us-east-1:123456789012:transform-job/b",
        "TransformStartTime": NOON,
        "TransformEndTime": NOON + timedelta(hours=2),
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 3},
    }
    (line,) = transform_charges(job, OWNER, "us-east-1")
    assert (line.stage, line.quantity, line.usd) == ("batch", 6.0, pytest.approx(6 * 0.115))


@given(trained=st.integers(1, 10**6), share=st.floats(0, 1), count=st.integers(1, 50))
def test_spot_never_costs_more_than_on_demand_and_the_saving_is_the_time_that_is_not_billed(
    trained: int, share: float, count: int
) -> None:
    billed = max(1, round(trained * share))
    job = training(
        EnableManagedSpotTraining=True,
        TrainingTimeInSeconds=trained,
        BillableTimeInSeconds=billed,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1},
    )
    line, _ = training_charges(job, OWNER, "us-east-1")
    assert line.usd is not None
    assert line.on_demand_usd is not None
    assert line.on_demand_usd - line.usd == pytest.approx((trained - billed) * count / 3600 * 0.115, abs=1e-9)


def test_only_resources_of_this_environment_that_bear_a_project_are_ours() -> None:
    marks = {tags.PROJECT: "flights", tags.ENVIRONMENT: "dev", tags.RUN: "r1", tags.COST_CENTRE: "cc-1"}
    assert owner_of(marks, "dev") == OWNER
    assert owner_of(marks, "prod") is None
    assert owner_of({tags.ENVIRONMENT: "dev"}, "dev") is None
    assert owner_of({}, "dev") is None
