"""Names that several parts must build alike: runs, jobs, models, endpoints."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

PROJECT_PATTERN: Final = r"[a-z][a-z0-9-]{0,18}[a-z0-9]"
#: The environment variable that says where a container of ours finds /opt/ml.
BASE_DIR_VARIABLE: Final = "SAGEMAKER_BASE_DIR"


def run_id_of(moment: datetime, identity: str) -> str:
    """Return a run id that sorts by time and is the same for the same first event.

    `identity` is what the first event of the batch is about (bucket/key/version). 22 characters, so that job names
    stay within SageMaker's 63.
    """
    digest = hashlib.sha256(identity.encode()).hexdigest()[:6]
    return f"r{moment:%Y%m%d%H%M%S}-{digest}"


def execution_name(project: str, run_id: str, attempt: int) -> str:
    """Name of the pipeline execution; one per run and attempt."""
    return f"{project}-{run_id}-{attempt}"


def job_name(project: str, run_id: str, stage: str, attempt: int) -> str:
    """Name of a SageMaker job: deterministic, so that creating it twice creates one."""
    return f"{project}-{run_id}-{stage}-{attempt}"


def batch_job_name(project: str, moment: datetime, identity: str) -> str:
    """Name of a batch transform job: sorts by time, to the microsecond, as one prefix may be asked for twice."""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:6]
    return f"{project}-batch-{moment:%Y%m%d%H%M%S%f}-{digest}"


def backtest_job_name(project: str, moment: datetime) -> str:
    """Name of the processing job of a back-test: sorts by time, to the microsecond."""
    return f"{project}-backtest-{moment:%Y%m%d%H%M%S%f}"


def endpoint_name(environment: str, project: str) -> str:
    """The endpoint that applications call. Lower case: CDK lower-cases names in policy ARNs."""
    return f"passerelle-{environment}-{project}"


def endpoint_log_group(endpoint: str) -> str:
    """CloudWatch log group of an endpoint's servers; names of its streams begin with `<variant>/`."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def project_of_log_group(environment: str, group: str) -> str | None:
    """Return the project whose endpoint's log group this is, None for any other."""
    begin = endpoint_log_group(endpoint_name(environment, ""))
    return group.removeprefix(begin) if group.startswith(begin) and len(group) > len(begin) else None


def component_name(environment: str, project: str) -> str:
    """The inference component of an endpoint that scales to zero: called as its endpoint, and kept over updates."""
    return endpoint_name(environment, project)


def hosted_name(endpoint: str, digest: str) -> str:
    """Name of a model or configuration of an endpoint, by its content: at most 57 of SageMaker's 63 characters."""
    return f"{endpoint}-{digest}"


def registered_model_name(environment: str, project: str) -> str:
    """Name in the MLflow registry; one registry may serve several environments."""
    return f"{project}-{environment}"


def project_parameter(environment: str, project: str) -> str:
    """SSM parameter that says where the deployed project archive lies."""
    return f"/passerelle/{environment}/projects/{project}"


def resource_parameter(environment: str, name: str) -> str:
    """SSM parameter by which the command line finds a deployed resource (bucket, table, state machine)."""
    return f"/passerelle/{environment}/resources/{name}"
