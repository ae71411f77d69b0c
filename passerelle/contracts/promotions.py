"""Who made which version the champion, when and why: the items `PROMOTION#<time>` of the runs table."""

from __future__ import annotations

from typing import Final, Literal

from passerelle.contracts.base import Contract

How = Literal[
    "run",  # at the end of the run that trained it, or that carried it here
    "promote",  # by hand, forwards
    "rollback",  # by hand, back to what was served before
    "redeploy",  # by hand, after a loss
    "experiment",  # by hand, beside the champion: an A/B test
    "stop",  # by hand: an A/B test is over, the champion serves on alone
]
PREFIX: Final = "PROMOTION#"


class Asked(Contract):
    """What a person asked for: it travels with the deployment to the step that writes it down.

    `by` is the caller's ARN as STS says it, empty for a run.
    """

    how: How = "run"
    by: str = ""
    reason: str = ""


class Promotion(Contract):
    """One change of the champion; `before` is the version that was served until then."""

    version: str
    run_id: str
    at: str
    asked: Asked = Asked()
    before: str | None = None
