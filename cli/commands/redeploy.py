"""`passerelle redeploy`: serve a registered version again, without training."""

from __future__ import annotations

from typing import Any

import click

from cli.champion import asked_by, deploy
from cli.session import Session, common_options


@click.command()
@click.argument("project")
@click.option("--version", help="The registered version; the one that was served last if not given.")
@click.option("--no-follow", is_flag=True, help="Return when the deployment is started.")
@common_options
@click.pass_obj
def redeploy(
    session: Session, project: str, version: str | None, no_follow: bool, environment: str | None, as_json: bool
) -> None:
    """Serve a registered version of PROJECT, the one that was served last: after its endpoint was lost.

    The deployment is that of a run: the endpoint is asked for the model's own example before the version becomes
    champion. What the gate refused is not served.
    """
    session = session.told(environment, as_json)
    session.platform.need_project(project)
    result = serve(session, project, version, follow=not no_follow)
    if session.as_json:
        session.print_json(result)


def serve(session: Session, project: str, version: str | None, *, follow: bool = True) -> dict[str, Any]:
    """Deploy a version and say so; returns the deployment's input and the name of its execution."""
    from passerelle.aws.deployed import refusals_translated
    from passerelle.steps.serve_again import deployment_request

    platform = session.platform
    with refusals_translated(session.environment):
        request = deployment_request(platform.runs_table, platform.resource("models-bucket"), project, version)
    return deploy(session, request | {"asked": asked_by(session, "redeploy").model_dump()}, wait=follow)
