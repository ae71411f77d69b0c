"""How soon a split that came out otherwise than declared is seen, and how often a right one is called broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from bench.report import say
from passerelle.contracts.experiment import SplitPhase
from passerelle.domain.experiment.split import LEVEL, check_split

#: Readings of each experiment.
_LOOKS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Split:
    """The declared share, the true one, and how many entities come."""

    declared: float
    true: float
    entities: int


SPLITS: Final = (
    Split(declared=0.5, true=0.5, entities=50_000),
    Split(declared=0.05, true=0.05, entities=50_000),
    Split(declared=0.5, true=0.49, entities=50_000),
    Split(declared=0.5, true=0.48, entities=50_000),
    Split(declared=0.1, true=0.09, entities=50_000),
    Split(declared=0.05, true=0.04, entities=50_000),
)


@dataclass(frozen=True)
class SplitFound:
    """The share of experiments that were called broken, by our check and by a chi-square test repeated at its level."""

    declared: float
    true: float
    entities: int
    found: float
    mean_entities: float
    repeated_chi_square: float


def read_split(split: Split, experiments: int, seed: int, looks: int = _LOOKS) -> SplitFound:
    """Return how often a split is called broken when it is checked at every reading."""
    generator = np.random.default_rng(seed)
    each = split.entities // looks
    challenger = np.cumsum(generator.binomial(each, split.true, (experiments, looks)), axis=1)
    all_ = each * np.arange(1, looks + 1)
    z = (challenger - all_ * split.declared) / np.sqrt(all_ * split.declared * (1 - split.declared))
    ends = []
    for row in challenger:
        broken = (
            int(count)
            for ours, count in zip(row, all_, strict=True)
            if not check_split([_phase(split.declared, int(count), int(ours))]).holds
        )
        ends.append(next(broken, None))
    seen = [end for end in ends if end is not None]
    found = SplitFound(
        declared=split.declared,
        true=split.true,
        entities=split.entities,
        found=len(seen) / experiments,
        mean_entities=float(np.mean([end or split.entities for end in ends])),
        repeated_chi_square=float(np.mean(np.any(stats.chi2.sf(z**2, 1) < LEVEL, axis=1))),
    )
    say(
        f"split {100 * split.declared:g} %, truly {100 * split.true:g} %: called broken {100 * found.found:.1f} %, on "
        f"average at {found.mean_entities:,.0f} entities; by chi-square at each look "
        f"{100 * found.repeated_chi_square:.1f} %"
    )
    return found


def _phase(share: float, entities: int, challenger: int) -> SplitPhase:
    return SplitPhase(share=share, champion=entities - challenger, challenger=challenger)
