"""Did the split come out as declared? Where it did not, something chose who met which model, and nothing counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from passerelle.contracts.experiment import SplitCheck, SplitPhase

#: So rare a split is no chance. It is strict since a false alarm ends an experiment, and a broken split is seen soon.
LEVEL: Final = 0.001
#: How firmly the alternatives stay near the declared share: as a thousand entities would.
_FIRMNESS: Final = 1_000.0


def check_split(phases: Sequence[SplitPhase], level: float = LEVEL) -> SplitCheck:
    """Return whether entities fell to the models as declared; may be asked at any time, errors stay below `level`.

    The multinomial martingale of Lindon & Malek (2022, Anytime-Valid Inference for Multinomial Count Data, NeurIPS):
    under the declared share, the likelihood ratio of a Beta mixture of shares to it is rarely ever great (Ville 1939),
    and one over it is a p-value. Each entity counts once, where it was first seen; requests of
    one entity are not independent. A changed share begins a new phase, whose ratio multiplies that of the others.
    """
    evidence = sum(_log_ratio(phase) for phase in phases)
    p_value = math.exp(-max(0.0, evidence))
    return SplitCheck(phases=tuple(phases), p_value=p_value, level=level, holds=p_value >= level)


def _log_ratio(phase: SplitPhase) -> float:
    share, ours, theirs = phase.share, phase.challenger, phase.champion
    prior = _FIRMNESS * share, _FIRMNESS * (1 - share)
    mixed = _log_beta(prior[0] + ours, prior[1] + theirs) - _log_beta(*prior)
    return mixed - ours * math.log(share) - theirs * math.log1p(-share)


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)
