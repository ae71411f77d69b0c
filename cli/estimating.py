"""Find what is to be estimated: an environment's synthesized templates, a cloud assembly, or files of templates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from cli.session import Session
from passerelle.domain.cost.estimate.engine import estimate
from passerelle.domain.cost.estimate.parts import Estimate, Item
from passerelle.domain.cost.estimate.stacks import Stack
from passerelle.domain.cost.estimate.template import read_template
from passerelle.domain.cost.estimate.usage import Usage, read_usage
from passerelle.errors import InputError, SettingsError

#: What a cloud assembly calls a stack.
_STACK: Final = "aws:cloudformation:stack"
_KEPT: Final = 6


def estimate_environment(
    session: Session, *, usage: Usage, free_tier: bool = False, assembly: Path | None = None
) -> Estimate:
    """Return what an environment and its projects cost, from the templates that `passerelle deploy` would deploy.

    Parameters
    ----------
    assembly : a folder that `cdk synth` wrote; None synthesizes.
    """
    from cli.account import load_environment
    from cli.deployment import ROOT
    from passerelle.domain.cost.estimate.projects import project_items

    environment, projects = load_environment(session.environment, ROOT)
    stacks, region = read_assembly(assembly or synthesized(session))
    more: list[Item] = []
    for project in projects:
        kind = environment.prepare_instance_type
        more.extend(project_items(project, region=region, prepare_instance_type=kind, usage=usage))
    return estimate(stacks, region=region, account=environment.account, usage=usage, more=more, free_tier=free_tier)


def estimate_templates(
    paths: Sequence[Path], *, region: str, parameters: Iterable[str], usage: Usage, free_tier: bool = False
) -> Estimate:
    """Return what templates cost that belong to one deployment."""
    given = dict(_parameter(text) for text in parameters)
    stacks = [
        Stack(name=path.name.split(".")[0], template=_template(path), parameters=given, nested=_beside(path))
        for path in paths
    ]
    return estimate(stacks, region=region, usage=usage, free_tier=free_tier)


def usage_of(path: Path | None) -> Usage:
    """Return what a usage file says; nothing without one."""
    return Usage() if path is None else read_usage(_text(path), source=str(path))


def read_assembly(folder: Path) -> tuple[list[Stack], str]:
    """Return the stacks of a cloud assembly and their region."""
    path = folder / "manifest.json"
    try:
        artifacts = json.loads(_text(path))["artifacts"].values()
        found = [item for item in artifacts if item.get("type") == _STACK]
        regions = sorted({str(item["environment"]).rpartition("/")[2] for item in found})
        files = [(item["properties"]["stackName"], folder / item["properties"]["templateFile"]) for item in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: this is no cloud assembly of the CDK ({error!r}); run `cdk synth`.") from error
    if len(regions) != 1:
        raise InputError(f"{path}: stacks of {', '.join(regions) or 'no region'}; give the templates of one region.")
    return [Stack(name=name, template=_template(file), nested=_beside(file)) for name, file in files], regions[0]


def synthesized(session: Session) -> Path:
    """Return the environment's assembly as the CDK makes it now; the one made before where nothing has changed."""
    from cli.deployment import ROOT, cdk_command, source_digest, with_tools

    name = f"{session.environment}-{source_digest(ROOT / 'projects')[:16]}"
    folder = ROOT / ".build" / "estimates" / name
    if not (folder / "manifest.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget(folder.parent)
        made = folder.with_name(f".{name}-{os.getpid()}")
        arguments = ["synth", "--quiet", "--output", str(made), "-c", f"env={session.environment}"]
        with session.console.status(f"Synthesizing {session.environment}"):
            done = subprocess.run(
                [*cdk_command(), *arguments],
                cwd=ROOT,
                env=with_tools(os.environ),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        if done.returncode:
            shutil.rmtree(made, ignore_errors=True)
            told = "\n".join(done.stdout.splitlines()[-25:])
            raise SettingsError(f"`cdk synth -c env={session.environment}` failed:\n{told}")
        made.rename(folder)
    return folder


def _forget(folder: Path) -> None:
    """Keep the last few assemblies only."""
    found = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in found[: -_KEPT + 1]:
        shutil.rmtree(path, ignore_errors=True)


def _template(path: Path) -> Any:
    return read_template(_text(path), source=str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _beside(parent: Path) -> Any:
    """Return a function that gives a nested template that lies beside its parent."""

    def find(name: str) -> Stack | None:
        path = parent.parent / name
        inside = path.resolve().is_relative_to(parent.parent.resolve())
        if not (inside and path.is_file()):
            return None
        return Stack(name=path.stem, template=_template(path), nested=_beside(path))

    return find


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"--parameter {text}: write NAME=VALUE.")
    return name, value
