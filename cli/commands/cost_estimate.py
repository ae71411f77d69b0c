"""`passerelle cost estimate`: what a deployment would cost a month, before it is deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.session import Session, common_options
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.estimate.parts import Estimate


@click.command()
@click.argument("templates", nargs=-1, type=click.Path(path_type=Path))
@click.option("--region", help="Of templates: where they would be deployed, such as us-east-1.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the templates.")
@click.option("--usage", "usage_file", type=click.Path(path_type=Path), help="How much is used: a YAML file.")
@click.option("--assembly", type=click.Path(path_type=Path), help="A folder that `cdk synth` wrote, of --env.")
@click.option("--free-tier", is_flag=True, help="Take off what AWS gives every account for nothing.")
@click.option("--all", "everything", is_flag=True, help="List each resource, those that cost nothing, too.")
@common_options
@click.pass_obj
def estimate(
    session: Session,
    templates: tuple[Path, ...],
    region: str | None,
    parameters: tuple[str, ...],
    usage_file: Path | None,
    assembly: Path | None,
    free_tier: bool,
    everything: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Price what would be deployed: an environment (--env), or CloudFormation TEMPLATES, JSON or YAML.

    Nothing is asked of AWS. What has no known price is listed, and makes the total a floor.
    """
    from cli.estimating import estimate_environment, estimate_templates, usage_of
    from passerelle.domain.cost.estimate.infracost import to_infracost

    session = session.told(environment, as_json)
    usage = usage_of(usage_file)
    if templates:
        if region is None or assembly:
            raise InputError("Templates need --region, such as --region us-east-1, and no --assembly.")
        found = estimate_templates(templates, region=region, parameters=parameters, usage=usage, free_tier=free_tier)
        name = ", ".join(path.name for path in templates)
    else:
        if region or parameters:
            raise InputError("--region and --parameter are for templates; an environment has its own.")
        found = estimate_environment(session, usage=usage, free_tier=free_tier, assembly=assembly)
        name = session.environment
    if session.as_json:
        made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        session.print_json(to_infracost(found, name=name, made=made))
    else:
        _show(session, found, name, everything)


def _show(session: Session, found: Estimate, name: str, everything: bool) -> None:
    from cli.show_estimate import show_estimate

    show_estimate(session.console, found, name, everything=everything)
