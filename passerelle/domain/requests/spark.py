"""StartJobRun of EMR Serverless, whole, as the optimized integration of Step Functions takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts import naming, zones
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import RunRef, tags

Request = dict[str, Any]
#: In the image (infra/images/spark/Dockerfile).
ENTRY: Final = "local:///app/spark_main.py"
PYTHON: Final = "/usr/bin/python3.12"
MAX_MINUTES: Final = 12 * 60
WORKER_CORES: Final = 4
#: A worker of 4 vCPU has at most 30 GB (EMR Serverless user guide, "Worker configurations"). Half is the JVM's, half
#: that of the Python tasks, which validate and write.
HEAP_GB: Final = 14
PYTHON_GB: Final = 14
#: Each of a worker's tasks has a DuckDB of its own.
DUCKDB_MEMORY: Final = "2GB"
#: Raw file, its texts and its typed rows, for each task at once; 20 GB are free of charge.
DISK_GB: Final = 200
#: EMR Serverless takes fewer signs in tags than SageMaker does (API reference, TagResource).
_OTHER_SIGNS: Final = re.compile(r"[^A-Za-z0-9 /_.:=+@-]")


@dataclass(frozen=True, kw_only=True)
class SparkPlace:
    """Where and as whom Spark runs."""

    environment: str
    region: str
    zones: dict[str, str]
    application_id: str
    role_arn: str
    kms_key_arn: str


def spark_job(place: SparkPlace, run: RunRef, project: Project) -> Request:
    """Return StartJobRun for `prepare`."""
    drop = zones.drop_manifest_key(run.project, run.run_id, run.attempt)
    name = naming.job_name(run.project, run.run_id, "prepare", run.attempt)
    settings = " ".join(f"--conf {key}={value}" for key, value in {**_SETTINGS, **_region(place)}.items())
    logs = zones.s3_uri(place.zones["curated"], zones.spark_logs_prefix(run.project, run.run_id, run.attempt))
    return {
        "ApplicationId": place.application_id,
        # The same token starts the same job run, so a call that is tried again starts no second one.
        "ClientToken": name,
        "Name": name,
        "ExecutionRoleArn": place.role_arn,
        "ExecutionTimeoutMinutes": MAX_MINUTES,
        "JobDriver": {
            "SparkSubmit": {
                "EntryPoint": ENTRY,
                "EntryPointArguments": [zones.s3_uri(place.zones["curated"], drop), run.project_uri],
                "SparkSubmitParameters": settings,
            }
        },
        "ConfigurationOverrides": {
            "MonitoringConfiguration": {
                "S3MonitoringConfiguration": {"LogUri": f"{logs}/", "EncryptionKeyArn": place.kms_key_arn},
                # Kept in our bucket only, under our key.
                "ManagedPersistenceMonitoringConfiguration": {"Enabled": False},
            }
        },
        "Tags": {
            _OTHER_SIGNS.sub("-", item["Key"]): _OTHER_SIGNS.sub("-", item["Value"])
            for item in tags(project, place.environment, run.run_id)
        },
    }


def _region(place: SparkPlace) -> dict[str, str]:
    """Say the region to S3's clients: the jobs' subnets have a way to this region's S3 only."""
    names = ("spark.emr-serverless.driverEnv", "spark.executorEnv")
    return {f"{name}.AWS_DEFAULT_REGION": place.region for name in names}


def _worker(role: str) -> dict[str, str]:
    return {
        f"spark.{role}.cores": str(WORKER_CORES),
        f"spark.{role}.memory": f"{HEAP_GB}g",
        f"spark.{role}.memoryOverhead": f"{PYTHON_GB}g",
        f"spark.emr-serverless.{role}.disk": f"{DISK_GB}g",
    }


_SETTINGS: Final = {
    **_worker("driver"),
    **_worker("executor"),
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
    "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
    "spark.executorEnv.PASSERELLE_DUCKDB_MEMORY": DUCKDB_MEMORY,
}
