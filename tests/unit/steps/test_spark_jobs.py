"""What is too large for one machine is prepared by EMR Serverless where there is one: chosen, told, and paid for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.constructs import spark_application
from passerelle.aws import spark_runs
from passerelle.contracts import zones
from passerelle.contracts.container import DropManifest
from passerelle.contracts.runs import RunFile, StageRecord
from passerelle.domain.requests import spark
from passerelle.settings import GatherDropSettings, RecordDatasetSettings
from passerelle.steps.claim_drop import claim_drop
from passerelle.steps.explain_failure import explain
from passerelle.steps.gather_drop import gather_drop
from passerelle.steps.record_dataset import record_dataset
from passerelle.steps.run_costs import run_cost

from . import results
from .results import BASE, as_json
from .world import MOMENT, ROLE, Aws

KEY = f"arn:aws:kms:us-east-1:123456789012:key/{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}"


def _settings(aws: Aws, **changes: Any) -> GatherDropSettings:
    found = {"spark_application": "00app", "spark_role_arn": ROLE, "kms_key_arn": KEY, **changes}
    return replace(aws.gather_settings, **found)


def _gather(aws: Aws, settings: GatherDropSettings) -> tuple[dict[str, Any], DropManifest]:
    run_id = claim_drop(aws.drop("flights/a.csv", b"a" * 2_000), aws.claim_settings)["run_id"]
    answer = gather_drop({"project": "flights", "run_id": run_id, "attempt": 1}, settings)
    key = zones.drop_manifest_key("flights", run_id, 1)
    body = aws.s3.get_object(Bucket=aws.buckets["curated"], Key=key)["Body"].read()
    return answer, DropManifest.model_validate_json(body)


def test_a_small_drop_is_prepared_by_a_processing_job_and_the_manifest_says_why(aws: Aws) -> None:
    answer, manifest = _gather(aws, _settings(aws))
    assert "spark_job" not in answer
    assert answer["prepare_job"]["ProcessingJobName"]
    assert manifest.engine == "duckdb"
    assert manifest.engine_reason.endswith("are within the 20.0 GB that one machine prepares")


def test_a_drop_beyond_the_environment_s_threshold_is_prepared_on_spark(aws: Aws) -> None:
    answer, manifest = _gather(aws, _settings(aws, spark_from_gb=0))
    assert "prepare_job" not in answer
    job = answer["spark_job"]
    assert manifest.engine == "spark"
    assert manifest.engine_reason.startswith("2.0 KB of data (2.0 KB new, 0 earlier rows) are more than")
    entry = job["JobDriver"]["SparkSubmit"]
    assert entry["EntryPoint"] == "local:///app/spark_main.py"
    drop = zones.drop_manifest_key("flights", answer["run_id"], 1)
    assert entry["EntryPointArguments"][0] == f"s3://{aws.buckets['curated']}/{drop}"
    for environ in ("spark.emr-serverless.driverEnv", "spark.executorEnv"):
        assert f"--conf {environ}.AWS_DEFAULT_REGION=us-east-1" in entry["SparkSubmitParameters"]
    assert job["ExecutionRoleArn"] == ROLE
    assert job["Tags"]["passerelle:run"] == answer["run_id"]


def test_a_project_that_asks_for_spark_has_it_whatever_the_size(aws: Aws) -> None:
    aws.deploy_project(data={"engine": "spark"})
    answer, manifest = _gather(aws, _settings(aws))
    assert "spark_job" in answer
    assert "data.engine: spark" in manifest.engine_reason


def test_without_emr_serverless_the_job_decides_by_itself(aws: Aws) -> None:
    answer, manifest = _gather(aws, aws.gather_settings)
    assert "prepare_job" in answer
    assert manifest.engine == ""


def _recorded(aws: Aws, monkeypatch: pytest.MonkeyPatch, used: Mapping[str, float] | None) -> Any:
    """Record a dataset that Spark prepared; returns the run."""

    class Emr:
        def get_job_run(self, *, applicationId: str, jobRunId: str) -> dict[str, Any]:  # noqa: N803
            assert (applicationId, jobRunId) == ("00app", "00job")
            return {"jobRun": {"billedResourceUtilization": dict(used)} if used else {}}

    monkeypatch.setattr(spark_runs, "client", lambda _: Emr())
    files = (RunFile(key="flights/a.csv", version_id="v1", size=1, sha256="aa"),)
    stage = StageRecord(stage="prepare", status="running", started_at=MOMENT)
    aws.begin_run(files=files, stages=(stage,))
    result = results.prepared(engine="spark", engine_reason="40.0 GB of data are more than 20.0 GB")
    results.put_result(aws, "prepare", result.model_dump_json())
    settings = RecordDatasetSettings(**aws.jobs, spark_application="00app")
    answer = record_dataset(as_json({**BASE, "spark_run": "00job"}), settings)
    assert answer["status"] == "accepted"
    return aws.table.need("flights", "r1")


def test_what_emr_serverless_bills_is_priced_by_kind_and_what_has_no_price_is_unknown(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = {"vCPUHour": 10.0, "memoryGBHour": 70.0, "storageGBHour": 450.0}
    record = _recorded(aws, monkeypatch, used)
    (stage,) = (item for item in record.stages if item.stage == "prepare")
    assert (stage.instance_type, stage.job_name) == ("EMR Serverless", "00job")
    assert stage.summary["engine"] == "spark"
    parts = {part.name: part for part in run_cost(record, None, "us-east-1").parts}
    assert parts["prepare: vCPU"].usd == pytest.approx(10 * 0.052624)
    assert parts["prepare: memory"].usd == pytest.approx(70 * 0.0057785)
    assert parts["prepare: storage"].usd is None
    assert parts["prepare: storage"].basis == "450.00 GB-hours of EMR Serverless"
    assert stage.cost_usd is None


def test_without_storage_to_pay_for_the_stage_has_its_whole_cost(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    record = _recorded(aws, monkeypatch, {"vCPUHour": 10.0, "memoryGBHour": 70.0, "storageGBHour": 0.0})
    assert record.stages[0].cost_usd == pytest.approx(10 * 0.052624 + 70 * 0.0057785)


def test_what_emr_serverless_does_not_tell_is_unknown_and_not_zero(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    record = _recorded(aws, monkeypatch, None)
    cost = run_cost(record, None, "us-east-1")
    assert next((part.name, part.usd) for part in cost.parts) == ("prepare", None)
    assert not cost.complete


def test_a_spark_job_that_failed_is_explained_with_the_place_of_its_log(aws: Aws) -> None:
    stage = StageRecord(stage="prepare", status="running", started_at=MOMENT)
    record = aws.begin_run(stages=(stage,))
    cause = json.dumps({"ApplicationId": "00app", "JobRunId": "00job", "State": "FAILED", "StateDetails": "No memory."})
    error = explain(record, {"status": "FAILED", "cause": cause}, "laptop")
    assert error.message == "Spark job run 00job: No memory."
    place = "flights/runs/r1/1/spark-logs/applications/00app/jobs/00job/SPARK_DRIVER/"
    assert place in error.remedy
    assert error.log_group is None


def test_workers_are_as_large_as_the_application_counts_them() -> None:
    asked = (spark.WORKER_CORES, spark.HEAP_GB + spark.PYTHON_GB, spark.DISK_GB)
    assert asked == (spark_application.CORES, spark_application.MEMORY_GB, spark_application.DISK_GB)
