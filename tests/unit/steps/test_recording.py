"""What a job leaves is read once or twice with the same result, and what it does not leave is explained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile, Problem
from passerelle.contracts.runs import RunFile, RunRecord, StageRecord
from passerelle.errors import BundleError, InputError, JobFailedError, NotFoundError, TransientError
from passerelle.settings import (
    CloseRunSettings,
    RecordDatasetSettings,
    RecordEvaluationSettings,
    RecordTrainingSettings,
)
from passerelle.steps.close_run import close_run
from passerelle.steps.record_dataset import record_dataset
from passerelle.steps.record_evaluation import record_evaluation
from passerelle.steps.record_training import record_training

from . import results
from .results import BASE, as_json
from .world import GPU_IMAGE, IMAGE, MOMENT, Aws

GONE = Problem(code="file_gone", file="flights/b.csv", rule="stay", message="gone", remedy="Drop it again.")


def _begin(aws: Aws, stage: str, **fields: Any) -> None:
    files = (RunFile(key="flights/a.csv", version_id="v1", size=1, sha256="aa"),)
    stages = (StageRecord.model_validate({"stage": stage, "status": "running", "started_at": MOMENT}),)
    aws.begin_run(files=files, stages=stages, **fields)


def _dataset(aws: Aws, **job: Any) -> dict[str, Any]:
    request = {**BASE, "job": results.processing_description("prepare", **job)}
    return record_dataset(as_json(request), RecordDatasetSettings(**aws.jobs))


def _training(aws: Aws, **job: Any) -> dict[str, Any]:
    request = {**BASE, "training_job_name": "x", "training_try": 1, "job": results.training_description(aws, **job)}
    return record_training(as_json(request), RecordTrainingSettings(**aws.jobs))


def _evaluation(aws: Aws, **job: Any) -> dict[str, Any]:
    settings = RecordEvaluationSettings(**aws.shared, zones=aws.buckets, region="us-east-1")
    return record_evaluation(as_json({**BASE, "job": results.processing_description("evaluate", **job)}), settings)


def _ready(aws: Aws, stage: str) -> Callable[..., dict[str, Any]]:
    """Lay out what a stage needs; returns the step that records it."""
    _begin(aws, stage)
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    results.put_training_output(aws)
    results.put_result(aws, "evaluate", results.evaluated().model_dump_json())
    return {"prepare": _dataset, "train": _training, "evaluate": _evaluation}[stage]


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_f25_recording_a_stage_twice_gives_the_same_answer_and_the_same_record(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    first = record(aws)
    once = aws.table.need("flights", "r1")
    assert record(aws) == first
    again = aws.table.need("flights", "r1").model_copy(update={"updated_at": once.updated_at})
    assert again == once


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_a_redriven_execution_of_an_earlier_attempt_records_nothing(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    before = aws.begin_run(attempt=2)
    with pytest.raises(InputError, match="attempt 2 has begun"):
        record(aws)
    assert aws.table.need("flights", "r1") == before
    assert aws.table.accepted_files("flights") == ()


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_f24_a_run_that_had_failed_is_at_work_again_when_its_execution_is_redriven(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    aws.table.change("flights", "r1", lambda run: run.model_copy(update={"status": "failed"}))
    record(aws)
    assert aws.table.need("flights", "r1").status == "running"
    assert (aws.table.item("flights", "LOCK") or {})["run_id"] == "r1"


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_a_redriven_run_does_not_go_on_beside_another_one(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    failed = aws.table.change("flights", "r1", lambda run: run.model_copy(update={"status": "failed"}))
    aws.begin_run("r2")
    aws.table.create("flights", "LOCK", run_id="r2")
    with pytest.raises(TransientError, match="cannot go on while r2 of project flights is at work"):
        record(aws)
    assert aws.table.need("flights", "r1") == failed
    assert aws.table.accepted_files("flights") == ()


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate"])
def test_a_job_that_left_no_result_is_named_with_the_place_where_it_should_be(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    prefix = zones.result_prefix("flights", "r1", 1, stage)
    aws.s3.delete_object(Bucket=aws.buckets["curated"], Key=f"{prefix}/result.json")
    results.put_training_output(aws, results.archive({"other.json": b"{}"}))
    with pytest.raises(JobFailedError, match=rf"Job flights-r1-{stage}-1 ended without its result.json .*s3://test-"):
        record(aws)


@pytest.mark.parametrize("stage", ["prepare", "evaluate"])
def test_a_result_of_another_version_names_the_field_and_the_remedy(aws: Aws, stage: str) -> None:
    record = _ready(aws, stage)
    document = json.loads((results.prepared() if stage == "prepare" else results.evaluated()).model_dump_json())
    results.put_result(aws, stage, json.dumps(document | {"shoe_size": 43}))
    with pytest.raises(JobFailedError, match=r"shoe_size: Extra inputs.*deploy both"):
        record(aws)


@pytest.mark.parametrize(
    "body", [b"", b"not gzip", results.archive({"a": bytes(9_000)})[:40]], ids=["empty", "no_gzip", "cut"]
)
def test_a_corrupt_archive_of_a_training_job_is_refused(aws: Aws, body: bytes) -> None:
    record = _ready(aws, "train")
    results.put_training_output(aws, body)
    with pytest.raises(BundleError, match=r"output\.tar\.gz: not a sound"):
        record(aws)


def test_an_accepted_dataset_is_remembered_and_handed_to_training(aws: Aws) -> None:
    answer = _ready(aws, "prepare")(aws)
    assert answer["status"] == "accepted"
    assert answer["training_job"]["TrainingJobName"] == "flights-r1-train-1"
    record = aws.table.need("flights", "r1")
    assert record.files[0].outcome == "accepted"
    assert (record.dataset_id, record.problems) == ("d1", (results.LATE_ROW,))
    assert [file.key for file in aws.table.accepted_files("flights")] == ["flights/a.csv"]


def test_an_interrupted_run_does_not_bring_back_what_another_run_replaced_meanwhile(aws: Aws) -> None:
    record = _ready(aws, "prepare")
    earlier = {"key": "flights/old.csv", "rows": 5}
    moved = DatasetFile(**earlier, version_id="v1", sha256="11", curated_key="flights/files/11-new-contract")
    replaced = DatasetFile(key="flights/b.csv", rows=5, version_id="v1", sha256="22", curated_key="flights/files/22")
    dataset = (*results.prepared().dataset_files, moved, replaced)
    results.put_result(aws, "prepare", results.prepared(dataset_files=dataset).model_dump_json())
    before = moved.model_copy(update={"curated_key": "flights/files/11"})
    newer = replaced.model_copy(update={"version_id": "v2", "sha256": "33"})
    aws.table.accept_files("flights", (before, newer), new={before.key, newer.key})
    record(aws)
    known = {file.key: file for file in aws.table.accepted_files("flights")}
    assert known == {"flights/a.csv": dataset[0], "flights/old.csv": moved, "flights/b.csv": newer}


def test_problems_found_while_gathering_stay_beside_those_of_the_data(aws: Aws) -> None:
    record = _ready(aws, "prepare")
    aws.table.change("flights", "r1", lambda run: run.model_copy(update={"problems": (GONE,)}))
    for _ in range(2):
        record(aws)
    assert aws.table.need("flights", "r1").problems == (GONE, results.LATE_ROW)


def test_rejected_data_trains_nothing_and_is_not_remembered(aws: Aws) -> None:
    record = _ready(aws, "prepare")
    results.put_result(aws, "prepare", results.prepared(status="rejected", split={}).model_dump_json())
    answer = record(aws)
    assert answer == {**BASE, "status": "rejected"}
    assert aws.table.accepted_files("flights") == ()
    assert [stage.stage for stage in aws.table.need("flights", "r1").stages] == ["prepare"]


def test_a_trained_model_is_handed_to_evaluation_with_the_champion(aws: Aws) -> None:
    record = _ready(aws, "train")
    aws.table.put("flights", "CHAMPION", model_data_url="s3://test-models/old.tar.gz")
    inputs = record(aws)["evaluate_job"]["ProcessingInputs"]
    assert {item["InputName"]: item["S3Input"]["S3Uri"] for item in inputs}["champion"] == "s3://test-models/old.tar.gz"
    run = aws.table.need("flights", "r1")
    assert [item["name"] for item in run.candidates] == ["forest", "broken"]
    assert run.stages[0].summary == {"resumed": [], "interruptions": 1}
    assert run.image_uri == IMAGE
    assert run.project_uri == "s3://test-curated/flights.zip"
    assert run.artefacts["train/model.tar.gz"] == hashlib.sha256(b"the bundle").hexdigest()


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: exit 137"}, "AlgorithmError: exit 137"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"}, "training.max_wait_minutes"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}, "training.max_runtime_minutes"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}, r"it ended Stopped \(Stopped\)"),
    ],
)
def test_f20_a_training_job_that_did_not_complete_ends_the_run_with_its_reason(
    aws: Aws, job: dict[str, Any], says: str
) -> None:
    record = _ready(aws, "train")
    with pytest.raises(JobFailedError, match=rf"flights-r1-train-1: .*{says}"):
        record(aws, **job)


def _without_capacity(aws: Aws, **training: Any) -> Callable[..., dict[str, Any]]:
    """A project that says where else to train, and a job that got no instance."""
    aws.deploy_project(training=training)
    record = _ready(aws, "train")
    reason = "CapacityError: Unable to provision requested ML compute capacity."
    return lambda **job: record(aws, **({"TrainingJobStatus": "Failed", "FailureReason": reason} | job))


def test_a_redriven_run_trains_again_under_a_new_name_from_its_checkpoints(aws: Aws) -> None:
    record = _ready(aws, "train")
    failed = {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: out of memory"}
    with pytest.raises(JobFailedError):
        record(aws, **failed)
    _fail_run(aws, job_name="flights-r1-train-1")
    answer = record(aws, **failed)
    assert (answer["status"], answer["training_job"]["TrainingJobName"]) == ("retry", "flights-r1-train-1-2")
    assert record(aws, **failed) == answer, "a step that is tried again plans the same job"
    run = aws.table.need("flights", "r1")
    assert (run.status, run.error, run.stages[0].status) == ("running", None, "running")
    with pytest.raises(JobFailedError):
        record(aws, **failed, TrainingJobName="flights-r1-train-1-2")


def _fail_run(aws: Aws, *, job_name: str) -> None:
    run = aws.table.need("flights", "r1")
    stages = tuple(item.model_copy(update={"status": "failed", "job_name": job_name}) for item in run.stages)
    aws.table.save(run.model_copy(update={"status": "failed", "stages": stages}))


def test_a_job_without_capacity_is_tried_on_the_next_type_and_its_costs_are_kept(aws: Aws) -> None:
    record = _without_capacity(aws, instance_type="ml.m5.xlarge", fallback_instance_types=["ml.c5.xlarge"])
    answer = record(BillableTimeInSeconds=7)
    assert (answer["status"], answer["training_try"]) == ("retry", 2)
    job = answer["training_job"]
    assert job["TrainingJobName"] == "flights-r1-train-1-2"
    assert job["ResourceConfig"]["InstanceType"] == "ml.c5.xlarge"
    stage = aws.table.need("flights", "r1").stages[0]
    assert (stage.status, stage.job_name) == ("running", "flights-r1-train-1-2")
    assert [(item["job_name"], item["billable_seconds"]) for item in stage.summary["tries"]] == [
        ("flights-r1-train-1", 7)
    ]
    results.put_training_output(aws, job_name="flights-r1-train-1-2")
    _training(aws, TrainingJobName="flights-r1-train-1-2")
    stage = aws.table.need("flights", "r1").stages[0]
    assert (stage.status, stage.billable_seconds) == ("done", 127)
    assert stage.cost_usd is not None
    assert len(stage.summary["tries"]) == 1


@pytest.mark.parametrize(
    ("tried", "following", "image"),
    [("ml.g5.xlarge", "ml.m5.xlarge", IMAGE), ("ml.m5.xlarge", "ml.g5.xlarge", GPU_IMAGE)],
)
def test_the_next_type_is_tried_with_the_image_that_fits_it(aws: Aws, tried: str, following: str, image: str) -> None:
    record = _without_capacity(aws, instance_type=tried, fallback_instance_types=[following])
    resources = {"InstanceType": tried, "InstanceCount": 1, "VolumeSizeInGB": 30}
    job = record(ResourceConfig=resources)["training_job"]
    assert (job["ResourceConfig"]["InstanceType"], job["AlgorithmSpecification"]["TrainingImage"]) == (following, image)


@pytest.mark.parametrize(
    ("instance_type", "image", "serving"), [("ml.g5.xlarge", GPU_IMAGE, IMAGE), ("ml.m5.xlarge", IMAGE, None)]
)
def test_a_run_says_which_image_trained_it_and_which_serves_a_model_from_a_gpu(
    aws: Aws, instance_type: str, image: str, serving: str | None
) -> None:
    record = _ready(aws, "train")
    results.put_training_output(aws)
    resources = {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 30}
    answer = record(aws, ResourceConfig=resources, AlgorithmSpecification={"TrainingImage": image})
    run = aws.table.need("flights", "r1")
    assert (run.image_uri, run.serving_image_uri, run.served_by) == (image, serving, IMAGE)
    assert answer["evaluate_job"]["AppSpecification"]["ImageUri"] == IMAGE


def test_a_retry_that_is_recorded_twice_is_counted_once(aws: Aws) -> None:
    record = _without_capacity(aws, instance_type="ml.m5.xlarge", fallback_instance_types=["ml.c5.xlarge"])
    assert record() == record()
    assert len(aws.table.need("flights", "r1").stages[0].summary["tries"]) == 1


def test_a_job_without_capacity_anywhere_ends_the_run(aws: Aws) -> None:
    record = _without_capacity(aws, instance_type="ml.m5.xlarge")
    with pytest.raises(JobFailedError, match="CapacityError"):
        record()


@pytest.mark.parametrize("status", ["passed", "refused"])
def test_the_gates_verdict_goes_into_the_record_and_its_figures_to_where_people_read(aws: Aws, status: str) -> None:
    record = _ready(aws, "evaluate")
    results.put_result(aws, "evaluate", results.evaluated(status).model_dump_json())
    aws.put_json("curated", f"{zones.result_prefix('flights', 'r1', 1, 'evaluate')}/plots/a b.json", {"drawn": True})
    assert record(aws) == {**BASE, "status": status}
    run = aws.table.need("flights", "r1")
    assert run.gate["status"] == status
    assert [(stage.stage, stage.status) for stage in run.stages] == [("evaluate", "done"), ("register", "running")]
    copied = aws.s3.get_object(Bucket=aws.buckets["reports"], Key="flights/runs/r1/plots/a b.json")["Body"].read()
    assert json.loads(copied) == {"drawn": True}
    assert set(run.artefacts) == {"prepare/result.json", "evaluate/result.json", "evaluate/plots/a b.json"}
    assert run.artefacts["evaluate/plots/a b.json"] == hashlib.sha256(copied).hexdigest()


# Closing


def _close(aws: Aws, status: str) -> dict[str, Any]:
    return close_run({**BASE, "status": status}, CloseRunSettings(**aws.shared))


@pytest.mark.parametrize(
    ("status", "final"),
    [("passed", "succeeded"), ("refused", "refused"), ("rejected", "rejected"), ("duplicate", "duplicate")],
)
def test_closing_writes_the_final_status_and_frees_the_project_however_often(aws: Aws, status: str, final: str) -> None:
    aws.begin_run()
    aws.table.create("flights", "LOCK", run_id="r1")
    assert _close(aws, status) == _close(aws, status) == {"project": "flights", "run_id": "r1", "status": final}
    assert aws.table.need("flights", "r1").status == final
    assert aws.table.item("flights", "LOCK") is None


def test_closing_leaves_the_lock_of_another_run_alone(aws: Aws) -> None:
    aws.begin_run()
    aws.table.create("flights", "LOCK", run_id="r2")
    _close(aws, "passed")
    assert (aws.table.item("flights", "LOCK") or {})["run_id"] == "r2"


def test_an_earlier_attempt_neither_closes_the_run_nor_frees_the_project(aws: Aws) -> None:
    aws.begin_run(attempt=2)
    aws.table.create("flights", "LOCK", run_id="r1")
    with pytest.raises(InputError, match="attempt 2 has begun"):
        _close(aws, "passed")
    assert aws.table.need("flights", "r1").status == "running"
    assert aws.table.item("flights", "LOCK") is not None


def test_an_unknown_status_is_named_with_the_known_ones(aws: Aws) -> None:
    aws.begin_run()
    with pytest.raises(InputError, match=r"'waiting'; known: passed, refused, rejected, duplicate.*deploy both"):
        _close(aws, "waiting")


def test_a_run_without_a_record_is_named(aws: Aws) -> None:
    with pytest.raises(NotFoundError, match="Project flights has no run r1"):
        _close(aws, "passed")


# Costs of jobs


def _stage(aws: Aws, name: str) -> StageRecord:
    run: RunRecord = aws.table.need("flights", "r1")
    return next(stage for stage in run.stages if stage.stage == name)


def test_a_job_costs_its_billable_time_on_every_instance(aws: Aws) -> None:
    _ready(aws, "prepare")(aws)
    stage = _stage(aws, "prepare")
    assert (stage.instance_type, stage.billable_seconds) == ("ml.m5.xlarge", 90.0)
    assert stage.cost_usd == pytest.approx(0.23 * 90 / 3600)
    pair = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    _training(aws, ResourceConfig=pair)
    assert _stage(aws, "train").cost_usd == pytest.approx(2 * 0.23 * 120 / 3600)


def test_f31_what_sagemaker_does_not_bill_yet_is_unknown_and_not_zero(aws: Aws) -> None:
    record = _ready(aws, "train")
    record(aws, BillableTimeInSeconds=None)
    assert (_stage(aws, "train").billable_seconds, _stage(aws, "train").cost_usd) == (None, None)
    _evaluation(aws, ProcessingEndTime=None)
    assert (_stage(aws, "evaluate").billable_seconds, _stage(aws, "evaluate").cost_usd) == (None, None)
