"""One deployed platform for all end-to-end tests; every project and fault has a project of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults import FAULTS
from tests.e2e.platform import DeployedLaptop, free_port
from tests.e2e.projects import project_document, write_own_project, write_project

#: Projects of single tests, so that none waits for another's run.
OWN = ("twice", "together", "killed", "mlflowdown", "restarted", "spot", "champion", "names")


@pytest.fixture(scope="session")
def laptop() -> Iterator[DeployedLaptop]:
    folder = Path(tempfile.mkdtemp(prefix="passerelle-e2e-"))
    projects = folder / "projects"
    for task in ("binary", "multiclass"):
        write_project(projects, project_document(f"task-{task}", task))
    serverless = {"profile": "serverless", "memory_mb": 2048}
    write_project(projects, project_document("task-regression", "regression", serving=serverless))
    write_own_project(projects, "own-model")
    for name in OWN:
        write_project(projects, project_document(name, "binary"))
    for fault in FAULTS:
        write_project(projects, project_document(fault.project, "binary", **fault.changes))
    platform = DeployedLaptop(folder / "home", free_port(), free_port(), projects)
    try:
        platform.passerelle("up")
        platform.passerelle("deploy", "--projects-dir", str(projects))
        yield platform
    finally:
        platform.passerelle("down", check=False)
        if not os.environ.get("PASSERELLE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
