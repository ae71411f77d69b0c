"""What the jobs of run r1 write and what SageMaker says of them, as the steps find it."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from passerelle.contracts import naming, zones
from passerelle.contracts.container import (
    CandidateResult,
    DatasetFile,
    EvaluateResult,
    FileOutcome,
    GateCheck,
    PrepareResult,
    Problem,
    SplitPart,
    TrainResult,
)
from passerelle.contracts.experiment import ShadowEvidence

from .world import IMAGE, Aws

BASE: dict[str, Any] = {"project": "flights", "run_id": "r1", "attempt": 1}
LATE_ROW = Problem(
    code="bad_number", file="flights/a.csv", row=3, rule="number", message="'x'", remedy="Write a number."
)


def prepared(**changes: Any) -> PrepareResult:
    """What `prepare` says of one accepted file."""
    files = (FileOutcome(key="flights/a.csv", version_id="v1", sha256="aa", status="accepted", rows_accepted=9),)
    dataset = (DatasetFile(key="flights/a.csv", version_id="v1", sha256="aa", rows=9, curated_key="flights/files/aa"),)
    split = {
        name: SplitPart(uri=f"s3://test-curated/flights/{name}", rows=3) for name in ("train", "validation", "test")
    }
    values: dict[str, Any] = {
        "status": "accepted", "dataset_id": "d1", "contract_hash": "c1", "files": files, "dataset_files": dataset,
        "rows_read": 10, "rows_accepted": 9, "rows_rejected": 1, "split": split, "problems": (LATE_ROW,),
    }  # fmt: skip
    return PrepareResult(**values | changes)


def trained() -> TrainResult:
    """What `train` says of a good candidate and one that failed."""
    return TrainResult(
        project="flights", run_id="r1", dataset_id="d1", task="binary", metric="roc_auc", greater_is_better=True,
        candidates=(
            CandidateResult(name="forest", status="trained", complexity=2, seconds=1.234, directory="candidates/forest",
                            params={"model": "forest", "trees": 10}, validation_metrics={"roc_auc": 0.8},
                            train_metrics={"roc_auc": 0.9}, primary_standard_error=0.01),
            CandidateResult(name="broken", status="failed", complexity=1, seconds=0.1, error="ValueError: no"),
        ),
        chosen="forest", why="It is the best.", seconds=2.0,
    )  # fmt: skip


def evaluated(status: str = "passed") -> EvaluateResult:
    """What `evaluate` says."""
    passed = status == "passed"
    check = GateCheck(name="baseline", passed=passed, value=0.8, required=0.5, message="0.8 against 0.5")
    reasons = () if passed else ("It is no better than guessing.",)
    return EvaluateResult.model_validate(
        {"status": status, "candidate": "forest", "metric": "roc_auc", "test_metrics": {"roc_auc": 0.8},
         "checks": (check,), "reasons": reasons, "resampled": {"draws": "same", "scores": (0.79, 0.8, 0.81)}}
    )  # fmt: skip


def judged() -> ShadowEvidence:
    """What `judge` says."""
    return ShadowEvidence(verdict="promote", reasons=("all limits are kept to",), checks=(), hours=2.0)


def put_result(aws: Aws, stage: str, text: str, run_id: str = "r1") -> None:
    prefix = zones.result_prefix("flights", run_id, 1, stage)
    aws.s3.put_object(Bucket=aws.buckets["curated"], Key=f"{prefix}/result.json", Body=text.encode())


def archive(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def put_training_output(aws: Aws, body: bytes | None = None, run_id: str = "r1", *, job_name: str = "") -> None:
    """Put output.tar.gz where SageMaker does; by default with the result of `trained`, behind something large."""
    whole = archive({"plots/curve.png": bytes(300_000), "result.json": trained().model_dump_json().encode()})
    job = job_name or naming.job_name("flights", run_id, "train", 1)
    prefix = f"{zones.training_output_prefix('flights')}/{job}/output"
    aws.s3.put_object(Bucket=aws.buckets["models"], Key=f"{prefix}/output.tar.gz", Body=whole if body is None else body)
    aws.s3.put_object(Bucket=aws.buckets["models"], Key=f"{prefix}/model.tar.gz", Body=b"the bundle")


def processing_description(stage: str, **changes: Any) -> dict[str, Any]:
    """DescribeProcessingJob as Step Functions' optimized integration gives it: times as epoch milliseconds."""
    return {
        "ProcessingJobName": naming.job_name("flights", "r1", stage, 1),
        "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}},
        "ProcessingStartTime": 1_795_000_000_000,
        "ProcessingEndTime": 1_795_000_090_000,
        **changes,
    }


def training_description(aws: Aws, **changes: Any) -> dict[str, Any]:
    """DescribeTrainingJob as Step Functions' SDK integration gives it."""
    output = zones.s3_uri(aws.buckets["models"], zones.training_output_prefix("flights"))
    return {
        "TrainingJobName": naming.job_name("flights", "r1", "train", 1),
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "AlgorithmSpecification": {"TrainingImage": IMAGE},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "InputDataConfig": [
            {
                "ChannelName": "project",
                "DataSource": {"S3DataSource": {"S3Uri": f"s3://{aws.buckets['curated']}/flights.zip"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": output},
        "BillableTimeInSeconds": 120,
        "SecondaryStatusTransitions": [{"Status": name} for name in ("Starting", "Interrupted", "Training")],
        **changes,
    }


def as_json(value: Any) -> Any:
    """Return a value as it crosses a state machine."""
    return json.loads(json.dumps(value))
