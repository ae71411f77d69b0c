"""Read the deployed project: one ZIP file in the job's `project` input."""

from __future__ import annotations

import zipfile
from pathlib import Path

from passerelle.domain.project import Project, load_project
from passerelle.errors import InputError

PROJECT_FILE = "project.yaml"


def read_code(folder: Path, name: str, *, field: str = "training.model") -> bytes:
    """Return a file of the project's own code, which a field of project.yaml names.

    Raises InputError when the archive does not hold it.
    """
    (path,) = sorted(folder.glob("*.zip"))
    with zipfile.ZipFile(path) as archive:
        try:
            return archive.read(name)
        except KeyError as error:
            raise InputError(
                f"{field} is {name}, and there is no such file beside project.yaml. Add it, then deploy again."
            ) from error


def read_features(folder: Path, project: Project) -> bytes | None:
    """Return a project's features.py, None where it has none.

    Raises InputError when the archive does not hold it.
    """
    features = project.data.features
    return read_code(folder, features.file, field="data.features.file") if features else None


def read_project(folder: Path) -> Project:
    """Return the project of the only archive in a folder.

    Raises InputError when there is no readable archive with a project.yaml, ProjectError when that is not valid.
    """
    archives = sorted(folder.glob("*.zip"))
    if len(archives) != 1:
        raise InputError(
            f"{folder}: expected one project archive (.zip), found {len(archives)}. Deploy the project again."
        )
    try:
        with zipfile.ZipFile(archives[0]) as archive:
            text = archive.read(PROJECT_FILE).decode("utf-8")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"{archives[0].name}: no readable {PROJECT_FILE} in it: {error}. Deploy the project again."
        ) from error
    return load_project(text, source=PROJECT_FILE)
