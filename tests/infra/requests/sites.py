"""Where our code calls AWS: found by following it, as the IAM proof does, and by looking at how it is written."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import botocore.session
from botocore import xform_name

from tests.infra.iam.botocore_model import METHODS, SERVICES, TRANSFERS
from tests.infra.iam.calls import ApiCall
from tests.infra.iam.functions import calls_of_function
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.outside import NOT_AWS
from tests.infra.iam.program import Program, SourceModule
from tests.infra.iam.templates import Assembly
from tests.infra.requests.judge import operation_model, service_model

#: The container's entries that have credentials; the others are isolated, which the IAM proof shows.
_ENTRIES: Final = ("prepare",)
#: Arguments of our own functions that take a service and a method (`Account._call`).
_OF_WRAPPERS: Final = frozenset({"absent"})
#: Methods that make a request only later.
_MAKERS: Final = ("get_paginator", "get_waiter")


@dataclass(frozen=True, order=True)
class Site:
    """One call in our code. `service` is "" where only the running code knows it."""

    file: str
    line: int
    method: str
    service: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.service or '?'}.{self.method}"


def followed_sites(assembly: Assembly, program: Program) -> set[Site]:
    """Return the calls that functions and the container can reach, by following them."""
    calls: set[ApiCall] = set()
    for function in assembly.of_type("AWS::Lambda::Function"):
        calls |= calls_of_function(assembly, program, function)
    for entry in _ENTRIES:
        calls |= calls_of(program, f"training.{entry}.main", "main")
    # The service of a client of another account says so (`lent:s3`).
    return {
        Site(call.file, call.line, call.method.rpartition(":")[2], call.service.rpartition(":")[2]) for call in calls
    }


def written_sites(program: Program, packages: tuple[str, ...]) -> set[Site]:
    """Return the calls of methods that are named like one of boto3's, and `call(service, method, ...)` alike."""
    modules = [module for package in packages for module in program.modules_below(package)]
    return {site for module in modules if module.name not in NOT_AWS for site in _written(module)}


def _written(module: SourceModule) -> Iterator[Site]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        on, name = node.func.value, node.func.attr
        if named := _named_call(node):
            yield Site(module.path, node.lineno, named[1], named[0])
        elif "_" in name and name in METHODS and name not in _MAKERS:
            if not (isinstance(on, ast.Name) and on.id in module.bindings):
                yield Site(module.path, node.lineno, name, _client_of(on))
        elif name in ("paginate", "wait") and (made := _maker(on)):
            yield Site(module.path, node.lineno, *made)


def _named_call(node: ast.Call) -> tuple[str, str] | None:
    """`self._call("sts", "get_caller_identity")`: the service and the method are its first arguments."""
    texts = [item.value for item in node.args[:2] if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if len(texts) == 2 and texts[0] in _services() and texts[1] in methods(texts[0]):
        return texts[0], texts[1]
    return None


def _client_of(on: ast.expr) -> str:
    """`client("ecs").run_task(...)` says its service."""
    if isinstance(on, ast.Call) and on.args and isinstance(on.args[0], ast.Constant):
        return str(on.args[0].value)
    return ""


def _maker(on: ast.expr) -> tuple[str, str] | None:
    """`client("s3").get_paginator("list_objects_v2").paginate(...)`: the operation, then the service."""
    if isinstance(on, ast.Call) and isinstance(on.func, ast.Attribute) and on.func.attr in _MAKERS:
        names = [str(item.value) for item in on.args if isinstance(item, ast.Constant)]
        return (names[0], _client_of(on.func.value)) if names else None
    return None


@cache
def _services() -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_available_services())


@cache
def methods(service: str) -> dict[str, str]:
    """Return the methods of a service's client, with their operations."""
    return {xform_name(name): name for name in service_model(service).operation_names}


def candidates(site: Site) -> list[str]:
    """Return the services whose clients have a site's method: the one that is written, else all that may be meant."""
    if site.service:
        return [site.service]
    return [service for service in SERVICES if site.method in methods(service)]


def static_problems(program: Program, site: Site) -> list[str]:
    """Return what is wrong with the names that a call writes: unknown ones, and required ones that are missing.

    Transfers of S3 are boto3's own, with positional arguments: their requests are judged when they are made.
    """
    if site.method in TRANSFERS:
        return []
    given, whole = _keywords(program, site)
    services = candidates(site)
    if not services:
        return [f"{site}: no service has this method"]
    found = []
    for service in services:
        shape = operation_model(service, methods(service)[site.method]).input_shape
        known = set(shape.members) if shape else set()
        required = set(shape.required_members) if shape else set()
        missing = required - given if whole else set()
        found.append([f"{site}: {service} has no parameter {name}" for name in sorted(given - known)])
        found[-1] += [f"{site}: {service} requires {name}" for name in sorted(missing)]
    return min(found, key=len)


def _keywords(program: Program, site: Site) -> tuple[set[str], bool]:
    """Return the keyword arguments that a call writes, and whether those are all."""
    module = program.module(site.file.removesuffix(".py").replace("/", "."))
    assert module is not None, site
    names: set[str] = set()
    whole = True
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and node.lineno == site.line and _calls(node, site):
            names |= {item.arg for item in node.keywords if item.arg is not None}
            whole &= all(item.arg is not None for item in node.keywords)
    return names - _OF_WRAPPERS, whole


def _calls(node: ast.Call, site: Site) -> bool:
    if not isinstance(node.func, ast.Attribute):
        return False
    made, named = _maker(node.func.value), _named_call(node)
    if node.func.attr in ("paginate", "wait") and not made:
        return site.service != "" or site.method in METHODS  # a paginator of a name: the call is on this line
    return site.method in (node.func.attr, made and made[0], named and named[1])


def is_made(program: Program, site: Site, places: Collection[tuple[str, int]]) -> bool:
    """Return whether a request came from a call: of one that is written over several lines, Python tells any."""
    module = program.module(site.file.removesuffix(".py").replace("/", "."))
    assert module is not None, site
    ends = [
        node.end_lineno or node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and node.lineno == site.line and _calls(node, site)
    ]
    return any((site.file, line) in places for line in range(site.line, max(ends, default=site.line) + 1))
