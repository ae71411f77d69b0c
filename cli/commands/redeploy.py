"""`passerelle redeploy`: serve a registered version again, without training."""

from __future__ import annotations

from typing import Any

import click

from cli.recovery import common_options, with_options
from cli.session import Session


@click.command()
@click.argument("project")
@click.option("--version", help="The registered version; the one that was served last if not given.")
@click.option("--no-follow", is_flag=True, help="Return when the deployment is started.")
@common_options
@click.pass_obj
def redeploy(
    session: Session, project: str, version: str | None, no_follow: bool, environment: str | None, as_json: bool
) -> None:
    """Serve a registered version of PROJECT: after its endpoint was lost, or to go back to an earlier version.

    The deployment is that of a run: the endpoint is asked for the model's own example before the version becomes
    champion. What the gate refused is not served.
    """
    session = with_options(session, environment, as_json)
    session.platform.need_project(project)
    result = serve(session, project, version, follow=not no_follow)
    if session.as_json:
        session.print_json(result)


def serve(session: Session, project: str, version: str | None, *, follow: bool = True) -> dict[str, Any]:
    """Deploy a version and say so; returns the deployment's input and the name of its execution."""
    from passerelle.aws.deployments import await_deployment, start_deployment
    from passerelle.steps.serve_again import deployment_request

    platform = session.platform
    machine, states = platform.resource("deploy-model"), platform.client("stepfunctions")
    request = deployment_request(platform.runs_table, platform.resource("models-bucket"), project, version)
    started = start_deployment(states, machine, request)
    named = f"{project} version {request['model_version']} (run {request['run_id']})"
    if follow:
        with session.console.status(f"Deploying {named}"):
            await_deployment(states, started, lambda status: None)
        session.console.print(f"[green]✓[/] Served: {named}")
    else:
        session.console.print(f"Deployment of {named} started: {started.execution_arn}", soft_wrap=True)
    return {**request, "execution_arn": started.execution_arn, "served": follow}
