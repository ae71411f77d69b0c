"""Where everything lies in S3. Infrastructure, jobs, Lambdas and the command line spell keys only through this module.

Zones (one bucket each): raw, quarantine, curated, models, predictions, reports.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

ZONES: Final = ("raw", "quarantine", "curated", "models", "predictions", "reports")
#: Folder of a run's rejected rows in the quarantine zone.
QUARANTINED_ROWS: Final = "rows"
#: Folder of a project in the predictions zone that batches are scored in, and the one with their jobs' plans.
BATCH: Final = "batch"
BATCH_PLANS: Final = "_batch"
#: Variants of an endpoint whose requests and answers are captured.
CAPTURED_VARIANTS: Final = ("champion", "challenger")
#: How the names of captured objects end.
CAPTURED_SUFFIX: Final = ".jsonl"


def project_of_raw_key(key: str) -> str | None:
    """Return the project that a raw object belongs to (`<project>/<any path>`), or None when the key names none."""
    project, slash, rest = key.partition("/")
    return project if slash and project and rest else None


def run_prefix(project: str, run_id: str, attempt: int | str) -> str:
    """Prefix in the curated and reports zones for what one attempt of a run writes."""
    return f"{project}/runs/{run_id}/{attempt}"


def drop_manifest_key(project: str, run_id: str, attempt: int) -> str:
    """Curated zone: the `DropManifest` that `prepare` reads."""
    return f"{run_prefix(project, run_id, attempt)}/drop/drop.json"


def result_prefix(project: str, run_id: str, attempt: int, stage: str) -> str:
    """Curated zone: where stage `prepare` or `evaluate` writes its `result.json` and figures."""
    return f"{run_prefix(project, run_id, attempt)}/{stage}"


def tuning_prefix(project: str, run_id: str, attempt: int) -> str:
    """Curated zone: the studies of the run's tuning jobs, and below `study` all of them as one."""
    return f"{run_prefix(project, run_id, attempt)}/tune"


def backtest_prefix(project: str, job: str) -> str:
    """Curated zone: what a back-test was asked, below `question`, and what it found, below `result`."""
    return f"{project}/backtests/{job}"


def spark_logs_prefix(project: str, run_id: str, attempt: int) -> str:
    """Curated zone: the logs of driver and executors, where Spark prepared the data."""
    return f"{run_prefix(project, run_id, attempt)}/spark-logs"


def quarantine_prefix(project: str, run_id: str, attempt: int) -> str:
    """Quarantine zone: `report.json` with the reasons, and the folder of rejected rows."""
    return run_prefix(project, run_id, attempt)


def quarantine_rows_prefix(project: str, run_id: str, attempt: int | str) -> str:
    """Quarantine zone: rejected rows, one Parquet file per dropped file and, for Athena, nothing else."""
    return f"{run_prefix(project, run_id, attempt)}/{QUARANTINED_ROWS}"


def curated_files_prefix(project: str) -> str:
    """Curated zone: one Parquet file per accepted raw file and contract, `<sha256>-<contract hash>.parquet`."""
    return f"{project}/files"


def dataset_prefix(project: str, dataset_id: str) -> str:
    """Curated zone: `manifest.json`, and `train/`, `validation/`, `test/` with Parquet parts."""
    return f"{project}/datasets/{dataset_id}"


def training_output_prefix(project: str) -> str:
    """Models zone: SageMaker adds `<job>/output/model.tar.gz` and `<job>/output/output.tar.gz`."""
    return f"{project}/training"


def checkpoint_prefix(project: str, job_name: str) -> str:
    """Models zone: checkpoints of one training job."""
    return f"{project}/checkpoints/{job_name}"


def capture_prefix(project: str) -> str:
    """Predictions zone: SageMaker's data capture adds `<endpoint>/<variant>/yyyy/mm/dd/hh/`."""
    return f"{project}/capture"


def batch_prefix(project: str) -> str:
    """Predictions zone: what transform jobs of a project may read, and write beside it."""
    return f"{project}/{BATCH}"


def batch_plans_prefix(output_prefix: str) -> str:
    """Below a batch's outputs: for each transform job its plan, and the manifest of its inputs."""
    return f"{output_prefix.rstrip('/')}/{BATCH_PLANS}"


def captured_by(key: str) -> tuple[str, str] | None:
    """Return the project and the variant whose requests a captured object holds, None for any other key."""
    parts = key.split("/")
    if len(parts) != 9 or parts[1] != "capture" or not parts[8].endswith(CAPTURED_SUFFIX):
        return None
    return parts[0], parts[3]


def prediction_records_prefix(project: str) -> str:
    """Predictions zone: below it `<yyyy-mm-dd>/` of the event, and there one Parquet file or more a captured object."""
    return f"{project}/records"


def prediction_records_key(project: str, day: str, source: str, part: int) -> str:
    """Predictions zone: a part of what an object, or a batch of log lines, named `source` holds of a day.

    Whoever writes it again writes it to the same place.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    return f"{prediction_records_prefix(project)}/{day}/{digest}-{part:04}.parquet"


def broken_predictions_key(project: str, source: str) -> str:
    """Quarantine zone: which lines of `source` are no predictions, and why."""
    return f"{project}/predictions/{hashlib.sha256(source.encode()).hexdigest()[:32]}.json"


def captured_hour_prefix(project: str, endpoint: str, variant: str, hour: datetime) -> str:
    """Predictions zone: what was captured of a variant in an hour, UTC."""
    return f"{capture_prefix(project)}/{endpoint}/{variant}/{hour:%Y/%m/%d/%H}/"


def report_prefix(project: str, run_id: str) -> str:
    """Reports zone: what people read about a run."""
    return f"{project}/runs/{run_id}"


def ledger_prefix(project: str) -> str:
    """Reports zone: below it `<yyyy-mm-dd>/`, the charges of a day (`contracts.ledger`)."""
    return f"{project}/ledger"


def ledger_key(project: str, day: str) -> str:
    """Reports zone: what a project did cost on a day, UTC, as `yyyy-mm-dd`."""
    return f"{ledger_prefix(project)}/{day}/charges.parquet"


def ab_reading_key(project: str, name: str, read_at: str) -> str:
    """Reports zone: what an A/B test showed at a moment."""
    return f"{project}/experiments/{name}/{read_at}.json"


def window_prefix(project: str, window: str) -> str:
    """Reports zone: what a window of time showed (`contracts.monitoring`), by its start as `yyyy-mm-ddThh:mmZ`."""
    return f"{project}/monitoring/{window}"


def labels_prefix(project: str, window: str) -> str:
    """Curated zone: the labels of a window's predictions, as far as they are known."""
    return f"{project}/monitoring/{window}/labels"


def counted_prefix(project: str, window: str, source: str) -> str:
    """Curated zone: what a job is asked to count of a window's records, and what it counted."""
    return f"{project}/monitoring/{window}/{source}"


def s3_uri(bucket: str, key: str) -> str:
    """Return `s3://bucket/key`."""
    return f"s3://{bucket}/{key}"


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key) of an `s3://` URI.

    Raises ValueError when the URI is not of that form.
    """
    if not uri.startswith("s3://"):
        raise ValueError(f"not an S3 URI: {uri!r}; expected s3://bucket/key")
    bucket, _, key = uri[5:].partition("/")
    return bucket, key
