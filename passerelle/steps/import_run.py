"""Take over a run from the environment that trained it: its artefacts, its image, its record. Nothing is trained."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.image_copy import ImageReference, copy_image
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, need_attempt, utc_now
from passerelle.aws.source_environment import SourceEnvironment
from passerelle.contracts.bundle import METADATA_FILE
from passerelle.contracts.container import EvaluateResult
from passerelle.contracts.runs import RunOrigin, RunRecord
from passerelle.domain.carrying import carried, compare, comparison, need_carriable, need_same_contract
from passerelle.errors import BundleError, InputError, JobFailedError, NotFoundError
from passerelle.settings import ImportRunSettings
from passerelle.steps.archives import read_member
from passerelle.steps.artefacts import BUNDLE, NEEDED, result_key, training_key
from passerelle.steps.job_results import read_evaluate_result, read_prepare_result
from passerelle.steps.project_lock import take_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.record_evaluation import publish_evaluation
from passerelle.steps.run_stages import begin_stage, end_stage

Answer = dict[str, Any]
#: For layers of the image in one call; the function has fifteen minutes, and one layer may take several.
IMAGE_SECONDS: Final = 420.0


def import_run(request: dict[str, Any], settings: ImportRunSettings, *, execution_arn: str = "") -> Answer:
    """Return `waiting` while the project is at work or the image is still being copied, then `passed` or `refused`.

    Called again, it goes on: what is here with the right SHA-256 is not fetched again. Raises InputError for a run that
    must not be carried, BundleError naming the artefact whose bytes are not those that the gate judged.
    """
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base: Answer = {"project": project, "run_id": run_id, "attempt": attempt}
    source = SourceEnvironment.enter(
        settings.source_environment, role_arn=settings.reader_role_arn, region=settings.source_region
    )
    theirs = source.run(project, run_id)
    need_carriable(theirs, source.environment, NEEDED)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("carrying a run"):
        _begin(table, base, theirs, settings, execution_arn)
        if not take_lock(table, project, run_id, attempt, execution_arn):
            return {**base, "status": "waiting", "wait_seconds": settings.poll_seconds}
    job = _training_job(theirs)
    _fetch_artefacts(source, theirs, job, base, settings)
    origin = _read_origin(theirs, job, settings)
    image_uri = _fetch_image(source, str(theirs.served_by), settings)
    if image_uri is None:
        return {**base, "status": "waiting", "wait_seconds": 1}
    with translated("carrying a run"):
        return _take_over(table, base, theirs, origin, image_uri, settings)


def _begin(table: RunsTable, base: Answer, theirs: RunRecord, settings: ImportRunSettings, execution_arn: str) -> None:
    """Begin the record here, or its next attempt.

    Raises InputError when this environment trained a run of that id itself.
    """
    record = table.get(base["project"], base["run_id"])
    if record and record.origin is None:
        raise InputError(
            f"Run {record.run_id} was trained in {settings.environment} itself; there is nothing to carry."
        )
    if record is None or record.attempt < base["attempt"]:
        moment = utc_now()
        record = RunRecord(
            **base,
            status="running",
            created_at=record.created_at if record else moment,
            updated_at=moment,
            execution_arn=execution_arn,
            origin=_origin(theirs, settings),
        )
        table.save(begin_stage(record, "carry"))
    need_attempt(record, base["attempt"])
    if record.status == "failed":  # its execution is redriven
        table.change(base["project"], base["run_id"], lambda current: begin_stage(current, "carry"))


def _origin(theirs: RunRecord, settings: ImportRunSettings, **more: str) -> RunOrigin:
    return RunOrigin(
        environment=settings.source_environment,
        account=settings.source_account,
        attempt=theirs.attempt,
        image_uri=str(theirs.image_uri),
        **more,
    )


def _training_job(theirs: RunRecord) -> str:
    names = [stage.job_name for stage in theirs.stages if stage.stage == "train" and stage.job_name]
    if not names:
        raise InputError(f"Run {theirs.run_id} does not say which job trained its model. Train again, then carry that.")
    return names[-1]


# Artefacts


def _fetch_artefacts(
    source: SourceEnvironment, theirs: RunRecord, job: str, base: Answer, settings: ImportRunSettings
) -> None:
    here = Objects(client("s3"))
    project, run_id = base["project"], base["run_id"]
    for name, sha256 in theirs.artefacts.items():
        if name.startswith("train/"):
            key = there = training_key(project, job, name)
            if not here.holds(settings.zones["models"], key, sha256):
                _fetch(source, source.bucket("models"), there, name, sha256, here, settings.zones["models"], key)
        else:
            key, there = (result_key(project, run_id, attempt, name) for attempt in (base["attempt"], theirs.attempt))
            if not here.holds(settings.zones["curated"], key, sha256):
                _fetch(source, source.bucket("curated"), there, name, sha256, here, settings.zones["curated"], key)


def _fetch(
    source: SourceEnvironment, bucket: str, key: str, name: str, sha256: str, here: Objects, target: str, to: str
) -> None:
    with tempfile.TemporaryDirectory() as work:
        try:
            path = source.objects.download(bucket, key, Path(work) / "artefact")
        except NotFoundError as error:
            raise BundleError(
                f"{name} of the run cannot be had: {error} Train again in {source.environment}, then carry that run."
            ) from error
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise BundleError(
                f"{name} (s3://{bucket}/{key}) has SHA-256 {found}, its run recorded {sha256}: it was changed after "
                f"the gate had judged it. Nothing is served. Find out who wrote it, then train again in "
                f"{source.environment} and carry that run."
            )
        here.write_file(target, to, path, sha256)


def _read_origin(theirs: RunRecord, job: str, settings: ImportRunSettings) -> RunOrigin:
    """Read from the bundle what trained it.

    Raises BundleError when it is of another run or dataset than its record says.
    """
    bucket, key = settings.zones["models"], training_key(theirs.project, job, BUNDLE)
    text = read_member(Objects(client("s3")), bucket, key, METADATA_FILE)
    metadata = json.loads(text) if text else {}
    says = (metadata.get("run_id"), metadata.get("dataset_id"))
    if says != (theirs.run_id, theirs.dataset_id):
        raise BundleError(
            f"{BUNDLE} of run {theirs.run_id} says it is of run {says[0]} and dataset {says[1]}, its record says "
            f"dataset {theirs.dataset_id}. Nothing is served; train again in {settings.source_environment}."
        )
    return _origin(theirs, settings, git_sha=metadata["git_sha"], lock_hash=metadata["lock_hash"])


def _fetch_image(source: SourceEnvironment, served_by: str, settings: ImportRunSettings) -> str | None:
    """Return the image here that is the one which served there, None while it is still being copied."""
    if not settings.carried_repository:
        if served_by != settings.image_uri:
            raise InputError(
                f"The run was served by {served_by}, {settings.environment} runs {settings.image_uri} and has "
                "no registry to copy into. Bring both environments to one release, then carry again."
            )
        return settings.image_uri
    image = ImageReference.parse(served_by)
    repository = settings.carried_repository.partition("/")[2]
    if not copy_image(source, image, repository, patience_seconds=IMAGE_SECONDS):
        return None
    return f"{settings.carried_repository}@{image.digest}"


# Taking over


def _take_over(
    table: RunsTable, base: Answer, theirs: RunRecord, origin: RunOrigin, image_uri: str, settings: ImportRunSettings
) -> Answer:
    project, run_id = base["project"], base["run_id"]
    dataset = read_prepare_result(settings.zones["curated"], base)
    evaluation = read_evaluate_result(settings.zones["curated"], base)
    here = read_project(settings.environment, project)
    deployed = here.project
    need_same_contract(project, settings.environment, here.contract_hash, dataset.contract_hash)
    champion_run = (table.item(project, "CHAMPION") or {}).get("run_id")
    champion = table.get(project, str(champion_run)) if champion_run else None
    dataset_id = str(theirs.dataset_id)
    judged = compare(deployed, evaluation, dataset_id, champion, _judged(champion, settings))
    publish_evaluation(settings.zones, base)

    def update(record: RunRecord) -> RunRecord:
        record = begin_stage(end_stage(carried(theirs, origin, record), "carry"), "register")
        verdict = judged.model_dump(mode="json", include={"status", "checks", "reasons"})
        gate = {**record.gate, **verdict, "here": comparison(dataset_id, champion)}
        return record.model_copy(update={"image_uri": image_uri, "gate": gate})

    table.change(project, run_id, update, attempt=base["attempt"])
    return {**base, "status": judged.status}


def _judged(champion: RunRecord | None, settings: ImportRunSettings) -> EvaluateResult | None:
    """Return how the champion was judged; one whose result is gone, or of an earlier version, is compared without."""
    if champion is None:
        return None
    base = {"project": champion.project, "run_id": champion.run_id, "attempt": champion.attempt}
    try:
        return read_evaluate_result(settings.zones["curated"], base)
    except JobFailedError:
        return None
