"""What commands share that read recorded predictions: where they lie, the deployed project, and a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.session import Session

if TYPE_CHECKING:
    from passerelle.domain.project import Project
    from passerelle.steps.read_experiment import Reader


def deployed_project(session: Session, project: str) -> Project:
    """Return a project as it is deployed.

    Raises InputError for what AWS refuses the caller, ProjectError for an archive that cannot be read.
    """
    from passerelle.aws.deployed import refusals_translated
    from passerelle.aws.objects import Objects
    from passerelle.contracts.naming import project_parameter
    from passerelle.steps.project_source import read_project_as

    platform = session.platform
    with refusals_translated(session.environment):
        archive = platform.parameter(project_parameter(session.environment, project))
        return read_project_as(Objects(platform.client("s3")), archive, project)


@contextmanager
def reading(session: Session, project: str) -> Iterator[tuple[Reader, Project, Callable[[int], None]]]:
    """Give a reader, the project as it is deployed, and what is told of each file's bytes.

    Raises InputError for what AWS refuses the caller.
    """
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn

    from passerelle.aws.deployed import refusals_translated
    from passerelle.aws.objects import Objects
    from passerelle.steps.read_experiment import Reader

    platform, declared = session.platform, deployed_project(session, project)
    columns = SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn()
    with refusals_translated(session.environment):
        objects = Objects(platform.client("s3"))
        reader = Reader(objects, platform.resource("predictions-bucket"), platform.resource("reports-bucket"))
        with Progress(*columns, console=session.console, transient=True) as bar:
            task = bar.add_task("Reading recorded predictions", total=None)
            yield reader, declared, lambda size: bar.update(task, advance=size)
