"""Entry `prepare`: from dropped files to a dataset. Bad data is a result; only a defect or an outage is a failure."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import (
    PREPARE_INPUTS,
    PREPARE_OUTPUTS,
    RESULT_FILE,
    DatasetFile,
    DropFile,
    DropManifest,
    FileOutcome,
    PrepareResult,
    Problem,
    SplitPart,
)
from passerelle.domain.dataset.identity import dataset_id, merge_files
from passerelle.domain.project import Project
from passerelle.errors import NotFoundError
from training.paths import base_dir, processing
from training.prepare.build import Built, build_dataset
from training.prepare.validate import ValidatedFile, validate_file
from training.progress import tell
from training.project_archive import read_project

MANIFEST_FILE: Final = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where `prepare` reads and writes on the local disk."""

    result: Path
    quarantine: Path
    curated: Path
    work: Path


def main() -> int:
    """Run the entry in SageMaker's layout."""
    outputs = {name: processing(part) for name, part in PREPARE_OUTPUTS.items()}
    for folder in outputs.values():
        folder.mkdir(parents=True, exist_ok=True)
    project = read_project(processing(PREPARE_INPUTS["project"]))
    drop = processing(PREPARE_INPUTS["drop"]) / "drop.json"
    manifest = DropManifest.model_validate_json(drop.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=base_dir()) as work:
        result = prepare(manifest, project, Objects(), Folders(**outputs, work=Path(work)))
    message = base_dir() / "output" / "message"
    message.parent.mkdir(parents=True, exist_ok=True)
    message.write_text(_one_line(result), encoding="utf-8")
    return 0


def prepare(manifest: DropManifest, project: Project, objects: Objects, folders: Folders) -> PrepareResult:
    """Validate the new files, merge them with the earlier ones, and build the dataset. The result is written too."""
    started = time.monotonic()
    contract = project.contract_hash()
    validated = [_fetch_and_validate(file, project, objects, folders, i) for i, file in enumerate(manifest.new_files)]
    accepted = [_curate(item, manifest, contract, folders) for item in validated if item.outcome.status == "accepted"]
    built: Built | None = None
    files: tuple[DatasetFile, ...] = ()
    if accepted:
        kept, again = _current(manifest, {file.key for file in accepted}, project, objects, folders)
        validated += again
        files = merge_files(kept, accepted)
    quarantine_uri = _keep_quarantine(validated, manifest, folders)
    if accepted:
        local = [_local_curated(file, manifest, objects, folders) for file in files]
        identity = dataset_id(files, contract)
        output = folders.curated / "datasets" / identity
        built = build_dataset(local, project, output=output, spill=folders.work / "spill")
    result = _result(manifest, contract, [item.outcome for item in validated], built, files, quarantine_uri, started)
    if result.status == "accepted":
        path = folders.curated / "datasets" / str(result.dataset_id) / MANIFEST_FILE
        path.write_text(result.model_dump_json(indent=2), encoding="utf-8")
        tell("dataset_ready", dataset_id=result.dataset_id, rows=sum(part.rows for part in result.split.values()))
    (folders.result / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    return result


def _fetch_and_validate(
    file: DropFile, project: Project, objects: Objects, folders: Folders, index: int
) -> ValidatedFile:
    work = folders.work / f"{index:05d}"
    local = work / "raw"
    try:
        objects.download(file.bucket, file.key, local, file.version_id)
    except NotFoundError as error:
        problem = Problem(
            code="file_gone",
            file=file.key,
            rule="a dropped file stays until it is read",
            message=str(error),
            remedy="Drop the file again, and do not delete it before the run ends.",
        )
        outcome = FileOutcome(
            key=file.key, version_id=file.version_id, sha256=file.sha256, status="rejected", problems=(problem,)
        )
        return ValidatedFile(outcome=outcome)
    if file_digest(local) != file.sha256:
        return ValidatedFile(outcome=_changed(file))
    validated = validate_file(local, file, project, work=work)
    local.unlink()
    outcome = validated.outcome
    tell(
        "file_validated",
        key=file.key,
        status=outcome.status,
        rows_accepted=outcome.rows_accepted,
        rows_rejected=outcome.rows_rejected,
    )
    return validated


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(file: DropFile) -> FileOutcome:
    """The object was overwritten between its claim and now, in a bucket that keeps no versions."""
    problem = Problem(
        code="file_changed",
        file=file.key,
        rule="a dropped file stays as it was until it is read",
        message="the object's bytes are not those that were claimed",
        remedy="Drop the file again, under a new name or in a versioned bucket.",
    )
    return FileOutcome(
        key=file.key, version_id=file.version_id, sha256=file.sha256, status="rejected", problems=(problem,)
    )


def _keep_quarantine(validated: Sequence[ValidatedFile], manifest: DropManifest, folders: Folders) -> str | None:
    """Write the rejected rows and the report; returns their S3 prefix, None when nothing was found wrong."""
    problems = [problem for item in validated for problem in item.outcome.problems]
    for index, item in enumerate(validated):
        if item.quarantined:
            shutil.move(item.quarantined, folders.quarantine / f"rows-{index:05d}.parquet")
    if not any(problem.severity != "note" for problem in problems):
        return None
    report = {
        "project": manifest.project,
        "run_id": manifest.run_id,
        "files": [item.outcome.model_dump(mode="json") for item in validated],
    }
    (folders.quarantine / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    prefix = zones.quarantine_prefix(manifest.project, manifest.run_id, manifest.attempt)
    return zones.s3_uri(manifest.zones["quarantine"], prefix)


def _curated_name(sha256: str, contract: str) -> str:
    return f"{sha256}-{contract}.parquet"


def _curate(item: ValidatedFile, manifest: DropManifest, contract: str, folders: Folders) -> DatasetFile:
    """Put an accepted file's good rows into the curated output."""
    assert item.good is not None
    outcome = item.outcome
    name = _curated_name(outcome.sha256, contract)
    target = folders.curated / "files" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(item.good, target)
    return DatasetFile(
        key=outcome.key,
        version_id=outcome.version_id,
        sha256=outcome.sha256,
        rows=pq.read_metadata(target).num_rows,
        curated_key=f"{zones.curated_files_prefix(manifest.project)}/{name}",
    )


def _current(
    manifest: DropManifest, replaced: set[str], project: Project, objects: Objects, folders: Folders
) -> tuple[list[DatasetFile], list[ValidatedFile]]:
    """Return the earlier files that stay, under today's contract, and those that were read from raw again for it.

    One that breaks today's contract, or is gone, leaves the dataset; the second list says so.
    """
    contract = project.contract_hash()
    current: list[DatasetFile] = []
    reread: list[ValidatedFile] = []
    for index, file in enumerate(manifest.earlier_files):
        if file.key in replaced:
            continue
        if file.curated_key.endswith(_curated_name(file.sha256, contract)):
            current.append(file)
            continue
        raw = DropFile(
            bucket=manifest.zones["raw"], key=file.key, version_id=file.version_id, size=0, sha256=file.sha256
        )
        again = _fetch_and_validate(raw, project, objects, folders, len(manifest.new_files) + index)
        reread.append(again)
        if again.outcome.status == "accepted":
            current.append(_curate(again, manifest, contract, folders))
    return current, reread


def _local_curated(file: DatasetFile, manifest: DropManifest, objects: Objects, folders: Folders) -> Path:
    name = file.curated_key.rsplit("/", 1)[-1]
    made_now = folders.curated / "files" / name
    if made_now.exists():
        return made_now
    return objects.download(manifest.zones["curated"], file.curated_key, folders.work / "earlier" / name)


def _result(
    manifest: DropManifest,
    contract: str,
    outcomes: Sequence[FileOutcome],
    built: Built | None,
    files: tuple[DatasetFile, ...],
    quarantine_uri: str | None,
    started: float,
) -> PrepareResult:
    problems = tuple(problem for outcome in outcomes for problem in outcome.problems)
    accepted = built is not None and bool(built.parts)
    identity = dataset_id(files, contract) if accepted else None
    split = {}
    if built and identity:
        prefix = zones.s3_uri(manifest.zones["curated"], zones.dataset_prefix(manifest.project, identity))
        split = {
            part.name: SplitPart(uri=f"{prefix}/{part.name}/", rows=part.rows, start=part.start, end=part.end)
            for part in built.parts
        }
    return PrepareResult(
        status="accepted" if accepted else "rejected",
        dataset_id=identity,
        contract_hash=contract,
        files=tuple(outcomes),
        dataset_files=files if accepted else (),
        rows_read=sum(outcome.rows_read for outcome in outcomes),
        rows_accepted=sum(outcome.rows_accepted for outcome in outcomes),
        rows_rejected=sum(outcome.rows_rejected for outcome in outcomes),
        rows_without_label=built.without_label if built else 0,
        duplicate_rows=built.duplicates if built else 0,
        quarantine_uri=quarantine_uri,
        split=split,
        label_summary=built.label_summary if built else {},
        dropped_columns=built.dropped_columns if built else {},
        problems=problems + (built.problems if built else ()),
        seconds=time.monotonic() - started,
    )


def _one_line(result: PrepareResult) -> str:
    first = next((problem.message for problem in result.problems if problem.severity == "error"), "")
    words = f"{result.status}: {result.rows_accepted:,} of {result.rows_read:,} rows accepted"
    return (f"{words}. {first}" if first else words)[:1_000]
