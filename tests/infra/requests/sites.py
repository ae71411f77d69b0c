"""Where our code calls AWS: found by following it, as the IAM proof does, and by looking at how it is written."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import botocore.session
import click
from botocore import xform_name

from cli.main import COMMANDS, cli
from tests.infra.iam.botocore_model import METHODS, TRANSFERS
from tests.infra.iam.calls import ApiCall
from tests.infra.iam.functions import calls_of_function, parameters
from tests.infra.iam.interpreter import Interpreter, calls_of
from tests.infra.iam.outside import NOT_AWS
from tests.infra.iam.program import Program, SourceModule
from tests.infra.iam.templates import Assembly
from tests.infra.iam.values import UNKNOWN, abstract
from tests.infra.requests.judge import service_model

#: The container's entries that have credentials; the others are isolated, which the IAM proof shows.
_ENTRIES: Final = ("prepare",)
#: They start the laptop's platform or the CDK, and are found by how they are written.
_NOT_FOLLOWED: Final = ("demo", "deploy", "doctor", "down", "init", "interrupt", "up")
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
    """Return the calls that functions, the container and the commands can reach."""
    calls: set[ApiCall] = set()
    for function in assembly.of_type("AWS::Lambda::Function"):
        calls |= calls_of_function(assembly, program, function)
    for entry in _ENTRIES:
        calls |= calls_of(program, f"training.{entry}.main", "main")
    for name in sorted(set(COMMANDS) - set(_NOT_FOLLOWED)):
        calls |= _command_calls(name, assembly, program)
    return {Site(call.file, call.line, call.method.rpartition(":")[2], call.service) for call in calls}


def _command_calls(name: str, assembly: Assembly, program: Program) -> set[ApiCall]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    found: set[ApiCall] = set()
    for each in command.commands.values() if isinstance(command, click.Group) else (command,):
        interpreter = Interpreter(program, parameters=dict(parameters(assembly)))
        (session,) = interpreter.global_name("cli.session", "Session")
        given = {"environment": abstract("prod"), "as_json": abstract(False)}
        made = interpreter.call(session, (), given, all_known=True, place="cli.session:0")
        unknown = {str(parameter.name): UNKNOWN for parameter in each.params}
        assert each.callback is not None, name
        function = interpreter.global_name(f"cli.commands.{name}", inspect.unwrap(each.callback).__name__)
        found |= interpreter.follow(function, {**unknown, "session": made, "project": abstract("flights")})
    return found


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


def keywords(program: Program, site: Site) -> tuple[set[str], bool]:
    """Return the keyword arguments that a call writes, and whether `**` adds others."""
    module = program.module(site.file.removesuffix(".py").replace("/", "."))
    assert module is not None, site
    names: set[str] = set()
    more = False
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and node.lineno == site.line and _calls(node, site):
            names |= {item.arg for item in node.keywords if item.arg is not None}
            more |= any(item.arg is None for item in node.keywords)
    return names, more


def _calls(node: ast.Call, site: Site) -> bool:
    if not isinstance(node.func, ast.Attribute):
        return False
    made = _maker(node.func.value)
    named = _named_call(node)
    return site.method in (node.func.attr, made and made[0], named and named[1]) and site.method not in TRANSFERS
