"""The projects that an environment deploys, read and validated at synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.config import PlatformConfig
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
    features = project.data.features
    if features and not (folder / features.file).is_file():
        raise SettingsError(
            f"{path}: data.features.file is {features.file}; there is no {folder / features.file}. Add it."
        )
    return ProjectSource(project, folder)


def personal_entities(projects: Sequence[ProjectSource]) -> bool:
    """Return whether a project's rows are about people, so that what they are about is kept as a hash only."""
    return any(source.project.personal_entity for source in projects)


def need_allowed(config: PlatformConfig, projects: Sequence[ProjectSource]) -> None:
    """Raise SettingsError, naming both files, for a project that asks for what its environment does not allow."""
    for source in projects:
        if source.project.data.engine == "spark" and not config.spark and config.images.source != "local":
            raise SettingsError(
                f"{source.folder / 'project.yaml'}: data.engine: spark asks for EMR Serverless, and "
                f"environments/{config.name}.yaml has none. Write data.engine: auto, or into that environment's file "
                "`spark: {maximum_vcpus: 16}`."
            )
        if source.project.serving.scales_to_zero and not config.serving.scale_to_zero:
            raise SettingsError(
                f"{source.folder / 'project.yaml'}: serving.autoscaling.min: 0 lets the endpoint sleep, and "
                f"environments/{config.name}.yaml does not allow that. Write min: 1, or profile: serverless; or, where "
                "callers may fail for minutes, `serving: {scale_to_zero: true}` into that environment's file."
            )
