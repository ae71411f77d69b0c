"""How often an A/B test that is read all the time is wrong, on simulated entities whose difference is known.

    make bench-experiment        or: python -m bench.experiment [--json] [--experiments 100] [--looks 0] [--seed 1]

Each experiment is read after every request (`--looks N`: N times) by our confidence sequences and, on the same data, by
the usual test of a fixed sample at 5 %, and ends for good where its interval first leaves nought out. The last line of
standard output is one JSON object (with --json nothing else); the table goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from bench.experiment_split import SPLITS, read_split
from bench.report import machine, say, write_result
from passerelle.contracts.experiment import AbPlan
from passerelle.domain.experiment.betting import bets, horizon, log_wealth, matched, per_challenger
from passerelle.domain.experiment.plan import binary_spread, make_plan
from passerelle.domain.experiment.sequence import LEAST_ENTITIES, Outcomes, difference_of_means

Array = npt.NDArray[Any]
#: Money of a decision that found an event, cried wolf, missed one, rightly did nothing, and how often each happens.
MONEY: Final = np.asarray([80.0, -25.0, -60.0, 0.0])
HAPPENS: Final = np.asarray([0.10, 0.08, 0.06, 0.76])
#: How far an entity's rate goes with the entity: the correlation of two of its rows.
ALIKE: Final = 0.3
#: Log-scale spread of amounts; their skewness is 6.
HEAVY: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Outcomes of a project: yes or no at a rate, money of decisions, or amounts with a heavy tail.

    `effect` is the material one that the plan is made for; `rows` is how many requests an entity makes.
    """

    name: str
    outcome: Literal["binary", "money", "amount"] = "binary"
    rate: float = 0.2
    effect: float = 0.03
    share: float = 0.5
    rows: int = 1

    @property
    def spread(self) -> float:
        """Standard deviation of what an entity's requests yield on average."""
        if self.outcome == "money":
            return float(np.sqrt(HAPPENS @ MONEY**2 - (HAPPENS @ MONEY) ** 2))
        if self.outcome == "amount":
            return math.exp(HEAVY**2 / 2) * math.sqrt(math.expm1(HEAVY**2))
        alike = 0.0 if self.rows == 1 else ALIKE
        return binary_spread(self.rate, self.effect) * math.sqrt(alike + (1 - alike) / self.rows)

    @property
    def plan(self) -> AbPlan:
        return make_plan(effect=self.effect, spread=self.spread, share=self.share)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Between what values an outcome must lie, where the exact sequence can be read."""
        if self.rows > 1 or self.outcome == "amount":
            return None
        return (0.0, 1.0) if self.outcome == "binary" else (float(MONEY.min()), float(MONEY.max()))


CASES: Final = (
    Case(name="20 % yes, half the entities"),
    Case(name="2 % yes, a twentieth of them", rate=0.02, effect=0.015, share=0.05),
    Case(name="money of decisions, a fifth", outcome="money", effect=4.0, share=0.2),
    Case(name="amounts with a heavy tail, half", outcome="amount", effect=0.2),
    Case(name="30 % yes, entities come back", rate=0.3, effect=0.05, rows=5),
)


@dataclass(frozen=True)
class Stream:
    """Requests in the order of time: outcome, entity, and whether the challenger answered; shapes (rows,)."""

    values: Array
    entities: Array
    challenger: Array


def draw(case: Case, entities: int, generator: np.random.Generator, true: float) -> Stream:
    """Return an experiment in which the challenger's mean is `true` times the material effect higher."""
    rows = entities * case.rows
    who = generator.permutation(np.repeat(np.arange(entities), case.rows))
    arm = (generator.random(entities) < case.share)[who]
    more = np.where(arm, true * case.effect, 0.0)
    if case.outcome == "binary":
        rates = case.rate + more
        if case.rows > 1:
            firm = (1 - ALIKE) / ALIKE
            places = generator.random(entities)[who]
            rates = _beta_quantile(places, rates, firm)
        return Stream((generator.random(rows) < rates).astype(float), who, arm)
    if case.outcome == "money":
        found_instead = more / (MONEY[0] - MONEY[2])
        edges = np.cumsum(HAPPENS)[:3]
        place = generator.random(rows)
        kinds = np.searchsorted(edges, place, side="right")
        missed = kinds == 2
        kinds[missed & (place < edges[1] + found_instead)] = 0
        return Stream(MONEY[kinds], who, arm)
    return Stream(generator.lognormal(0.0, HEAVY, rows) + more, who, arm)


def _beta_quantile(places: Array, means: Array, firm: float) -> Array:
    from scipy import special

    return np.asarray(special.betaincinv(means * firm, (1 - means) * firm, places))


def sums_at(stream: Stream, arm: Array, at: Array) -> Outcomes:
    """Return a variant's sums over entities after each of these rows, without going through entities at each reading.

    A row that an entity adds to a sum s of w rows adds 2 s v + v^2 to the sum of squares, and so on.
    """
    order = np.argsort(stream.entities, kind="stable")
    values, first = stream.values[order], np.diff(stream.entities[order], prepend=-1) != 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    running = np.cumsum(values) - values
    total, rows = running - running[start], np.arange(len(order)) - start
    added = np.empty((6, len(order)))
    added[:, order] = [
        first, values, np.ones(len(order)), 2 * total * values + values**2, 2 * rows + 1, total + values * (rows + 1)
    ]  # fmt: skip
    entities, sums, count, squares, rows_squared, products = np.cumsum(added * arm, axis=1)[:, at]
    return Outcomes(
        entities=entities, values=sums, rows=count, values_squared=squares, rows_squared=rows_squared, products=products
    )


def as_rows(outcomes: Outcomes, squares: Array) -> Outcomes:
    """Return the sums of one who takes every row for an entity of its own."""
    count = outcomes.rows
    return Outcomes(
        entities=count, values=outcomes.values, rows=count, values_squared=squares, rows_squared=count,
        products=outcomes.values,
    )  # fmt: skip


def read(case: Case, plan: AbPlan, stream: Stream, at: Array, truth: float) -> dict[str, tuple[Array, Array]]:
    """Return for each method at which readings its interval leaves out nought, and at which the truth."""
    champion, challenger = (sums_at(stream, arm, at) for arm in (~stream.challenger, stream.challenger))
    more, half, _ = difference_of_means(champion, challenger, plan)
    started = np.minimum(champion.entities, challenger.entities) >= LEAST_ENTITIES
    parts = [np.sqrt(one.spread_squared * one.entities) / np.maximum(one.rows, 1) for one in (champion, challenger)]
    fixed = np.where(started, 1.96 * np.hypot(*parts), np.inf)
    found = {
        "sequence": (np.abs(more) > half, np.abs(more - truth) > half),
        "repeated z": (np.abs(more) > fixed, np.abs(more - truth) > fixed),
        "z once": (np.abs(more[-1:]) > fixed[-1:], np.abs(more[-1:] - truth) > fixed[-1:]),
    }
    if case.rows > 1:
        both = [np.cumsum(stream.values**2 * arm)[at] for arm in (~stream.challenger, stream.challenger)]
        rows = [as_rows(one, squares) for one, squares in zip((champion, challenger), both, strict=True)]
        _, half, _ = difference_of_means(rows[0], rows[1], plan)
        found["sequence of rows"] = (np.abs(more) > half, np.abs(more - truth) > half)
    if case.bounds is not None:
        found["betting"] = _betting(case.bounds, plan, stream, (champion.entities, challenger.entities), truth)
    return found


def _betting(
    bounds: tuple[float, float], plan: AbPlan, stream: Stream, entities: tuple[Array, Array], truth: float
) -> tuple[Array, Array]:
    width = 2 * (bounds[1] - bounds[0])
    apart = matched(stream.values[~stream.challenger], stream.values[stream.challenger], plan.share) / width + 0.5
    known = np.minimum(entities[1], entities[0] // per_challenger(plan.share)).astype(int)
    staked, rich = bets(apart, plan.error, horizon(plan)), math.log(2 / plan.error)

    def refuted(mean: float) -> Array:
        paths = log_wealth(apart, staked, mean), log_wealth(1 - apart, staked, 1 - mean)
        return np.asarray(np.concatenate([[False], np.maximum(*paths) >= rich])[known])

    return refuted(0.5), refuted(truth / width + 0.5)


@dataclass(frozen=True)
class Found:
    """By method: the share of experiments whose interval ever left out nought, and ever left out the truth.

    `taken` is how long it took to leave nought out, as a share of the plan, on average; the end where it never did.
    """

    decided: dict[str, float]
    missed: dict[str, float]
    taken: dict[str, float]


def read_often(case: Case, *, experiments: int, looks: int, seed: int, true: float = 0.0, length: float = 1.0) -> Found:
    """Return what became of experiments that were read `looks` times (0: after every row) up to `length` plans."""
    plan = case.plan
    rows = int(length * plan.entities) * case.rows
    at = np.arange(rows) if not looks else np.linspace(rows / looks, rows, looks).astype(int) - 1
    decided: dict[str, list[bool]] = {}
    missed: dict[str, list[bool]] = {}
    taken: dict[str, list[float]] = {}
    for number in range(experiments):
        stream = draw(case, rows // case.rows, np.random.default_rng([seed, number]), true)
        for method, (nought, truth) in read(case, plan, stream, at, true * case.effect).items():
            decided.setdefault(method, []).append(bool(nought.any()))
            missed.setdefault(method, []).append(bool(truth.any()))
            when = at[np.argmax(nought)] + 1 if nought.any() and len(nought) > 1 else rows
            taken.setdefault(method, []).append(length * float(when) / rows)
    return Found(*({name: float(np.mean(one)) for name, one in each.items()} for each in (decided, missed, taken)))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each case, truth and method, and show them."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        plan = case.plan
        say(f"\n{case.name}: material {case.effect:g}, planned {plan.entities:,} entities (read once: {plan.fixed:,})")
        for true, length in ((0.0, 2.0), (1.0, 1.0), (2.0, 1.0)):
            found = read_often(
                case, experiments=options.experiments, looks=options.looks, seed=options.seed, true=true, length=length
            )
            for method, decided in found.decided.items():
                row = {"case": case.name, "true_effects": true, "plans": length, "method": method, "decided": decided,
                       "missed_truth": found.missed[method], "taken_of_plan": found.taken[method]}  # fmt: skip
                rows.append(row)
                what = "false alarms" if true == 0 else f"power at {true:g}x"
                say(
                    f"  {method:17} {what:14} {100 * decided:5.1f} %   truth ever left out "
                    f"{100 * found.missed[method]:5.1f} %   mean end at {100 * found.taken[method]:4.0f} % of the plan"
                )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/experiment.json, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.experiment", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--experiments", type=int, default=100, help="simulated experiments of each kind")
    parser.add_argument("--looks", type=int, default=0, help="readings of each; 0: after every request")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    described, begun = machine(), time.monotonic()
    rows = measure(options)
    splits = [asdict(read_split(one, options.experiments, options.seed)) for one in SPLITS]
    result = {
        "bench": "experiment",
        "experiments": options.experiments,
        "looks": options.looks,
        "seed": options.seed,
        "rows": rows,
        "splits": splits,
        "seconds": round(time.monotonic() - begun, 1),
        "machine": described,
    }
    write_result(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
