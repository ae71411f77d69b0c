"""The projects that an environment deploys, read and validated at synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from passerelle.domain.project import Project, load_project
from passerelle.errors import SettingsError

FOLDER = Path(__file__).resolve().parent.parent / "projects"


@dataclass(frozen=True)
class ProjectSource:
    """A project and the folder it is deployed from."""

    project: Project
    folder: Path


def load_projects(names: tuple[str, ...], folder: Path = FOLDER) -> tuple[ProjectSource, ...]:
    """Return the named projects.

    Raises ProjectError for one that is not valid, SettingsError for one that is missing or named otherwise.
    """
    return tuple(_load(folder / name) for name in names)


def project_names(folder: Path) -> tuple[str, ...]:
    """Return every project in a folder, by name."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/project.yaml")))


def _load(folder: Path) -> ProjectSource:
    path = folder / "project.yaml"
    if not path.is_file():
        raise SettingsError(f"No project at {path}. `passerelle init {folder.name}` writes a first one.")
    project = load_project(path.read_text(encoding="utf-8"), source=str(path))
    if project.name != folder.name:
        raise SettingsError(f"{path}: the project is named {project.name!r}; its folder must be named so too.")
    return ProjectSource(project, folder)
