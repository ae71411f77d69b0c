"""GitHub's roles: what the commands of the workflows call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import yaml

from tests.infra.conftest import ROOT
from tests.infra.iam.calls import ApiCall
from tests.infra.iam.functions import bucket_hints, parameters
from tests.infra.iam.interpreter import Interpreter, Texts
from tests.infra.iam.needs import Need, needs_of
from tests.infra.iam.program import Program
from tests.infra.iam.templates import Assembly
from tests.infra.iam.values import UNKNOWN, abstract

_WORKFLOWS: Final = ROOT / ".github" / "workflows"
#: What `cdk deploy` takes on (CDK developer guide, "Bootstrapping"): images are built by CodeBuild, so none is pushed.
_CDK_ROLES: Final = ("deploy", "file-publishing", "lookup")
#: What `cdk diff --method template` reads of each stack.
_DIFF: Final = ("cloudformation:DescribeStacks", "cloudformation:GetTemplate")
_SMOKE: Final = re.compile(r'passerelle --env "\$ENVIRONMENT" --json (\w+)')


def delivery_needs(assembly: Assembly, program: Program) -> dict[str, list[Need]]:
    """Return what the roles need that GitHub's jobs take on."""
    found: dict[str, list[Need]] = {}
    for arn, role in assembly.roles().items():
        match = re.fullmatch(
            r"passerelle-([a-z0-9-]+)-github-(deploy|diff|smoke|carry)", str(role.properties.get("RoleName"))
        )
        if match:
            needs = {"deploy": _deploy, "diff": _diff}.get(match[2])
            asks = _smoke if match[2] == "smoke" else _carry
            found[arn] = list(needs(assembly) if needs else asks(match[1], assembly, program))
    return found


def commands() -> str:
    """Return what the workflows run."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(_WORKFLOWS.glob("*.yml")))


def _deploy(assembly: Assembly) -> Iterator[Need]:
    if "cdk deploy" in commands():
        place = f"{assembly.account.number}-{assembly.account.region}"
        for role in _CDK_ROLES:
            arn = f"arn:aws:iam::{assembly.account.number}:role/cdk-hnb659fds-{role}-role-{place}"
            yield Need("sts:AssumeRole", arn, "GitHub's job runs cdk deploy")


def _diff(assembly: Assembly) -> Iterator[Need]:
    if "--method template" in commands():
        for stack in assembly.stack_names:
            for action in _DIFF:
                yield Need(action, assembly.account.arn("cloudformation", f"stack/{stack}/any"), "GitHub runs cdk diff")


def _smoke(environment: str, assembly: Assembly, program: Program) -> list[Need]:
    """What the commands call with which a deployment is tried; `drop` only where the environment wants it."""
    delivery = yaml.safe_load((ROOT / "environments" / f"{environment}.yaml").read_text(encoding="utf-8"))["delivery"]
    dropped = {"drop"} if delivery["smoke"] == "drop" else set()
    wanted = (set(_SMOKE.findall(commands())) - {"drop", "carry"}) | dropped
    return _asked(wanted, environment, delivery["smoke_project"], assembly, program)


def _carry(environment: str, assembly: Assembly, program: Program) -> list[Need]:
    """What the command calls by which a model of another environment is served."""
    wanted = {"carry"} & set(_SMOKE.findall(commands()))
    return _asked(wanted, environment, "any", assembly, program)


def _asked(wanted: set[str], environment: str, project: str, assembly: Assembly, program: Program) -> list[Need]:
    calls = [
        call
        for command in sorted(wanted)
        for call in _command(command, environment, project, parameters(assembly), program)
    ]
    return [need for call in calls for need in needs_of(call, assembly.account, bucket_hints(assembly))]


@cache
def _command(name: str, environment: str, project: str, parameters: Texts, program: Program) -> frozenset[ApiCall]:
    """Follow one command of the command line, as somebody outside the laptop calls it."""
    interpreter = Interpreter(program, parameters=dict(parameters))
    (session,) = interpreter.global_name("cli.session", "Session")
    given = {"environment": abstract(environment), "as_json": abstract(True)}
    made = interpreter.call(session, (), given, all_known=True, place="cli.session:0")
    arguments = {"session": made, "project": abstract(project), "no_follow": abstract(False)}
    arguments |= dict.fromkeys(("files", "run", "source"), UNKNOWN)
    return frozenset(interpreter.follow(interpreter.global_name(f"cli.commands.{name}", name), arguments))
