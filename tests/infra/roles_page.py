"""docs/roles.md, made from production's templates: `python -m tests.infra.roles_page` after a role has changed."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import click

from checks.assemblies import assembly
from checks.outcome import ROOT
from cli.main import COMMANDS, cli
from tests.infra.iam.compare import with_keys
from tests.infra.iam.functions import bucket_hints, parameters
from tests.infra.iam.interpreter import Interpreter
from tests.infra.iam.needs import Need, needs_of
from tests.infra.iam.program import Program
from tests.infra.iam.templates import Assembly, Resource
from tests.infra.iam.values import ANY, UNKNOWN, abstract

PAGE: Final = ROOT / "docs" / "roles.md"
_HEAD: Final = """# Who may do what

Every role of `prod`, made from its templates by `python -m tests.infra.roles_page`; a test compares. The IAM proof of [security.md](security.md) shows that each needs all of it. `*` means that AWS knows no narrower resource for the action.
"""


#: They work on the laptop only, with an administrator's rights, or the page says it in words.
_NOT_HERE: Final = (
    "backup", "carry", "cost check", "cost diff", "cost estimate", "cost prices update", "demo", "deploy", "doctor", "down",
    "init", "interrupt", "redeploy", "reproduce", "restore", "up",
)  # fmt: skip
_COMMANDS: Final = """
# What the commands need

Of the person who calls them, for the project `flights` in `prod`; found by following the commands' code, as for functions. `passerelle tracking` also starts a session: `ssm:StartSession` on the task and the document `AWS-StartPortForwardingSession`. What `doctor` needs stands in [operations.md](operations.md); `cost estimate`, `cost diff` and `cost check` ask nothing of AWS, `cost prices update` needs `pricing:GetProducts`; `carry` needs what the role in [delivery.md](delivery.md) has, `redeploy` what `rollback` needs, `reproduce` what `runs show` needs, `s3:ListBucket` on the buckets of curated data and models, and `s3:GetObject` on these and on the project's archive; `deploy`, `backup` and `restore` are an administrator's.

| command | needs |
|---|---|
"""


def page(assembly: Assembly, program: Program) -> str:
    """Return the page: a table per stack with a row per role, and a table of commands."""
    stacks: defaultdict[str, list[str]] = defaultdict(list)
    for arn, role in sorted(assembly.roles().items()):
        stacks[_stack(role.stack)].append(_row(assembly, arn, role))
    tables = [
        f"\n## {stack}\n\n| role | taken on by | may |\n|---|---|---|\n" + "\n".join(sorted(rows)) + "\n"
        for stack, rows in stacks.items()
    ]
    return _HEAD + "".join(tables) + _COMMANDS + "".join(_command_rows(assembly, program))


def _row(assembly: Assembly, arn: str, role: Resource) -> str:
    allowed = _summary((grant.action, grant.resource) for grant in assembly.grants(arn))
    name = re.sub(r"[0-9A-F]{8}$", "", role.logical_id)
    return f"| {name} | {_principal(role)} | {allowed or 'nothing'} |"


def _summary(pairs: Iterable[tuple[str, str]]) -> str:
    """Return actions on resources in words, by service; resources with the same actions together."""
    by_service: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for action, resource in pairs:
        service, _, operation = action.partition(":")
        by_service[service][_place(resource)].add(operation)
    parts = []
    for service, places in sorted(by_service.items()):
        alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for place, actions in places.items():
            alike[tuple(sorted(actions))].append(place)
        parts += [f"**{service}** {', '.join(actions)}: {', '.join(sorted(on))}" for actions, on in alike.items()]
    return "<br>".join(sorted(parts))


def _command_rows(assembly: Assembly, program: Program) -> Iterator[str]:
    for name in sorted(set(COMMANDS) - set(_NOT_HERE)):
        for words, each in _each_command(cli, name):
            if words in _NOT_HERE:
                continue
            needs = with_keys(_command_needs(each, assembly, program), assembly)
            summary = _summary((need.action, need.resource) for need in needs)
            yield f"| `passerelle {words}` | {summary or 'nothing'} |\n"


def _each_command(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command, or those below it, with the words that call each."""
    context = click.Context(group)
    command = group.get_command(context, name)
    assert command is not None, name
    if not isinstance(command, click.Group):
        yield name, command
        return
    for sub in sorted(command.list_commands(context)):
        yield from ((f"{name} {words}", each) for words, each in _each_command(command, sub))


def _command_needs(command: click.Command, assembly: Assembly, program: Program) -> list[Need]:
    """Follow one command, as somebody outside the laptop calls it."""
    interpreter = Interpreter(program, parameters=dict(parameters(assembly)))
    (session,) = interpreter.global_name("cli.session", "Session")
    given = {"environment": abstract("prod"), "as_json": abstract(False)}
    made = interpreter.call(session, (), given, all_known=True, place="cli.session:0")
    unknown = {str(parameter.name): given.get(str(parameter.name), UNKNOWN) for parameter in command.params}
    assert command.callback is not None, command.name
    called = inspect.unwrap(command.callback)
    function = interpreter.global_name(called.__module__, called.__name__)
    calls = interpreter.follow(function, {**unknown, "session": made, "project": abstract("flights")})
    return [need for call in calls for need in needs_of(call, assembly.account, bucket_hints(assembly))]


def _principal(role: Resource) -> str:
    principal = role.properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    if "Service" in principal:
        return str(principal["Service"]).removesuffix(".amazonaws.com")
    return "GitHub Actions" if "Federated" in principal else "another account"


def _stack(name: str) -> str:
    return re.sub(r"^passerelleprod|[0-9A-F]{8}$", "", name)


def _place(arn: str) -> str:
    """Return the part of an ARN that tells a reader what it is."""
    if arn == "*":
        return "`*`"
    rest = arn.split(":", 5)[5].replace(ANY, "*").removesuffix(":log-stream:*")
    rest = re.sub(r"passerelleprod\w+?[0-9A-F]{8}\.(\w+?)[0-9A-F]{8}", r"\1", rest)
    return f"`{re.sub(r'[0-9a-f]{64}', 'HASH', rest)}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(Assembly(assembly("prod")), Program(ROOT)), encoding="utf-8")


if __name__ == "__main__":
    main()
