"""The deploy guide and the delivery page, against what they describe: figures, commands, quotas, names."""

from __future__ import annotations

import re

import click
import pytest

from cli.main import COMMANDS, cli
from infra.stacks.delivery import github_role_name
from passerelle.domain.preflight.environment import Environment, read_environment
from passerelle.domain.preflight.idle_cost import endpoint_line, platform_lines
from passerelle.domain.preflight.quotas import quota_needs
from passerelle.domain.project import Project, load_project
from tests.infra.conftest import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
DELIVERY = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
DEPLOYED = ("dev", "staging", "prod")


def _environment(name: str) -> Environment:
    path = ROOT / "environments" / f"{name}.yaml"
    return read_environment(path.read_text(encoding="utf-8"), source=str(path))


@pytest.fixture
def flights() -> Project:
    path = ROOT / "projects" / "flights" / "project.yaml"
    return load_project(path.read_text(encoding="utf-8"), source=str(path))


def _row(label: str) -> list[float]:
    """Return the figures of one row of the table of idle costs."""
    (line,) = re.findall(rf"^\| \**{re.escape(label)}.*$", DEPLOY, re.MULTILINE)
    return [float(figure) for figure in re.findall(r"(?<![\w.])\d+\.\d\d(?!\w)", line)]


def test_the_guides_idle_costs_are_those_that_doctor_computes(flights: Project) -> None:
    parts = {
        "network: interface endpoints": r"Interface endpoints|NAT",
        "MLflow": r"MLflow's",
        "PostgreSQL": r"Database|Its storage",
        "key and secrets": r"Encryption key|Secrets",
    }
    for column, name in enumerate(DEPLOYED):
        environment = _environment(name)
        lines = platform_lines(environment)
        for label, pattern in parts.items():
            usd = sum(line.usd or 0 for line in lines if re.match(pattern, line.what))
            assert _row(label)[column] == pytest.approx(usd, abs=0.011), (name, label)
        platform = sum(line.usd or 0 for line in lines)
        endpoint = endpoint_line(flights, environment.region)
        assert endpoint is not None
        assert endpoint.usd is not None
        assert _row("platform")[column] == pytest.approx(platform, abs=0.011)
        assert _row("with the endpoint")[column] == pytest.approx(platform + endpoint.usd, abs=0.011)


def test_the_guide_names_every_quota_that_doctor_asks_for_with_its_figure(flights: Project) -> None:
    for column, name in enumerate(DEPLOYED):
        for need in quota_needs(_environment(name), [flights], vpcs=0, addresses=0):
            words = need.name.removeprefix("Concurrently running builds for ").removesuffix(" environment")
            rows = [line for line in DEPLOY.splitlines() if line.startswith("| `") and words in line]
            assert len(rows) == 1, need.name
            assert float(rows[0].split("|")[2 + column]) == need.better, need.name


@pytest.mark.parametrize("text", [DEPLOY, DELIVERY], ids=["deploy", "delivery"])
def test_every_command_of_the_pages_exists(text: str) -> None:
    named = re.findall(r"passerelle --env \w+ (?:--json )?([a-z]+)(?: ([a-z]+))?", text)
    assert named
    for command, sub in named:
        assert command in COMMANDS
        context = click.Context(cli)
        group = cli.get_command(context, command)
        if sub and isinstance(group, click.Group):
            assert sub in group.list_commands(context)


def test_the_delivery_page_names_the_workflows_and_roles_that_there_are() -> None:
    there = {path.name for path in (ROOT / ".github" / "workflows").glob("*.yml")}
    assert set(re.findall(r"[a-z-]+\.yml", DELIVERY)) == there
    assert set(re.findall(r"passerelle-ENV-github-[a-z]+", DELIVERY)) == {
        github_role_name("ENV", purpose) for purpose in ("carry", "deploy", "diff", "smoke")
    }
