"""What each stack comes to, in a page that a reviewer reads: `python -m tests.infra.snapshot` accepts what is new."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from checks.assemblies import assembly
from checks.outcome import ENVIRONMENTS
from tests.infra.matters.platform import Platform, listed
from tests.infra.released_stateful import TYPES

FOLDER: Final = Path(__file__).with_name("snapshots")
ACCEPT: Final = "python -m tests.infra.snapshot"


def pages(environment: str, folder: Path) -> dict[str, str]:
    """Return a page for each stack of an assembly, by the stack's name within the environment."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    found = {}
    for stack, template in Platform.read(environment, folder).stacks.items():
        properties = manifest["artifacts"][stack]["properties"]
        name = properties["stackName"].removeprefix(f"passerelle-{environment}-")
        kept = "protected from deletion" if properties.get("terminationProtection") else "may be deleted"
        found[name] = "\n".join([f"{properties['stackName']}: {kept}", *_page(template)]) + "\n"
    return found


def _page(template: Mapping[str, Any]) -> Iterator[str]:
    resources: dict[str, dict[str, Any]] = template["Resources"]
    counts = Counter(item["Type"] for item in resources.values() if item["Type"] != "AWS::CDK::Metadata")
    yield from _section("resources", [f"{count:3} {type_}" for type_, count in sorted(counts.items())])
    yield from _section(
        "holds data",
        [
            f"{item['Type']} {name}: {item.get('DeletionPolicy', 'Delete')}"
            for name, item in sorted(resources.items())
            if item["Type"] in TYPES
        ],
    )
    yield from _section("may", sorted(_roles(resources)))
    yield from _section("lets in and out", sorted(_openings(resources)))
    yield from _section("gives to other stacks", sorted(template.get("Outputs", {})))
    yield from _section("takes from other stacks", sorted(set(_imports(resources))))


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _roles(resources: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Each role with how many actions of which service it has, and on how many of them everything."""
    for name, item in resources.items():
        if item["Type"] == "AWS::IAM::Role":
            actions: Counter[str] = Counter()
            wide = 0
            for statement in _statements(resources, name):
                for action in listed(statement.get("Action", "all-but")):
                    actions[action.split(":")[0]] += 1
                    wide += "*" in listed(statement.get("Resource"))
            services = ", ".join(f"{service} {count}" for service, count in sorted(actions.items())) or "nothing here"
            yield f"{name}: {services}" + (f" ({wide} on *)" if wide else "")


def _statements(resources: Mapping[str, dict[str, Any]], role: str) -> Iterator[dict[str, Any]]:
    for policy in resources[role]["Properties"].get("Policies", ()):
        yield from policy["PolicyDocument"]["Statement"]
    for item in resources.values():
        if item["Type"] == "AWS::IAM::Policy" and {"Ref": role} in item["Properties"].get("Roles", ()):
            yield from item["Properties"]["PolicyDocument"]["Statement"]


def _openings(resources: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    for name, item in resources.items():
        properties = item.get("Properties", {})
        if item["Type"] == "AWS::EC2::SecurityGroup":
            for way in ("Ingress", "Egress"):
                for rule in properties.get(f"SecurityGroup{way}", ()):
                    yield f"{name} {way.lower()} {_ports(rule)}"
        if item["Type"] in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
            yield f"{_named(properties['GroupId'])} {item['Type'].removeprefix('AWS::EC2::SecurityGroup').lower()} {_ports(properties)}"


def _ports(rule: Mapping[str, Any]) -> str:
    other = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    other = other or rule.get("DestinationPrefixListId") or rule.get("CidrIp") or rule.get("CidrIpv6")
    ports = {rule.get("FromPort"), rule.get("ToPort")} - {None}
    return f"{rule['IpProtocol']} {'-'.join(map(str, sorted(ports))) or 'all'} {_named(other)}"


def _named(value: Any) -> str:
    if isinstance(value, dict):
        inner = next(iter(value.values()))
        return _named(inner[0] if isinstance(inner, list) else inner)
    return str(value).split(":Exports")[0]


def _imports(value: Any) -> Iterator[str]:
    """Stacks that this one cannot live without."""
    if isinstance(value, dict) and isinstance(value.get("Fn::ImportValue"), str):
        yield value["Fn::ImportValue"].split(":")[0]
    if isinstance(value, dict) and "Fn::GetStackOutput" in value:
        yield value["Fn::GetStackOutput"]["StackName"]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _imports(item)


def main() -> None:
    """Write every page anew, once all of them can be made."""
    made = {environment: pages(environment, assembly(environment)) for environment in ENVIRONMENTS}
    shutil.rmtree(FOLDER, ignore_errors=True)
    for environment, found in made.items():
        (FOLDER / environment).mkdir(parents=True)
        for name, page in found.items():
            (FOLDER / environment / f"{name}.txt").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
