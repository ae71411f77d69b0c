"""Entry on a Spark cluster (EMR Serverless): the same preparation, told by S3 addresses what to read.

`spark-submit spark_main.py <drop manifest> <project archive>`; SageMaker's folders are those of the driver, and what
they hold at the end is written where SageMaker would.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import DropManifest, PrepareResult
from passerelle.errors import InputError
from training.prepare.buckets import Buckets
from training.prepare.main import Folders, prepare
from training.project_archive import read_features, read_project


def main(arguments: Sequence[str] | None = None) -> PrepareResult:
    """Prepare the drop of a manifest; nothing is read from or left on this machine."""
    from pyspark.sql import SparkSession

    from training.prepare.spark import SESSION

    found = list(sys.argv[1:] if arguments is None else arguments)
    if len(found) != 2:
        raise InputError("usage: spark_main.py s3://bucket/drop.json s3://bucket/project.zip")
    session = SparkSession.builder.config(map=dict(SESSION)).getOrCreate()
    try:
        return run(*found)
    finally:
        session.stop()


def run(manifest_uri: str, project_uri: str) -> PrepareResult:
    """Prepare with the session that is active."""
    objects = Objects()
    manifest = DropManifest.model_validate_json(objects.read(*zones.split_s3_uri(manifest_uri)))
    if manifest.engine != "spark":
        raise InputError(f"{manifest_uri} was written for engine {manifest.engine!r}, and this is Spark.")
    with tempfile.TemporaryDirectory() as root:
        names = ("project", "result", "quarantine", "curated", "work")
        folders = {name: Path(root) / name for name in names}
        for folder in folders.values():
            folder.mkdir()
        archive = folders.pop("project")
        objects.download(*zones.split_s3_uri(project_uri), archive / "project.zip")
        project = read_project(archive)
        local = Folders(**folders)
        features = read_features(archive, project)
        result = prepare(manifest, project, objects, local, features=features, buckets=Buckets(manifest))
        _leave(objects, manifest, local)
    return result


def _leave(objects: Objects, manifest: DropManifest, folders: Folders) -> None:
    """Write what is said of the rows; the result comes last, for whoever finds it takes the rest to be there."""
    run = manifest.project, manifest.run_id, manifest.attempt
    targets = (
        (folders.quarantine, "quarantine", zones.quarantine_prefix(*run)),
        (folders.curated, "curated", manifest.project),
        (folders.result, "curated", zones.result_prefix(*run, "prepare")),
    )
    for folder, zone, prefix in targets:
        for path in sorted(item for item in folder.rglob("*") if item.is_file()):
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            objects.write(manifest.zones[zone], key, path.read_bytes())


if __name__ == "__main__":
    main()
