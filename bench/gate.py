"""How often the gate is wrong, on simulated models whose quality is known: `python -m bench.gate --rounds 300`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.gate import Comparison, Evidence, check_gate, compare
from passerelle.domain.gate.segments import Segment, judge_segments
from passerelle.domain.metrics import score
from passerelle.domain.project.training import Gate
from passerelle.domain.resampled import resampled_scores
from passerelle.domain.resampling import Blocks, By, draw_weights, make_blocks

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A champion and a challenger of equal quality, unless one of the last two fields says otherwise.

    `day_error` is how much of a model's error all rows of a day share, `worse_noise` makes the challenger worse
    everywhere, `collapsed` segments get its scores in a random order.
    """

    rows: int = 4_000
    segments: int = 20
    days: int = 50
    metric: str = "brier"
    day_error: float = 0.0
    worse_noise: float = 0.0
    collapsed: int = 0


@dataclass(frozen=True)
class Drawn:
    """One test period: labels, times, segments, and the probabilities of both models."""

    labels: Array
    times: Array
    segments: Array
    champion: Array
    challenger: Array


def draw(scenario: Scenario, seed: int) -> Drawn:
    """Return a test period; both models see the truth through noise of their own."""
    generator = np.random.default_rng(seed)
    rows = scenario.rows
    truth = -1.3 + 1.5 * generator.normal(size=rows)
    day, segments = np.sort(generator.integers(0, scenario.days, rows)), generator.integers(0, scenario.segments, rows)

    def seen(noise: float) -> Array:
        shared = scenario.day_error * generator.normal(size=scenario.days)[day]
        return truth + noise * generator.normal(size=rows) + shared

    champion, challenger = seen(0.5), seen(0.5 + scenario.worse_noise)
    for one in range(scenario.collapsed):
        challenger[segments == one] = generator.permutation(challenger[segments == one])
    labels = (generator.random(rows) < _share(truth)).astype(int)
    times = np.datetime64("2026-01-01") + day.astype("timedelta64[D]")
    return Drawn(labels, times, segments, _share(champion), _share(challenger))


def _share(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))


def judge(drawn: Drawn, gate: Gate, metric: str, *, by: By = "auto", rounds: int = 1_000) -> dict[str, bool]:
    """Return which checks the challenger passes, and under `segment N` which segments were found to be worse."""
    blocks = make_blocks(len(drawn.labels), by=by, times=drawn.times)
    weights = draw_weights(blocks, seed=0, rounds=rounds)

    def compared(rows: Array, other: Array) -> Comparison | None:
        part = Blocks(blocks.of_row[rows], blocks.count, blocks.unit)
        sign = -1.0 if metric in ("log_loss", "brier") else 1.0
        points, resampled = zip(
            *(_scored(metric, drawn.labels[rows], one[rows], part, weights) for one in (drawn.challenger, other)),
            strict=True,
        )
        better = float("nan") if None in points else sign * (points[0] - points[1])
        return compare(better, sign * (resampled[0] - resampled[1]), len(np.unique(part.of_row)))

    every = np.arange(len(drawn.labels))
    guess = np.full(len(every), drawn.labels.mean())
    segments = []
    for one in np.unique(drawn.segments):
        rows = np.flatnonzero(drawn.segments == one)
        found = {"baseline": compared(rows, guess), "champion": compared(rows, drawn.champion)}
        known = {name: value for name, value in found.items() if value is not None}
        segments.append(Segment("segment", str(one), len(rows), 0.0, known))
    evidence = Evidence(
        metric=metric, outputs=drawn.challenger, score=0.0, baseline_score=0.0, champion_score=0.0,
        baseline=compared(every, guess), champion=compared(every, drawn.champion),
        segments=segments, judged=judge_segments(gate.segments, metric, segments),
    )  # fmt: skip
    verdict = {check.name: check.passed for check in check_gate(gate, evidence)}
    return verdict | {f"segment {one.value}": not one.worse_than for one in evidence.judged}


def _scored(metric: str, labels: Array, shares: Array, blocks: Blocks, weights: Array) -> tuple[float | None, Array]:
    classes, both = np.asarray([0, 1]), np.column_stack([1 - shares, shares])
    given = (metric, "binary", labels, (shares >= 0.5).astype(int), both, classes)
    return score(*given), resampled_scores(*given, blocks=blocks, weights=weights)


def refusal_rates(scenario: Scenario, gate: Gate, rounds: int, *, by: By = "auto") -> dict[str, float]:
    """Return the share of test periods in which each check refuses the challenger."""
    refused: Counter[str] = Counter()
    for seed in range(rounds):
        verdict = judge(draw(scenario, seed), gate, scenario.metric, by=by)
        refused.update(name for name, passed in verdict.items() if not passed)
    return {name: refused[name] / rounds for name in ("not_worse_than_champion", "segments", "segment 0")}


def cases() -> Iterator[tuple[str, Scenario, Gate, By]]:
    """Yield what the page docs/gate.md shows."""
    equal = Scenario()
    shared = replace(equal, rows=8_000, day_error=1.0)
    proven = {"not_worse_than_champion_by": 0.0, "confidence": 0.05, "segments": {"worse_by": 0.0}}
    loose = Gate.model_validate(proven)
    yield "equal models", equal, Gate(), "auto"
    yield "equal models, no margins, 5 % levels", equal, loose, "auto"
    yield "the same with errors that share the day, by day", shared, loose, "day"
    yield "the same with errors that share the day, by row", shared, loose, "row"
    yield "one segment of 200 rows collapsed", replace(equal, collapsed=1), Gate(), "auto"
    yield "challenger worse everywhere", replace(equal, worse_noise=0.7), Gate(), "auto"


def main() -> None:
    """Print one line per case, and all of them as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    rows = []
    for name, scenario, gate, by in cases():
        rates = refusal_rates(scenario, gate, rounds, by=by)
        rows.append({"case": name, **rates})
        print(f"{name:48} " + "  ".join(f"{check} {100 * rate:5.1f} %" for check, rate in rates.items()), flush=True)
    print(json.dumps({"bench": "gate", "rounds": rounds, "rows": rows}))


if __name__ == "__main__":
    main()
