"""`passerelle deploy`: the stacks of an environment, by the CDK."""

from __future__ import annotations

import click

from cli.session import Session


@click.command()
@click.option("--projects-dir", type=click.Path(exists=True, file_okay=False), help="Laptop only: where projects lie.")
@click.option("--force", is_flag=True, help="Deploy even when nothing has changed since the last deploy.")
@click.pass_obj
def deploy(session: Session, projects_dir: str | None, force: bool) -> None:
    """Deploy the stacks and the projects of the environment.

    On AWS this synthesizes, refuses when the estimate is above a budget that nobody has waived, and runs
    `cdk deploy --all` with your credentials, which asks before it widens permissions.
    """
    from cli.deployment import deploy_environment

    result = deploy_environment(session, projects_dir=projects_dir, force=force)
    if session.as_json:
        session.print_json(result)
