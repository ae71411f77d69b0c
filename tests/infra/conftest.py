"""Every environment as `cdk synth` makes it, without network or account; shared with `make check`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks.assemblies import assembly
from checks.outcome import ENVIRONMENTS, ROOT

__all__ = ["ENVIRONMENTS", "ROOT"]


@pytest.fixture(scope="session")
def synthesised() -> Callable[[str], Path]:
    """Return a function that gives the folder of an environment's cloud assembly; nobody changes what is there."""
    # One state of the sources for the whole session, also where a file changes meanwhile.
    return functools.cache(assembly)


@pytest.fixture(scope="session")
def resources(synthesised: Callable[[str], Path]) -> Callable[[str, str], dict[str, dict[str, Any]]]:
    """Return a function that gives an environment's resources of one type, by stack and logical id."""

    def find(environment: str, type_: str) -> dict[str, dict[str, Any]]:
        found = {}
        for template in sorted(synthesised(environment).glob("*.template.json")):
            for logical, resource in json.loads(template.read_text())["Resources"].items():
                if resource["Type"] == type_:
                    found[f"{template.name.split('.')[0]}/{logical}"] = resource
        return found

    return find
