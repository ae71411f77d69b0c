"""Read the result files of our own jobs; what is missing or strange is explained."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from passerelle.aws.clients import client
from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.base import Contract
from passerelle.contracts.container import RESULT_FILE, EvaluateResult, PrepareResult, TrainResult
from passerelle.contracts.experiment import ShadowEvidence
from passerelle.errors import JobFailedError, NotFoundError
from passerelle.steps.archives import read_member

ResultT = TypeVar("ResultT", bound=Contract)


def read_prepare_result(bucket: str, base: dict[str, Any]) -> PrepareResult:
    """Return what `prepare` wrote for this attempt.

    Raises JobFailedError when it wrote none, or one that this version cannot read.
    """
    return _read_processed(PrepareResult, bucket, base, "prepare")


def read_evaluate_result(bucket: str, base: dict[str, Any]) -> EvaluateResult:
    """Return what `evaluate` wrote for this attempt.

    Raises JobFailedError when it wrote none, or one that this version cannot read.
    """
    return _read_processed(EvaluateResult, bucket, base, "evaluate")


def read_shadow_evidence(bucket: str, base: dict[str, Any]) -> ShadowEvidence:
    """Return what `judge` wrote for this attempt.

    Raises JobFailedError when it wrote none, or one that this version cannot read.
    """
    return _read_processed(ShadowEvidence, bucket, base, "judge/result")


def read_train_result(output_path: str, job_name: str) -> TrainResult:
    """Return the result file out of a training job's output.tar.gz.

    Raises JobFailedError when there is none, or one that this version cannot read; BundleError for a corrupt archive.
    """
    bucket, key = zones.split_s3_uri(f"{output_path}/{job_name}/output/output.tar.gz")
    try:
        text = read_member(Objects(client("s3")), bucket, key, RESULT_FILE)
    except NotFoundError as error:
        raise _left_nothing(job_name, bucket, key) from error
    if text is None:
        raise _left_nothing(job_name, bucket, key)
    return _parse(TrainResult, text, job_name, zones.s3_uri(bucket, key))


def failure_reason(cause: str, *, otherwise: str) -> str:
    """Return why a job failed: Step Functions gives its description as the error's cause.

    `otherwise` is what is said where that gives no reason.
    """
    try:
        job = json.loads(cause)
        return str(job.get("ExitMessage") or job.get("FailureReason") or otherwise)
    except (ValueError, AttributeError):
        return cause or otherwise


def _read_processed(model: type[ResultT], bucket: str, base: dict[str, Any], stage: str) -> ResultT:
    project, run_id, attempt = base["project"], base["run_id"], base["attempt"]
    job = naming.job_name(project, run_id, stage, attempt)
    key = f"{zones.result_prefix(project, run_id, attempt, stage)}/{RESULT_FILE}"
    try:
        text = Objects(client("s3")).read(bucket, key)
    except NotFoundError as error:
        raise _left_nothing(job, bucket, key) from error
    return _parse(model, text, job, zones.s3_uri(bucket, key))


def _left_nothing(job: str, bucket: str, key: str) -> JobFailedError:
    return JobFailedError(
        f"Job {job} ended without its {RESULT_FILE} (expected in {zones.s3_uri(bucket, key)}). Its log says how far it "
        "came; if somebody deleted the file, retry the run."
    )


def _parse(model: type[ResultT], text: bytes, job: str, uri: str) -> ResultT:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise JobFailedError(
            f"The {RESULT_FILE} of job {job} ({uri}) is not what this version reads: {where}: {first['msg']}. The "
            "training image and the functions must be of one version: deploy both, then retry the run."
        ) from error
