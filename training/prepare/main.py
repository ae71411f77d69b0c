"""Entry `prepare`: from dropped files to a dataset. Bad data is a result; only a defect or an outage is a failure."""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Final

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
from training.prepare.buckets import Buckets
from training.prepare.build import Built, build_dataset
from training.prepare.engine import Engine
from training.prepare.engines import choose, open_engine
from training.prepare.fetch import Validation
from training.prepare.places import Folders, LocalPlaces, Places
from training.prepare.report import Findings, drop_problem, keep_quarantine, make_result, one_line
from training.prepare.validate import ValidatedFile
from training.progress import tell
from training.project_archive import read_features, read_project

MANIFEST_FILE: Final = "manifest.json"


__all__ = ["Folders", "main", "prepare"]


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
    manifest: DropManifest,
    project: Project,
    objects: Objects,
    folders: Folders,
    *,
    features: bytes | None = None,
    buckets: Buckets | None = None,
) -> PrepareResult:
    """Validate the new files, merge them with the earlier ones, and build the dataset. The result is written too.

    Without new files it is built of the earlier ones alone: for a model that is trained anew.

    `features` is the project's features.py, where it has one. With `buckets` the work is a cluster's, and rows never
    come to this machine: its folders hold what is said of them.
    """
    started = time.monotonic()
    contract = project.contract_hash(hashlib.sha256(features).hexdigest() if features is not None else "")
    derived = compile_features(features, project) if features is not None else ()
    validation = Validation(project, compile_contract(project, derived), objects, folders.work)
    chosen = choose(manifest, project)
    tell("engine_chosen", engine=chosen.name, why=chosen.why)
    places = buckets or LocalPlaces(folders, manifest, objects)
    with open_engine(chosen.name, folders.work / "spill", buckets) as engine:
        findings, quarantine_uri = _prepared(engine, manifest, validation, contract, places, folders.quarantine)
    result = make_result(manifest, contract, findings, quarantine_uri, chosen, time.monotonic() - started)
    if result.status == "accepted":
        path = folders.curated / "datasets" / str(result.dataset_id) / MANIFEST_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.model_dump_json(indent=2), encoding="utf-8")
        tell("dataset_ready", dataset_id=result.dataset_id, rows=sum(part.rows for part in result.split.values()))
    (folders.result / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    return result


def _prepared(
    engine: Engine, manifest: DropManifest, validation: Validation, contract: str, places: Places, quarantine: Path
) -> tuple[Findings, str | None]:
    """Return what was found, and where the rejected rows are."""
    project = validation.project
    validated = engine.validate(validation, manifest.new_files)
    drop = drop_problem(validated, project)
    kept = [] if drop else [item for item in validated if item.outcome.status == "accepted"]
    accepted = [_curate(item, manifest, contract, places) for item in kept]
    built: Built | None = None
    files: tuple[DatasetFile, ...] = ()
    if accepted or not manifest.new_files:
        replaced = {file.key for file in accepted}
        current, again = _current(engine, manifest, replaced, contract, validation, places)
        validated += again
        files = merge_files(current, accepted)
    quarantine_uri = keep_quarantine(validated, manifest, quarantine, places)
    if files:
        rows, found = sum(file.rows for file in files), [places.curated(file) for file in files]
        identity, derived = dataset_id(files, contract), validation.contract.derived
        built = build_dataset(engine, found, project, rows=rows, output=places.dataset(identity), derived=derived)
        if built.parts and isinstance(places, LocalPlaces):  # a cluster's engine does so as it writes
            places.supersede(identity)
    return Findings(validated=validated, drop=drop, built=built, files=files), quarantine_uri


def _curated_name(sha256: str, contract: str) -> str:
    return f"{sha256}-{contract}.parquet"


def _curate(item: ValidatedFile, manifest: DropManifest, contract: str, places: Places) -> DatasetFile:
    """Put an accepted file's good rows among the curated files."""
    assert item.good is not None
    outcome = item.outcome
    name = _curated_name(outcome.sha256, contract)
    places.curate(item.good, name)
    return DatasetFile(
        key=outcome.key,
        version_id=outcome.version_id,
        sha256=outcome.sha256,
        rows=outcome.rows_accepted,
        curated_key=f"{zones.curated_files_prefix(manifest.project)}/{name}",
    )


def _current(
    engine: Engine,
    manifest: DropManifest,
    replaced: set[str],
    contract: str,
    validation: Validation,
    places: Places,
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
    return [*current, *(_curate(item, manifest, contract, places) for item in good)], reread
