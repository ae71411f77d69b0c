"""`passerelle interrupt`: order a spot interruption, as AWS would."""

from __future__ import annotations

import urllib.error
import urllib.parse

import click

from cli.session import Session
from passerelle.errors import InputError, TransientError


@click.command()
@click.argument("job")
@click.pass_obj
def interrupt(session: Session, job: str) -> None:
    """Take the spot instance away from the training JOB; it restarts from its checkpoint.

    JOB is the name of a running training job on managed spot, as `passerelle runs show` prints it.
    """
    session.need_laptop("interrupt")
    from laptop.access import open_url

    path = f"_passerelle/interrupt/{urllib.parse.quote(job, safe='')}"
    try:
        with open_url(session.laptop_settings, path, method="POST"):
            pass
    except urllib.error.HTTPError as error:
        raise InputError(f"Job {job} was not interrupted: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise TransientError(f"The laptop platform does not answer: {error}. Start it with `passerelle up`.") from error
    if session.as_json:
        session.print_json({"job": job, "interrupted": True})
    else:
        session.console.print(f"[green]✓[/] {job} lost its instance; it restarts from its checkpoint.")
