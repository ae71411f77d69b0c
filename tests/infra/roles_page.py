"""docs/roles.md, made from production's templates: `python -m tests.infra.roles_page` after a role has changed."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.infra.iam.templates import Assembly, Resource
from tests.infra.released_stateful import ROOT, synthesise

PAGE: Final = ROOT / "docs" / "roles.md"
_HEAD: Final = """# Who may do what

Every role of `prod`, made from its templates by `python -m tests.infra.roles_page`; a test compares. The IAM proof of [security.md](security.md) shows that each needs all of it. `*` means that AWS knows no narrower resource for the action.
"""


def page(assembly: Assembly) -> str:
    """Return the page: a table per stack, a row per role."""
    stacks: defaultdict[str, list[str]] = defaultdict(list)
    for arn, role in sorted(assembly.roles().items()):
        stacks[_stack(role.stack)].append(_row(assembly, arn, role))
    tables = [
        f"\n## {stack}\n\n| role | taken on by | may |\n|---|---|---|\n" + "\n".join(sorted(rows)) + "\n"
        for stack, rows in stacks.items()
    ]
    return _HEAD + "".join(tables)


def _row(assembly: Assembly, arn: str, role: Resource) -> str:
    by_service: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for grant in assembly.grants(arn):
        service, _, action = grant.action.partition(":")
        by_service[service][_place(grant.resource)].add(action)
    parts = []
    for service, places in sorted(by_service.items()):
        alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for place, actions in places.items():
            alike[tuple(sorted(actions))].append(place)
        parts += [f"**{service}** {', '.join(actions)}: {', '.join(sorted(on))}" for actions, on in alike.items()]
    name = re.sub(r"[0-9A-F]{8}$", "", role.logical_id)
    return f"| {name} | {_principal(role)} | {'<br>'.join(sorted(parts)) or 'nothing'} |"


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
    rest = arn.split(":", 5)[5]
    rest = re.sub(r"passerelleprod\w+?[0-9A-F]{8}\.(\w+?)[0-9A-F]{8}", r"\1", rest)
    return f"`{re.sub(r'[0-9a-f]{64}', 'HASH', rest)}`"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as output:
        synthesise("prod", Path(output))
        PAGE.write_text(page(Assembly(Path(output))), encoding="utf-8")


if __name__ == "__main__":
    main()
