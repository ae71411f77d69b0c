"""One deployed platform for all end-to-end tests; every project and fault has a project of its own.

Side by side (`-n 2`), all tests of one platform are one process's: another would have to deploy it again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.browser.chromium import VARIABLE, Browser, Page, find_program, running_browser, runs_here
from tests.e2e.faults import FAULTS
from tests.e2e.platform import DeployedLaptop, free_port
from tests.e2e.projects import REPLAYED_ROWS, project_document, write_own_project, write_project

#: Projects of single tests, so that none waits for another's run.
OWN = ("twice", "together", "killed", "mlflowdown", "restarted", "spot", "names")

#: Files with platforms of their own, those that take long first; the others share one, which takes longest.
ALONE = ("test_demo", "test_restore", "test_enforced")


class ByPlatform(LoadFileScheduling):
    """Gives all tests of one platform to one process, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        shares = Path(file).parent.name == "e2e" and Path(file).stem not in ALONE
        return "shared" if shares else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPlatform:
    config.option.loadscopereorder = False
    return ByPlatform(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the platforms that take longest begin first: what begins last should be short."""
    here = Path(__file__).parent
    order = {here / f"{name}.py": number for number, name in enumerate(ALONE, start=1)}
    items.sort(key=lambda item: order.get(item.path, 0))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser; machines that the one from npm is not for need one of their own."""
    program = find_program()
    if program is None and not runs_here():
        pytest.skip(f"no Chrome or Chromium is installed; {VARIABLE} may name one")
    assert program is not None, "no browser: `make browser` installs it"
    with running_browser(program) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_page()


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
    watched = {"profile": "real-time", "capture_percent": 100, "shadow": {"hours": 1, "requests": 10}}
    write_project(projects, project_document("champion", "binary", serving=watched))
    replaying = {"profile": "serverless", "memory_mb": 2048, "shadow": {"hours": 1, "requests": REPLAYED_ROWS}}
    write_project(projects, project_document("replayed", "binary", serving=replaying))
    declared = {"percent": 50, "outcome": "right", "effect": 0.2, "least_days": 1}
    tried = {"profile": "real-time", "capture_percent": 100, "experiment": declared}
    write_project(projects, project_document("tried", "binary", serving=tried))
    looked_at = {
        "schedule": "hourly",
        "incidents": {"opens": 1, "windows": 1, "closes": 1},
        "retrain": {"drift": "minor", "cool_down_hours": 0},
    }
    keeping = project_document("watched", "binary", monitoring=looked_at)
    keeping["training"] |= {"on_drop": "keep"}
    keeping["why"]["value"] = {"currency": "USD", "true_positive": 5, "false_positive": -1, "false_negative": -5}
    write_project(projects, keeping)
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
