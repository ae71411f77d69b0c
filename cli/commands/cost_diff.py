"""`passerelle cost diff`: what a change costs a month, resource by resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.session import Session, common_options
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.estimate.difference import Difference
    from passerelle.domain.cost.estimate.usage import Usage


@click.command()
@click.argument("templates", nargs=-1, type=click.Path(path_type=Path))
@click.option("--against", required=True, metavar="FILE|ENV",
              help="A saved estimate (`cost estimate --json`), another template, or another environment.")  # fmt: skip
@click.option("--region", help="Of templates: where they would be deployed, such as us-east-1.")
@click.option("--usage", "usage_file", type=click.Path(path_type=Path), help="How much is used: a YAML file.")
@click.option("--assembly", type=click.Path(path_type=Path), help="A folder that `cdk synth` wrote, of --env.")
@click.option("--markdown", is_flag=True, help="Print a comment for a pull request.")
@common_options
@click.pass_obj
def diff(
    session: Session,
    templates: tuple[Path, ...],
    against: str,
    region: str | None,
    usage_file: Path | None,
    assembly: Path | None,
    markdown: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Compare an environment (--env) or TEMPLATES with what --against names: what more, or less, a month costs."""
    from cli.estimating import usage_of
    from passerelle.domain.cost.estimate.difference import compare, to_markdown

    session = session.told(environment, as_json)
    usage = usage_of(usage_file)
    before = _against(session, against, region, usage)
    after = _document(session, templates, region, usage, assembly)
    found = compare(before, after)
    name = ", ".join(path.name for path in templates) or session.environment
    if session.as_json:
        session.print_json(_told(found))
    elif markdown:
        click.echo("\n".join(to_markdown(found, title=f"Cost of {name} against {against}")))
    else:
        _show(session, found, f"{name} against {against}")


def _against(session: Session, against: str, region: str | None, usage: Usage) -> Mapping[str, Any]:
    from passerelle.domain.cost.estimate.difference import read_estimate

    path = Path(against)
    if not path.is_file():
        return _document(Session(environment=against, as_json=session.as_json), (), None, usage, None)
    text = path.read_text(encoding="utf-8")
    try:
        is_template = "Resources" in json.loads(text)
    except ValueError:
        is_template = True
    return _document(session, (path,), region, usage, None) if is_template else read_estimate(text, source=against)


def _document(
    session: Session, templates: tuple[Path, ...], region: str | None, usage: Usage, assembly: Path | None
) -> Mapping[str, Any]:
    from cli.estimating import estimate_environment, estimate_templates
    from passerelle.domain.cost.estimate.infracost import to_infracost

    if templates:
        if region is None:
            raise InputError("Templates need --region, such as --region us-east-1.")
        found = estimate_templates(templates, region=region, parameters=(), usage=usage)
    else:
        found = estimate_environment(session, usage=usage, assembly=assembly)
    return to_infracost(found, name=session.environment, made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _told(found: Difference) -> dict[str, Any]:
    return {
        "before_usd": found.before,
        "after_usd": found.after,
        "change_usd": found.usd,
        "change_percent": found.percent,
        "floor": found.floor,
        "resources": [
            {
                "name": change.name,
                "type": change.type,
                "before_usd": change.before,
                "after_usd": change.after,
                "change_usd": change.usd,
            }
            for change in found.changes
        ],
    }


def _show(session: Session, found: Difference, title: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("Resource", "Type", "Before", "After", "Change", box=None, padding=(0, 2, 0, 0))
    for change in found.changes:
        figures = ("" if usd is None else f"{usd:.2f}" for usd in (change.before, change.after))
        table.add_row(escape(change.name), change.type, *figures, f"{change.usd:+.2f}")
    session.console.print(table if found.changes else "Nothing that has a price changes.")
    percent = "" if found.percent is None else f" ({found.percent:+.1f} %)"
    least = "at least " if found.floor else ""
    session.console.print(
        f"[bold]{escape(title)}: {found.usd:+.2f} USD a month{percent}[/], from {found.before:.2f} to "
        f"{least}{found.after:.2f}"
    )
