"""`passerelle tracking`: open MLflow."""

from __future__ import annotations

import shutil
import subprocess

import click

from cli.session import Session
from passerelle.contracts import tracking as server
from passerelle.errors import SettingsError


@click.command()
@click.option("--port", default=server.PORT, show_default=True, help="The port on this machine.")
@click.option("--print", "only_print", is_flag=True, help="Print what would be run, and run nothing.")
@click.pass_obj
def tracking(session: Session, port: int, only_print: bool) -> None:
    """Say where MLflow is, or open a way to it: on AWS without a load balancer, a session until Ctrl-C.

    The session goes through AWS Systems Manager: nothing listens on the internet, and CloudTrail records who opened it.
    """
    url = _address(session)
    if url is not None:
        if session.as_json:
            session.print_json({"url": url})
        else:
            session.console.print(f"MLflow: {url}")
        return
    command = _session_command(session, port)
    secret = session.platform.resource("tracking-admin-secret")
    if session.as_json or only_print:
        session.print_json({"url": f"http://127.0.0.1:{port}", "command": command, "admin_secret": secret})
        return
    missing = [program for program in ("aws", "session-manager-plugin") if shutil.which(program) is None]
    if missing:
        raise SettingsError(
            f"Not installed: {', '.join(missing)}. A session needs AWS's command line and its Session Manager plugin "
            "(https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html)."
        )
    session.console.print(f"MLflow: http://127.0.0.1:{port} until Ctrl-C, as user admin with the password of {secret}")
    raise SystemExit(subprocess.call(command))


def _address(session: Session) -> str | None:
    """Return where MLflow answers people, None when only a session reaches it."""
    if session.on_laptop:
        return session.laptop_settings.mlflow_url
    door = session.platform.resource("tracking-door")
    return None if door == server.NO_DOOR else door


def _session_command(session: Session, port: int) -> list[str]:
    from passerelle.aws.tracking_tasks import session_target

    cluster, service = session.platform.resource("tracking-cluster"), session.platform.resource("tracking-service")
    target = session_target(session.platform.client("ecs"), cluster, service, "mlflow")
    return [
        "aws", "ssm", "start-session", "--target", target, "--document-name", "AWS-StartPortForwardingSession",
        "--parameters", f"portNumber={server.PORT},localPortNumber={port}",
    ]  # fmt: skip
