"""The `passerelle` command: the same words on the laptop and, with --env, on AWS."""

from __future__ import annotations

from typing import Any

import click

from cli.failures import failures_as_exit_codes, heed_interruptions
from cli.lazy import LazyGroup
from cli.session import Session

#: Command -> module that holds a click command of the same name. Modules load only when their command runs.
COMMANDS = {
    "advise": "cli.commands.advise",
    "backtest": "cli.commands.backtest",
    "backup": "cli.commands.backup",
    "batch": "cli.commands.batch",
    "carry": "cli.commands.carry",
    "check": "cli.commands.check",
    "cost": "cli.commands.cost",
    "dashboard": "cli.commands.dashboard",
    "demo": "cli.commands.demo",
    "deploy": "cli.commands.deploy",
    "doctor": "cli.commands.doctor",
    "down": "cli.commands.down",
    "drift": "cli.commands.drift",
    "drop": "cli.commands.drop",
    "experiment": "cli.commands.experiment",
    "explain": "cli.commands.explain",
    "init": "cli.commands.init",
    "interrupt": "cli.commands.interrupt",
    "logs": "cli.commands.logs",
    "predict": "cli.commands.predict",
    "promote": "cli.commands.promote",
    "redeploy": "cli.commands.redeploy",
    "reproduce": "cli.commands.reproduce",
    "restore": "cli.commands.restore",
    "retrain": "cli.commands.retrain",
    "rollback": "cli.commands.rollback",
    "runs": "cli.commands.runs",
    "shadow": "cli.commands.shadow",
    "status": "cli.commands.status",
    "tracking": "cli.commands.tracking",
    "up": "cli.commands.up",
}


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--env", "environment", default="laptop", show_default=True, envvar="PASSERELLE_ENV",
              help="Which deployed environment to talk to (a file in environments/).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines, progress on standard error.")
@click.version_option(package_name="passerelle")
@click.pass_context
def cli(ctx: click.Context, environment: str, as_json: bool) -> None:
    """From notebook to production on AWS for tabular models, and the same on a laptop.

    \b
    Start here:   passerelle demo          real flights become a served model, on this machine
                  passerelle init my-project, then passerelle deploy, passerelle drop my-project data.csv

    \b
    Exit codes:   0 done             1 defect of Passerelle     2 wrong usage
                  3 your input       4 your installation        5 something is down: try again
                  6 the run ended without a new served model
                  7 trained again, a run's model predicts otherwise    130 interrupted
    """
    ctx.obj = Session(environment=environment, as_json=as_json)


def main(args: list[str] | None = None, **extra: Any) -> None:
    """Run the command line; every known failure becomes one message and an exit code."""
    heed_interruptions()
    with failures_as_exit_codes():
        cli.main(args=args, prog_name="passerelle", standalone_mode=False, **extra)


if __name__ == "__main__":
    main()
