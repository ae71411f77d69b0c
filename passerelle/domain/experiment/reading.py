"""What recorded predictions of an A/B test say so far: who met which model first, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.ab_tests import AbReading, AbTest
from passerelle.contracts.experiment import AbEffect, AbPlan, SplitPhase
from passerelle.domain.experiment.ab import Duration, judge_ab
from passerelle.domain.experiment.plan import make_plan
from passerelle.domain.experiment.sequence import Outcomes, asymptotic_effect
from passerelle.domain.experiment.split import check_split

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Predictions of a test, each once, in the order in which they were asked for; all of shape (rows,).

    `entities` are numbers from 0, `challenger` tells who answered, `outcomes` are NaN where they are not known yet.
    """

    entities: Array
    challenger: Array
    outcomes: Array


def read_test(test: AbTest, recorded: Recorded, *, days: float, read_at: str) -> AbReading:
    """Return the verdict so far with its evidence; may be asked at any time, and acted on at once.

    An entity belongs to the model that answered it first, and only what that one answered counts: by later answers of
    the other one, which no caller that names the variant gets, the groups would differ in more than their model.
    """
    found, first, places = np.unique(recorded.entities, return_index=True, return_inverse=True)
    tried = recorded.challenger[first]
    own = recorded.challenger == tried[places]
    met_both = len(np.unique(recorded.entities[~own]))
    plan = make_plan(effect=test.effect, spread=test.spread, share=test.share)
    phase = SplitPhase(share=test.share, champion=int(np.sum(~tried)), challenger=int(np.sum(tried)))
    evidence = judge_ab(
        plan=plan,
        split=check_split([phase]),
        effect=_effect(test, plan, recorded, own & np.isfinite(recorded.outcomes)),
        days=days,
        duration=Duration(least_days=test.least_days, most_days=test.most_days),
        met_both=met_both,
    )
    return AbReading(
        test=test,
        read_at=read_at,
        predictions=len(recorded.entities),
        labelled=int(np.sum(np.isfinite(recorded.outcomes))),
        entities=len(found),
        met_both=met_both,
        evidence=evidence,
    )


def _effect(test: AbTest, plan: AbPlan, recorded: Recorded, known: Array) -> AbEffect | None:
    arms = [known & ~recorded.challenger, known & recorded.challenger]
    if not all(np.any(arm) for arm in arms):
        return None
    champion, challenger = (Outcomes.of(recorded.outcomes[arm], recorded.entities[arm]) for arm in arms)
    return asymptotic_effect(champion, challenger, plan, test.unit)
