"""`passerelle cost check`: may it be deployed, by the budgets."""

from __future__ import annotations

from pathlib import Path

import click

from cli.session import Session, common_options


@click.command()
@click.option("--usage", "usage_file", type=click.Path(path_type=Path), help="How much is used: a YAML file.")
@click.option("--assembly", type=click.Path(path_type=Path), help="A folder that `cdk synth` wrote, of --env.")
@common_options
@click.pass_obj
def check(
    session: Session, usage_file: Path | None, assembly: Path | None, environment: str | None, as_json: bool
) -> None:
    """Compare the estimate with the budgets of the environment and its projects, as `passerelle deploy` does.

    Exit code 3 when one is exceeded and nobody has waived it.
    """
    from cli.cost_gate import check_budgets
    from cli.estimating import synthesized, usage_of

    session = session.told(environment, as_json)
    verdicts = check_budgets(session, assembly or synthesized(session), usage_of(usage_file))
    if session.as_json:
        session.print_json([{"budget": item.what, "usd": item.usd, "of_usd": item.budget, "words": item.words}
                            for item in verdicts])  # fmt: skip
