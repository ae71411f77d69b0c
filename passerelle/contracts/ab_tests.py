"""A/B tests of a project: the item `EXPERIMENT` of the runs table is the last one, at work until it has an end.

What was read of it lies in the reports zone, a file for each reading.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from passerelle.contracts.base import Contract
from passerelle.contracts.experiment import AbEvidence
from passerelle.contracts.promotions import Asked

#: Sort key of the last A/B test, and what those of the ended ones begin with.
LAST: Final = "EXPERIMENT"
ENDED: Final = "EXPERIMENT#"
#: The name is part of what chooses who answers whom, and of keys in S3.
NAME_PATTERN: Final = r"[a-z0-9][a-z0-9-]{0,47}"


class AbTestEnd(Contract):
    """When a test ended, which version has served alone since then, and who asked for that."""

    at: str
    served: str
    asked: Asked


class AbTest(Contract):
    """One A/B test, as it was declared when it began; what follows of project.yaml changes nothing of it.

    `entity` are the contract's columns of who is asked for. `spread` is the standard deviation of a prediction's
    outcome, by which the number of entities was planned. `share` of them the challenger answers.
    """

    project: str
    name: str = Field(pattern=f"^{NAME_PATTERN}$")
    version: str
    run_id: str
    champion: str
    entity: tuple[str, ...]
    outcome: Literal["value", "right"]
    unit: str
    effect: float
    spread: float
    least_days: int
    most_days: int
    share: float
    asked: Asked
    started_at: str = ""
    ended: AbTestEnd | None = None


class Beginning(Contract):
    """What a person asks for: the test's name, and what is to be other than project.yaml and the gate say."""

    name: str = Field(pattern=f"^{NAME_PATTERN}$")
    percent: int | None = Field(default=None, ge=5, le=50)
    spread: float | None = Field(default=None, gt=0)


class AbReading(Contract):
    """What an A/B test showed at a moment, UTC.

    `predictions` were recorded of it, `labelled` of them have a known outcome. `met_both` entities were answered by
    both models, for want of a caller that names the variant: only what the first one answered them counts.
    """

    test: AbTest
    read_at: str
    predictions: int
    labelled: int
    entities: int
    met_both: int
    evidence: AbEvidence
