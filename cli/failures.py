"""What the command line says and which exit code it gives when something fails."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from passerelle.errors import BundleError, InputError, PasserelleError, SettingsError, TransientError

DEFECT: Final = 1
USAGE: Final = 2
INPUT: Final = 3
SETTINGS: Final = 4
TRANSIENT: Final = 5
NOT_SERVED: Final = 6
NOT_REPRODUCED: Final = 7
INTERRUPTED: Final = 130
AGAIN_SECONDS: Final = 1.0

_CODES: Final[tuple[tuple[type[PasserelleError], int], ...]] = (
    (InputError, INPUT),
    (SettingsError, SETTINGS),
    (TransientError, TRANSIENT),
    (BundleError, INPUT),
)


class RunNotServedError(PasserelleError):
    """A run ended, but not with a newly served model: rejected, refused, duplicate or failed."""


class NotReproducedError(PasserelleError):
    """A run's model, trained again, does not predict the same."""


def heed_interruptions() -> None:
    """Let Ctrl-C and its like stop the command even where Python swallows an exception: in callbacks while it imports.

    The interruption is raised again, a second later, until somebody has taken note of it.
    """

    def interrupt(number: int, frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def interruption_noted() -> None:
    """Stop raising it: from here on its consequences are taken."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def exit_code(error: PasserelleError) -> int:
    """Return the documented exit code of an error."""
    if isinstance(error, RunNotServedError):
        return NOT_SERVED
    if isinstance(error, NotReproducedError):
        return NOT_REPRODUCED
    return next((code for kind, code in _CODES if isinstance(error, kind)), DEFECT)


@contextmanager
def failures_as_exit_codes() -> Iterator[None]:
    """Turn errors into one readable message on standard error and the documented exit code."""
    try:
        yield
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        interruption_noted()
        click.echo("Interrupted. Nothing was lost; `passerelle status` says where things stand.", err=True)
        sys.exit(INTERRUPTED)
    except PasserelleError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("PASSERELLE_DEBUG"):
            traceback.print_exc()
        click.echo(f"This is a defect of Passerelle: {type(error).__name__}: {error}", err=True)
        click.echo("Run again with PASSERELLE_DEBUG=1 for the traceback, and report it.", err=True)
        sys.exit(DEFECT)
