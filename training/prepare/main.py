"""Entry `prepare`: from dropped files to a dataset. Bad data is a result; only a defect or an outage is a failure."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
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
    PrepareResult,
)
from passerelle.domain.contract.compiled import compile_contract
from passerelle.domain.dataset.identity import dataset_id, merge_files
from passerelle.domain.features.source import compile_features
from passerelle.domain.project import Project
from training.paths import base_dir, processing
from training.prepare.build import Built, build_dataset
from training.prepare.engine import Engine
from training.prepare.engines import choose, open_engine
from training.prepare.fetch import Validation
from training.prepare.report import Findings, drop_problem, keep_quarantine, make_result, one_line
from training.prepare.validate import ValidatedFile
from training.progress import tell
from training.project_archive import read_features, read_project

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
    archive = processing(PREPARE_INPUTS["project"])
    project = read_project(archive)
    drop = processing(PREPARE_INPUTS["drop"]) / "drop.json"
    manifest = DropManifest.model_validate_json(drop.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=base_dir()) as work:
        folders = Folders(**outputs, work=Path(work))
        result = prepare(manifest, project, Objects(), folders, features=read_features(archive, project))
    message = base_dir() / "output" / "message"
    message.parent.mkdir(parents=True, exist_ok=True)
    message.write_text(one_line(result), encoding="utf-8")
    return 0


def prepare(
    manifest: DropManifest, project: Project, objects: Objects, folders: Folders, *, features: bytes | None = None
) -> PrepareResult:
    """Validate the new files, merge them with the earlier ones, and build the dataset. The result is written too.

    `features` is the project's features.py, where it has one.
    """
    started = time.monotonic()
    contract = project.contract_hash(hashlib.sha256(features).hexdigest() if features is not None else "")
    derived = compile_features(features, project) if features is not None else ()
    validation = Validation(project, compile_contract(project, derived), objects, folders.work)
    chosen = choose(manifest, project)
    tell("engine_chosen", engine=chosen.name, why=chosen.why)
    with open_engine(chosen.name, folders.work / "spill") as engine:
        findings, quarantine_uri = _prepared(engine, manifest, validation, contract, folders)
    result = make_result(manifest, contract, findings, quarantine_uri, chosen, time.monotonic() - started)
    if result.status == "accepted":
        path = folders.curated / "datasets" / str(result.dataset_id) / MANIFEST_FILE
        path.write_text(result.model_dump_json(indent=2), encoding="utf-8")
        tell("dataset_ready", dataset_id=result.dataset_id, rows=sum(part.rows for part in result.split.values()))
    (folders.result / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    return result


def _prepared(
    engine: Engine, manifest: DropManifest, validation: Validation, contract: str, folders: Folders
) -> tuple[Findings, str | None]:
    """Return what was found, and where the rejected rows are."""
    project = validation.project
    validated = engine.validate(validation, manifest.new_files)
    drop = drop_problem(validated, project)
    kept = [] if drop else [item for item in validated if item.outcome.status == "accepted"]
    accepted = [_curate(item, manifest, contract, folders) for item in kept]
    built: Built | None = None
    files: tuple[DatasetFile, ...] = ()
    if accepted:
        replaced = {file.key for file in accepted}
        current, again = _current(engine, manifest, replaced, contract, validation, folders)
        validated += again
        files = merge_files(current, accepted)
    quarantine_uri = keep_quarantine(validated, manifest, folders.quarantine)
    if accepted:
        local = [_local_curated(file, manifest, validation.objects, folders) for file in files]
        output = folders.curated / "datasets" / dataset_id(files, contract)
        built = build_dataset(engine, local, project, output=output, derived=validation.contract.derived)
    return Findings(validated=validated, drop=drop, built=built, files=files), quarantine_uri


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
    engine: Engine,
    manifest: DropManifest,
    replaced: set[str],
    contract: str,
    validation: Validation,
    folders: Folders,
) -> tuple[list[DatasetFile], list[ValidatedFile]]:
    """Return the earlier files that stay, under today's contract, and those that were read from raw again for it.

    One that breaks today's contract, or is gone, leaves the dataset; the second list says so.
    """
    earlier = [file for file in manifest.earlier_files if file.key not in replaced]
    current = [file for file in earlier if file.curated_key.endswith(_curated_name(file.sha256, contract))]
    raw = manifest.zones["raw"]
    stale = [
        DropFile(bucket=raw, key=file.key, version_id=file.version_id, size=0, sha256=file.sha256)
        for file in earlier
        if file not in current
    ]
    reread = engine.validate(validation, stale)
    good = [item for item in reread if item.outcome.status == "accepted"]
    return [*current, *(_curate(item, manifest, contract, folders) for item in good)], reread


def _local_curated(file: DatasetFile, manifest: DropManifest, objects: Objects, folders: Folders) -> Path:
    name = file.curated_key.rsplit("/", 1)[-1]
    made_now = folders.curated / "files" / name
    if made_now.exists():
        return made_now
    return objects.download(manifest.zones["curated"], file.curated_key, folders.work / "earlier" / name)
