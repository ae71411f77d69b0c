"""The stacks of a deployment: their resources, their conditions, what they export, and the stacks inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from passerelle.domain.cost.estimate.intrinsics import Scope, Unknown, resolve

NESTED: Final = "AWS::CloudFormation::Stack"
#: CloudFormation has no limit of its own that is written down; nobody nests deeper.
_MAX_NESTED: Final = 10
#: Parameters whose default is the name of something else.
_LOOKED_UP: Final = "AWS::SSM::Parameter::Value"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A template that is deployed under a name; `nested` gives the text of a template that it names by its path."""

    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    nested: Callable[[str], Stack | None] | None = None


@dataclass(frozen=True)
class Declared:
    """One resource as its template declares it, in the scope of its stack."""

    stack: str
    logical_id: str
    type: str
    document: Mapping[str, Any]
    scope: Scope

    @property
    def properties(self) -> Mapping[str, Any]:
        """Its properties, resolved."""
        found = resolve(self.document.get("Properties") or {}, self.scope)
        return found if isinstance(found, Mapping) else {}

    @property
    def path(self) -> str:
        """Its path in the CDK's tree, empty without one."""
        metadata = self.document.get("Metadata")
        return str(metadata.get("aws:cdk:path", "")) if isinstance(metadata, Mapping) else ""


@dataclass
class Deployment:
    """Everything that several templates declare together; `problems` say what of them is left out."""

    region: str
    account: str | None = None
    declared: list[Declared] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stacks: Iterable[Stack], *, region: str, account: str | None = None) -> Deployment:
        """Return the deployment of these stacks."""
        made = cls(region, account)
        for stack in stacks:
            made._add(stack, 0)
        return made

    def _add(self, stack: Stack, depth: int) -> None:
        template = stack.template
        resources = _mapping(template, "Resources")
        scope = Scope(
            region=self.region,
            stack=stack.name,
            resources=resources,
            mappings=_mapping(template, "Mappings"),
            conditions=_mapping(template, "Conditions"),
            imports=self.exports,
            account=self.account,
        )
        scope.parameters = {
            name: _parameter(name, item, stack.parameters) for name, item in _mapping(template, "Parameters").items()
        }
        for strange in sorted(set(stack.parameters) - set(scope.parameters)):
            self.problems.append(f"{stack.name}: there is no parameter {strange}; it is left out")
        if template.get("Transform") and "AWS::Serverless" not in str(template["Transform"]):
            self.problems.append(f"{stack.name}: Transform {template['Transform']}: what it makes is not counted")
        for logical_id, document in resources.items():
            self._add_resource(stack, scope, str(logical_id), document, depth)
        self._export(template, scope)

    def _add_resource(self, stack: Stack, scope: Scope, logical_id: str, document: Any, depth: int) -> None:
        where = f"{stack.name}/{logical_id}"
        if not isinstance(document, Mapping) or not isinstance(document.get("Type"), str):
            self.problems.append(f"{where}: a resource is a mapping with a Type; this one is left out")
            return
        if not isinstance(document.get("Properties") or {}, Mapping):
            self.problems.append(f"{where}: Properties is no mapping; they are taken to be empty")
            document = {**document, "Properties": {}}
        if "Condition" in document:
            holds = scope.condition(str(document["Condition"]))
            if holds is False:
                return
            if isinstance(holds, Unknown):
                self.problems.append(f"{where}: it is taken to be made, as its condition is not known: {holds.why}")
        found = Declared(stack.name, logical_id, document["Type"], document, scope)
        if found.type == NESTED:
            self._add_nested(stack, found, depth)
        else:
            self.declared.append(found)

    def _add_nested(self, stack: Stack, found: Declared, depth: int) -> None:
        where = f"{stack.name}/{found.logical_id}"
        metadata = found.document.get("Metadata")
        asset = metadata.get("aws:asset:path") if isinstance(metadata, Mapping) else None
        path = asset or found.properties.get("TemplateURL")
        child = stack.nested(path) if stack.nested and isinstance(path, str) and depth < _MAX_NESTED else None
        if child is None:
            self.problems.append(
                f"{where}: its template {path!r} is no file beside this one, so that nothing of it is counted"
            )
            return
        given = found.properties.get("Parameters")
        parameters = given if isinstance(given, Mapping) else {}
        self._add(Stack(name=where, template=child.template, parameters=parameters, nested=child.nested), depth + 1)

    def _export(self, template: Mapping[str, Any], scope: Scope) -> None:
        for output in _mapping(template, "Outputs").values():
            export = output.get("Export") if isinstance(output, Mapping) else None
            name = resolve(export.get("Name"), scope) if isinstance(export, Mapping) else None
            if isinstance(name, str):
                self.exports[name] = resolve(output.get("Value"), scope)

    def schedules(self) -> Iterator[Mapping[str, Any]]:
        """Yield the properties of every schedule of EventBridge Scheduler."""
        for found in self.declared:
            if found.type == "AWS::Scheduler::Schedule":
                yield found.properties


def _mapping(template: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    found = template.get(section)
    return found if isinstance(found, Mapping) else {}


def _parameter(name: str, item: Any, given: Mapping[str, Any]) -> Any:
    """Return a parameter's value: the one given, else its default."""
    kind = str(item.get("Type", "String")) if isinstance(item, Mapping) else "String"
    default = item.get("Default") if isinstance(item, Mapping) else None
    value = given.get(name, default)
    if value is None:
        return Unknown(f"parameter {name} has no default; give --parameter {name}=VALUE")
    if kind.startswith(_LOOKED_UP) and name not in given:
        return Unknown(f"parameter {name} is looked up in SSM at {value}; give --parameter {name}=VALUE")
    is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
    return [part.strip() for part in value.split(",")] if is_list and isinstance(value, str) else value
