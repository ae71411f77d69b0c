"""Everything that can bear tags bears those by which bills are told apart; what is one project's bears that project's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.config import load_config
from infra.projects import load_projects
from laptop.ministack.resource_schema import schema_of
from passerelle.contracts import tags
from tests.infra.conftest import ENVIRONMENTS

pytestmark = pytest.mark.xdist_group("infra")
Synthesised = Callable[[str], Path]


def _tags_of(resource: dict[str, Any]) -> dict[str, str] | None:
    """Return a resource's tags, None for a type that has none."""
    schema = schema_of(resource["Type"]) if resource["Type"].startswith("AWS::") else {}
    tagging = schema.get("tagging", {})
    if not tagging.get("taggable") or resource["Type"] == "AWS::CDK::Metadata":
        return None
    name = tagging.get("tagProperty", "/properties/Tags").rpartition("/")[2]
    found = resource.get("Properties", {}).get(name, {})
    if isinstance(found, dict):
        return found
    return {item.get("Key", item.get("TagKey")): item.get("Value", item.get("TagValue")) for item in found}


def _resources(assembly: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for template in sorted(assembly.glob("*.template.json")):
        for logical, resource in json.loads(template.read_text())["Resources"].items():
            if resource["Type"] != "AWS::CDK::Metadata":
                yield f"{template.name.split('.')[0]}/{logical} ({resource['Type']})", resource


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_resource_that_can_bear_tags_bears_those_of_its_environment(
    synthesised: Synthesised, environment: str
) -> None:
    config = load_config(environment)
    expected = {tags.ENVIRONMENT: config.name, tags.STAGE: config.stage, tags.OWNER: config.owner}
    centres = {config.cost_centre} | {item.project.budget.cost_centre for item in load_projects(config.projects)}
    wrong, checked = [], 0
    for label, resource in _resources(synthesised(environment)):
        found = _tags_of(resource)
        if found is not None:
            checked += 1
            if not (expected.items() <= found.items() and found.get(tags.COST_CENTRE) in centres):
                wrong.append(f"{label}: {found}")
    assert not wrong, "\n".join(wrong)
    assert checked > 60


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_belongs_to_one_project_is_paid_by_its_cost_centre(synthesised: Synthesised, environment: str) -> None:
    for source in load_projects(load_config(environment).projects):
        project = source.project
        marked = set()
        for _, resource in _resources(synthesised(environment)):
            found = _tags_of(resource) or {}
            if found.get(tags.PROJECT) == project.name:
                assert found[tags.COST_CENTRE] == project.budget.cost_centre
                marked.add(resource["Type"])
        own = {"AWS::SSM::Parameter", "AWS::CloudWatch::Dashboard", "AWS::CloudWatch::Alarm"}
        assert marked == own | (set() if environment == "laptop" else {"AWS::Budgets::Budget"})


def test_jobs_and_endpoints_bear_the_same_keys() -> None:
    # They are made at run time; their tags are what the budgets filter by.
    from passerelle.domain.requests.jobs import tags as tags_of_job

    (source,) = load_projects(("flights",))
    found = {item["Key"]: item["Value"] for item in tags_of_job(source.project, "dev", "r1")}
    assert found[tags.PROJECT] == "flights"
    assert found[tags.ENVIRONMENT] == "dev"
    assert found[tags.COST_CENTRE] == source.project.budget.cost_centre
