"""Train the chosen model of a run again, from the run's record, and compare: the same entry, the same data, here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.archive import unpack
from passerelle.contracts.base import Contract
from passerelle.contracts.bundle import METADATA_FILE, BundleMetadata
from passerelle.contracts.checkout import ROOT, UNKNOWN, git_sha, lock_hash
from passerelle.contracts.comparison import Comparison
from passerelle.contracts.container import (
    CHANNELS,
    COMPARISON_FILE,
    ORIGINAL,
    PROJECT_ARCHIVE,
    REPRODUCE,
    RESULT_FILE,
    THREADS,
    CandidateResult,
    PrepareResult,
    TrainResult,
)
from passerelle.contracts.runs import RunRecord
from passerelle.domain.machine import device, machine, versions
from passerelle.errors import BundleError, InputError, JobFailedError, NotFoundError, SettingsError
from passerelle.steps.archives import read_member
from passerelle.steps.artefacts import BUNDLE, DATASET, TRAINING_OUTPUT, result_key, training_key

#: Variables that set how many threads OpenMP and BLAS compute with -> where the bundle says how many it were.
_THREADS: Final = {
    "OMP_NUM_THREADS": "openmp_threads",
    "OPENBLAS_NUM_THREADS": "blas_threads",
    "MKL_NUM_THREADS": "blas_threads",
}
#: What another value of is no reason for other numbers: threads are set as they were.
_SET_AS_THEN: Final = ("threads", "openmp_threads", "blas_threads")
_TAIL_LINES: Final = 15
_MODULES: Final = ("sklearn", "skops", "pyarrow", "matplotlib", "mlflow")


class Difference(Contract):
    """Something that was otherwise when the run was trained."""

    what: str
    then: str
    here: str


@dataclass(frozen=True)
class Source:
    """Where runs are read from: S3 and the buckets of models and curated data."""

    objects: Objects
    models: str
    curated: str


@dataclass(frozen=True)
class Laid:
    """A run laid out below `folder` as for a training job, and what it was made by."""

    folder: Path
    candidate: CandidateResult
    metadata: BundleMetadata


def lay_out(source: Source, record: RunRecord, folder: Path) -> Laid:
    """Fetch what trained a run's model: its bundle, data, project and parameters.

    Raises InputError for a run that trained no model here, NotFoundError when data or project are gone, BundleError
    when the model is not the one that the run recorded.
    """
    job = _need_trained(record)
    bundle = _fetch_bundle(source, record, job, folder)
    metadata = BundleMetadata.from_json((bundle / METADATA_FILE).read_bytes())
    candidate = _candidate(source, record, job)
    _fetch_data(source, record, folder / "input" / "data")
    parameters = {
        "project": record.project,
        **{name: getattr(metadata, name) for name in ("run_id", "dataset_id", "contract_hash", "git_sha", "lock_hash")},
        "seed": str(metadata.seed),
        REPRODUCE: candidate.model_dump_json(exclude={"resamples", "train_metrics", "validation_metrics", "params"}),
        **({THREADS: metadata.machine["threads"]} if "threads" in metadata.machine else {}),
    }
    config = folder / "input" / "config" / "hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(parameters, indent=2), encoding="utf-8")
    return Laid(folder, candidate, metadata)


def _need_trained(record: RunRecord) -> str:
    """Return the job that trained the run's model."""
    if record.origin is not None:
        there = record.origin.environment
        raise InputError(
            f"Run {record.run_id} was trained in {there}: `passerelle --env {there} reproduce {record.run_id}`."
        )
    job = next((stage.job_name for stage in record.stages if stage.stage == "train"), None)
    if record.chosen is None or job is None:
        raise InputError(f"Run {record.run_id} is {record.status} and has no model: there is nothing to train again.")
    if record.project_uri is None:
        raise InputError(
            f"Run {record.run_id} does not say which archive of its project it trained: it was recorded by an earlier "
            "version. Runs from now on do."
        )
    return job


def _fetch_bundle(source: Source, record: RunRecord, job: str, folder: Path) -> Path:
    key = training_key(record.project, job, BUNDLE)
    archive = source.objects.download(source.models, key, folder / "original.tar.gz")
    expected, found = record.artefacts.get(BUNDLE), source.objects.sha256(source.models, key)
    if expected not in (None, found):
        raise BundleError(
            f"s3://{source.models}/{key} has SHA-256 {found}, its run recorded {expected}: it was changed after the "
            "gate had judged it, so there is nothing to compare with."
        )
    return unpack(archive, folder / ORIGINAL)


def _candidate(source: Source, record: RunRecord, job: str) -> CandidateResult:
    key = training_key(record.project, job, TRAINING_OUTPUT)
    text = read_member(source.objects, source.models, key, RESULT_FILE)
    if text is None:
        raise NotFoundError(f"s3://{source.models}/{key} holds no {RESULT_FILE}: it does not say what was trained.")
    result = TrainResult.model_validate_json(text)
    return next(item for item in result.candidates if item.name == result.chosen)


def _fetch_data(source: Source, record: RunRecord, folder: Path) -> None:
    key = result_key(record.project, record.run_id, record.attempt, DATASET)
    prepared = PrepareResult.model_validate_json(source.objects.read(source.curated, key))
    for part in CHANNELS:
        if part == "project":
            bucket, key = zones.split_s3_uri(str(record.project_uri))
            _fetch_project(source.objects, record, bucket, key, folder / part / PROJECT_ARCHIVE)
        else:
            told = prepared.split[part]
            _fetch_part(source.objects, record, told.uri, told.rows, folder / part)


def _fetch_project(objects: Objects, record: RunRecord, bucket: str, key: str, target: Path) -> None:
    try:
        objects.download(bucket, key, target)
    except NotFoundError as error:
        raise NotFoundError(
            f"The archive of project {record.project} that run {record.run_id} trained is gone: {error} Deploy that "
            "commit of the project again; archives are named by their content, so it comes back under its name."
        ) from error


def _fetch_part(objects: Objects, record: RunRecord, uri: str, rows: int, target: Path) -> None:
    """Fetch one part of the dataset; its rows are counted, as a changed split writes the same dataset anew."""
    import pyarrow.parquet as pq

    bucket, prefix = zones.split_s3_uri(uri)
    keys = [key for key in objects.keys(bucket, f"{prefix.rstrip('/')}/") if key.endswith(".parquet")]
    if not keys:
        raise NotFoundError(
            f"Dataset {record.dataset_id} of run {record.run_id} is gone ({uri} holds no Parquet file). The raw files "
            "are kept: drop them again, or restore the bucket's versions."
        )
    paths = [objects.download(bucket, key, target / Path(key).name) for key in keys]
    found = sum(pq.read_metadata(path).num_rows for path in paths)
    if found != rows:
        raise InputError(
            f"{uri} has {found:,} rows, run {record.run_id} was trained when it had {rows:,}: the dataset was written "
            "again since, with another split. Restore the bucket's versions of that time."
        )


def differences(laid: Laid) -> tuple[Difference, ...]:
    """Return what is not as it was when the run was trained, and may make other numbers."""
    then = {"commit": laid.metadata.git_sha, "lock": laid.metadata.lock_hash}
    here = {"commit": git_sha(), "lock": lock_hash()}
    then |= {f"version of {name}": value for name, value in laid.metadata.versions.items()}
    here |= {f"version of {name}": value for name, value in versions().items()}
    then |= {name: value for name, value in laid.metadata.machine.items() if name not in _SET_AS_THEN}
    here |= {name: value for name, value in machine(1, device()).items() if name not in _SET_AS_THEN}
    return tuple(
        Difference(what=name, then=value, here=here.get(name, UNKNOWN))
        for name, value in then.items()
        if value != here.get(name, UNKNOWN)
    )


def need_libraries() -> None:
    """Raise SettingsError where models cannot be trained: the command line alone comes without their libraries."""
    from importlib.util import find_spec

    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"Training needs {', '.join(missing)}: install Passerelle's training libraries "
            "(`pip install -r requirements.txt`, or the extras `training` and `serve`)."
        )


def train_again(laid: Laid) -> Comparison:
    """Train the candidate in a process of its own, and compare its predictions on the test rows with the run's.

    Raises JobFailedError with the end of its output when it fails.
    """
    for entry in ("train", "compare"):
        command = [sys.executable, "-m", "training", entry]
        done = subprocess.run(
            command, env=_environment(laid), cwd=laid.folder, capture_output=True, text=True, errors="replace"
        )
        (laid.folder / f"{entry}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL_LINES:])
            raise JobFailedError(f"`python -m training {entry}` ended with {done.returncode}:\n{tail}")
    text = (laid.folder / "output" / "data" / COMPARISON_FILE).read_text(encoding="utf-8")
    return Comparison.model_validate_json(text)


def _environment(laid: Laid) -> dict[str, str]:
    """Return the process's environment: as a job's, nothing of the caller's accounts, with as many threads as then."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PASSERELLE_"))}
    threads: Mapping[str, Any] = laid.metadata.machine
    return {
        **kept,
        **{name: str(threads[known]) for name, known in _THREADS.items() if known in threads},
        "PYTHONPATH": str(ROOT),
        naming.BASE_DIR_VARIABLE: str(laid.folder),
    }
