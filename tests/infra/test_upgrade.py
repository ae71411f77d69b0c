"""Deploying this release over the last one keeps what holds data: nothing of it is replaced, renamed or let go.

`tests/infra/released/<environment>.json` is what the last release deployed, of these types. After a release:
`python -m tests.infra.released_stateful` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laptop.ministack.resource_schema import schema_of
from tests.infra.released_stateful import RELEASED, TYPES, stateful

pytestmark = pytest.mark.xdist_group("infra")
Synthesised = Callable[[str], Path]


def replacements(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return why resources would be lost: gone, of another type, or with a property that only a new one can take."""
    found = []
    for name, old in before.items():
        new = now.get(name)
        if new is None:
            found.append(f"{name} ({old['Type']}) is gone")
        elif new["Type"] != old["Type"]:
            found.append(f"{name} was {old['Type']} and is {new['Type']}")
        else:
            found += [
                f"{name}: {pointer} was {_at(old, pointer)!r} and is {_at(new, pointer)!r}, which replaces it"
                for pointer in schema_of(old["Type"]).get("createOnlyProperties", ())
                if _at(old, pointer) != _at(new, pointer)
            ]
            kept = ("DeletionPolicy", "UpdateReplacePolicy")
            found += [f"{name}: {key} is weaker" for key in kept if old.get(key) not in (new.get(key), None, "Delete")]
    return found


def _at(resource: dict[str, Any], pointer: str) -> Any:
    value: Any = resource.get("Properties", {})
    for part in pointer.removeprefix("/properties/").split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_nothing_that_holds_data_is_replaced_by_this_release(synthesised: Synthesised, environment: str) -> None:
    before = json.loads((RELEASED / f"{environment}.json").read_text())
    assert {item["Type"] for item in before.values()} >= {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key"}
    assert replacements(before, stateful(synthesised(environment))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda now: now.pop("data/Table"), "data/Table (AWS::DynamoDB::Table) is gone"),
        (lambda now: now["data/Table"]["Properties"].update(TableName="other"), "TableName was None and is 'other'"),
        (lambda now: now["data/Table"].update(DeletionPolicy="Delete"), "DeletionPolicy is weaker"),
        (lambda now: now["data/Table"].update(Type="AWS::S3::Bucket"), "was AWS::DynamoDB::Table and is"),
    ],
)
def test_a_replacement_would_be_seen(change: Callable[[Any], Any], words: str) -> None:
    before = {"data/Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"A": 1}, "DeletionPolicy": "Retain"}}
    now = json.loads(json.dumps(before))
    change(now)
    assert any(words in line for line in replacements(before, now)), replacements(before, now)


def test_every_kind_of_resource_that_holds_data_is_watched(synthesised: Synthesised) -> None:
    # What CloudFormation would delete with its data; a new kind of store must be added to the list.
    stores = (
        "::Bucket",
        "::Table",
        "::DBInstance",
        "::DBCluster",
        "::FileSystem",
        "::Key",
        "::Repository",
        "::UserPool",
    )
    types = {
        resource["Type"]
        for template in synthesised("prod").glob("*.template.json")
        for resource in json.loads(template.read_text())["Resources"].values()
    }
    assert {name for name in types if name.endswith(stores) and name != "AWS::Glue::Table"} <= set(TYPES)


#: What a release brings anew: the packages of the functions, and the images.
BROUGHT_ANEW = ("AWS::Lambda::LayerVersion", "Custom::PasserelleImage")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_no_stack_exports_what_the_next_release_changes(synthesised: Synthesised, environment: str) -> None:
    brought = 0
    for path in synthesised(environment).glob("*.template.json"):
        template = json.loads(path.read_text())
        anew = {name for name, item in template["Resources"].items() if item["Type"] in BROUGHT_ANEW}
        brought += len(anew)
        exported = json.dumps([item["Value"] for item in template.get("Outputs", {}).values() if "Export" in item])
        assert not [name for name in anew if f'"{name}"' in exported], path.name
    assert brought > 1


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_a_function_that_is_rolled_back_finds_its_packages(synthesised: Synthesised, environment: str) -> None:
    templates = [json.loads(path.read_text()) for path in synthesised(environment).glob("*.template.json")]
    resources = [item for template in templates for item in template["Resources"].values()]
    (layer,) = (item for item in resources if item["Type"] == "AWS::Lambda::LayerVersion")
    assert layer["UpdateReplacePolicy"] == "Retain"
