"""`passerelle up`: start the laptop platform."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from cli.session import Session


@click.command()
@click.option("--enforce/--no-enforce", default=None,
              help="Hold everything to IAM's policies, over TLS, as on AWS. Remembered with the state.")  # fmt: skip
@click.option("--tls/--no-tls", default=None, help="Speak HTTPS only. Remembered with the state.")
@click.pass_obj
def up(session: Session, enforce: bool | None, tls: bool | None) -> None:
    """Start the embedded AWS, MLflow and PostgreSQL on 127.0.0.1.

    Does nothing when they run. State is kept in .passerelle (PASSERELLE_HOME moves it), also across a crash.
    """
    session.need_laptop("up")
    session.switch(enforce=enforce, tls=tls)
    start_platform(session)
    if session.as_json:
        from laptop.platform import status

        session.print_json(asdict(status(session.laptop_settings)))


def start_platform(session: Session) -> None:
    """Start the platform and say where things are."""
    from laptop.dashboards import dashboard_url
    from laptop.platform import up as laptop_up

    started, settings, console = time.monotonic(), session.laptop_settings, session.console
    laptop_up(settings, progress=lambda message: console.print(f"  [dim]{message}[/]"))
    console.print(
        f"[green]✓[/] Platform up in {time.monotonic() - started:.1f} s: "
        f"AWS at {settings.endpoint_url}, MLflow at {settings.mlflow_url}"
    )
    console.print(f"  Projects' dashboards at {dashboard_url(settings)}", soft_wrap=True)
