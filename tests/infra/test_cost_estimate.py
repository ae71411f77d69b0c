"""What `passerelle cost estimate` says of our own environments, as they are synthesised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.account import load_environment
from cli.estimating import read_assembly
from cli.main import cli
from passerelle.domain.cost.estimate.engine import PLATFORM, estimate
from passerelle.domain.cost.estimate.levers import levers
from passerelle.domain.cost.estimate.parts import Estimate
from passerelle.domain.preflight.idle_cost import platform_lines
from tests.infra.conftest import ENVIRONMENTS, ROOT

#: What the reference asks of dev: the usual platform costs 94 USD a month.
MOST_IDLE_USD = 35


@pytest.fixture
def of(synthesised: Callable[[str], Path]) -> Callable[[str], Estimate]:
    def estimated(name: str) -> Estimate:
        stacks, region = read_assembly(synthesised(name))
        return estimate(stacks, region=region)

    return estimated


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_resource_of_ours_is_priced_free_or_unpriced_with_its_reason(
    name: str, of: Callable[[str], Estimate]
) -> None:
    found = of(name)
    assert [item.type for item in found.items if not item.supported] == []
    assert all(item.unknowns for item in found.items if item.status == "unpriced")
    assert found.problems == ()
    unpriced = {item.type for item in found.items if item.unknowns and any(not part.usage for part in item.components)}
    assert unpriced == set(), "what is there all the time has a price"


def test_the_idle_platform_of_dev_costs_at_most_what_was_promised(of: Callable[[str], Estimate]) -> None:
    found = of("dev")
    fixed, _ = found.of_stage(PLATFORM)
    told = "; ".join(f"{lever.usd:.2f} {lever.what}" for lever in levers(found) if not lever.taken)
    assert fixed <= MOST_IDLE_USD, f"{fixed:.2f} USD a month idle. Levers: {told}"
    taken = {lever.what: lever.usd for lever in levers(found) if lever.taken}
    assert taken["no NAT gateway and address"] == pytest.approx(36.50)
    assert len(taken) == 4


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_doctor_and_estimate_have_one_number_for_one_thing(name: str, of: Callable[[str], Estimate]) -> None:
    environment, _ = load_environment(name, ROOT)
    lines = sum(line.usd or 0.0 for line in platform_lines(environment))
    #: What doctor leaves out, as it does not synthesise.
    beyond = ("AWS::CloudWatch::", "AWS::ServiceDiscovery::")
    counted = [item for item in of(name).items if not item.type.startswith(beyond)]
    assert sum(item.usd(usage=False) for item in counted) == pytest.approx(lines)


def test_the_command_prices_an_assembly_with_the_projects_endpoints(synthesised: Callable[[str], Path]) -> None:
    options = ["--env", "dev", "--json", "cost", "estimate", "--assembly", str(synthesised("dev"))]
    done = CliRunner().invoke(cli, options, catch_exceptions=False)
    document: dict[str, Any] = json.loads(done.stdout)
    resources = {item["name"]: item for item in document["projects"][0]["breakdown"]["resources"]}
    stages = {item["metadata"]["stage"] for item in resources.values()}
    assert "platform" in stages
    named = [item for item in document["projects"][0]["breakdown"]["resources"] if item["name"] == "projects/flights"]
    assert [item["metadata"]["stage"] for item in named] == ["serve", "prepare", "train", "evaluate"]
    assert float(named[0]["monthlyCost"]) == pytest.approx(83.95)
    assert document["passerelle"]["floor"] is True
