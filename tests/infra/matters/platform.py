"""The templates of one environment as a graph: whatever one resource says of another leads there, across stacks too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Platform:
    """All templates by stack; a place is `stack/logical id`."""

    environment: str
    stacks: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, environment: str, assembly: Path) -> Platform:
        """Read the templates of a cloud assembly."""
        paths = sorted(assembly.glob("*.template.json"))
        return cls(environment, {path.name.split(".")[0]: json.loads(path.read_text("utf-8")) for path in paths})

    def of(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the place and the properties of every resource of these types."""
        for stack, template in self.stacks.items():
            for logical, resource in template["Resources"].items():
                if resource["Type"] in types:
                    yield f"{stack}/{logical}", resource.setdefault("Properties", {})

    def resource(self, place: str) -> dict[str, Any]:
        """Return a resource with its type and policies."""
        stack, logical = place.split("/")
        found: dict[str, Any] = self.stacks[stack]["Resources"][logical]
        return found

    def target(self, place: str, value: Any) -> str | None:
        """Return the place that a value of the resource at `place` leads to, if it leads to one."""
        stack = place.split("/")[0]
        if not isinstance(value, dict):
            return None
        if "Fn::ImportValue" in value:
            return self._exported(value["Fn::ImportValue"])
        if "Fn::GetStackOutput" in value:
            return self._output(value["Fn::GetStackOutput"]["OutputName"])
        logical = value.get("Ref") or value.get("Fn::GetAtt")
        logical = logical[0] if isinstance(logical, list) else logical
        return f"{stack}/{logical}" if logical in self.stacks[stack]["Resources"] else None

    def _exported(self, name: str) -> str | None:
        for stack, template in self.stacks.items():
            for output in template.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == name:
                    return self.target(f"{stack}/", output["Value"])
        return None

    def _output(self, name: str) -> str | None:
        for stack, template in self.stacks.items():
            if name in template.get("Outputs", {}):
                return self.target(f"{stack}/", template["Outputs"][name]["Value"])
        return None

    def is_a(self, place: str, value: Any, type_: str) -> bool:
        """Whether a value leads to a resource of that type."""
        found = self.target(place, value)
        return found is not None and self.resource(found)["Type"] == type_


def listed(value: Any) -> list[Any]:
    """IAM and CloudFormation write one thing, or a list of them."""
    return value if isinstance(value, list) else [value]
