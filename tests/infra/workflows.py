"""GitHub's workflows, read for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.infra.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
DEPLOYED = ("dev", "staging", "prod")


def workflow_of(name: str) -> dict[str, Any]:
    """Return a workflow by its file."""
    document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    document["on"] = document.pop(True)  # YAML 1.1 reads `on` as a truth value
    return dict(document)


def jobs_of(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the jobs of some workflows, or of all, each with where it stands."""
    for name in names or NAMES:
        for id_, job in workflow_of(name)["jobs"].items():
            yield f"{name}: {id_}", job


def steps_of(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the steps, each with its job."""
    for id_, job in jobs_of(*names):
        for step in job.get("steps", ()):
            yield id_, step


def script_of(workflow: str, step: str) -> str:
    """Return the shell of a step by its name."""
    (script,) = [item["run"] for _, item in steps_of(workflow) if item.get("name") == step]
    return str(script)
