"""Make a performance reference: fit what is to be expected of a row, and measure what that leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.classes import Classes
from passerelle.domain.drift.coarse import code_columns, coded_matrix, taken
from passerelle.domain.drift.outputs import OutputCuts, known_answers
from passerelle.domain.drift.performance import PerformanceReference, designs_of
from passerelle.domain.drift.ridge import Problem, drawn_aims, fit, predicted
from passerelle.domain.drift.sums import Layout, Money, drawn, metrics_of, targets_of
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType, TaskType

Array = npt.NDArray[Any]

#: With fewer rows nothing can be told of a model's errors.
LEAST_ROWS: Final = 200
#: Rows that the second model is fitted on: with more it hardly changes, and takes longer.
MOST_ROWS: Final = 20_000
#: Fits on drawn blocks: the reference's own uncertainty, known to a seventh.
_REPLICATES: Final = 24
_FOLDS: Final = 8
_LEAST_BLOCKS: Final = 8
#: Penalties of the bends of the score's line, of the inputs, and of slopes by inputs, from saying least to saying most.
_LADDER: Final = (
    (np.inf, np.inf, np.inf),
    (10.0, np.inf, np.inf),
    (10.0, 300.0, np.inf),
    (10.0, 30.0, np.inf),
    (10.0, 100.0, 100.0),
    (10.0, 10.0, 10.0),
)
_DRAWS: Final = 200
#: Fewer rows make no metric that is like those of many.
_PART_ROWS: Final = 100
#: The normal quantile of one in ten: what moves more from block to block than nine in ten of such sums by chance.
_ONE_IN_TEN: Final = 1.2815515655446004


def make_performance_reference(
    task: TaskType,
    answers: Any,
    labels: Any,
    *,
    columns: Mapping[str, Any] | None = None,
    types: Mapping[str, ColumnType] | None = None,
    blocks: Any = None,
    threshold: float = 0.5,
    money: Money | None = None,
    classes: Sequence[str] = (),
    seed: int = 0,
) -> PerformanceReference:
    """Return the reference of rows that the model has not learnt from.

    Out-of-fold rows of the training period serve, too, and from many months say more of the next one than a single
    newest month does.

    Parameters
    ----------
    answers, labels : probabilities of the positive class, shape (n,), and 0 or 1; of all classes, shape (n, classes),
        and places of the true ones, STRANGER of one that the model does not know; predicted and true numbers, (n,).
    columns, types : inputs by name and their types, the important ones first.
    blocks : shape (n,), integers in the order of time, such as days: what rows of one share is resampled together.
    classes : names of several classes, in the order of the probabilities; their places where none are given.

    Raises InputError with fewer than LEAST_ROWS rows, or without both a positive and a negative label.
    """
    found, known = known_answers(task, answers)
    truth = np.asarray(labels)
    if known.sum() < LEAST_ROWS:
        raise InputError(f"{known.sum():,} rows with answers are too few for a reference: it needs {LEAST_ROWS}.")
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(known)
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.choice(rows, MOST_ROWS, replace=False))
    found, truth = found[rows], truth[rows]
    if task == "binary" and len(np.unique(truth)) < 2:
        raise InputError("All labels of these rows are alike: nothing can be told of errors. Give more rows.")
    inputs = {name: taken(values, rows) for name, values in (columns or {}).items()}
    outputs, codings = OutputCuts.of(task, found), code_columns(inputs, types or {})
    several: Classes | None = None
    if task == "multiclass":
        several = Classes.of(classes or [str(place) for place in range(found.shape[1])], found, truth)
    layout = Layout.of(task, found, threshold, money, several)
    coded = coded_matrix(codings, inputs, len(found))
    folds, units = _folds(None if blocks is None else np.asarray(blocks)[rows], len(rows), rng)
    weights = _drawn_weights(units, len(rows), rng)
    coefficients, spreads, limits, outside = {}, {}, {}, {}
    targets, shares = targets_of(layout, found, truth), layout.targets
    for name, cuts, design in designs_of(layout, outputs, coded, found):
        logistic = shares[name]
        problem = Problem(design=design, target=targets[name].astype(np.float32), logistic=logistic)
        penalty, outside[name] = _chosen(problem, cuts, folds)
        best = fit(problem, penalty)
        left = float(np.var(problem.target - predicted(design, best, logistic=logistic)))
        others = [
            fit(problem, penalty, weights=each, start=best, towards=drawn_aims(problem, penalty, left, rng), steps=1)
            for each in weights
        ]
        coefficients[name] = np.column_stack([best, *others]).astype(np.float32)
        if not logistic:
            fitted = predicted(design, coefficients[name][:, 0], logistic=False)
            limits[name] = (float(fitted.min() if name == "signed" else max(0.0, fitted.min())), float(fitted.max()))
            spreads[name] = left if name == "signed" else left / max(float(targets[name].mean()) ** 2, 1e-300)
    wander = _wander(layout, found, targets, outside, folds, spreads, rng) if units is not None else {}
    made = PerformanceReference(
        layout=layout, outputs=outputs, codings=codings, coefficients=coefficients,
        spreads=spreads, limits=limits, wander=wander, rows=int(known.sum()),
    )  # fmt: skip
    expected = made.expected(found, inputs)
    baseline = metrics_of(layout, len(found), layout.add_up(found, expected))
    return replace(made, baseline=baseline, scatter=_scatter(layout, found, expected, rng))


def _folds(blocks: Array | None, rows: int, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return the fold of each row, neighbouring blocks together, and the block of each row where there are enough."""
    if blocks is not None:
        units = np.unique(blocks, return_inverse=True)[1]
        count = int(units.max()) + 1
        if count >= _LEAST_BLOCKS:
            shares = np.cumsum(np.bincount(units)) / rows
            return np.minimum((shares * _FOLDS - 1e-9).astype(int), _FOLDS - 1)[units], units
    return rng.permutation(rows) % _FOLDS, None


def _drawn_weights(units: Array | None, rows: int, rng: np.random.Generator) -> list[Array]:
    if units is None:
        return [rng.poisson(1, rows) for _ in range(_REPLICATES)]
    count = int(units.max()) + 1
    return [rng.multinomial(count, np.full(count, 1 / count))[units] for _ in range(_REPLICATES)]


def _chosen(problem: Problem, outputs: OutputCuts, folds: Array) -> tuple[Array, Array]:
    """Return the penalty that does best on folds that it did not see, and what it expects of their rows."""
    bends, inputs = len(outputs.knots), (problem.design.shape[1] - outputs.straight - len(outputs.knots)) // 2
    sizes = (outputs.straight, bends, inputs, inputs)
    penalties = [np.repeat(np.array([0.0, *each]), sizes) for each in (_LADDER if inputs else _LADDER[:2])]
    losses, found = np.zeros(len(penalties)), np.zeros((len(penalties), len(folds)))
    for fold in np.unique(folds):
        outside, inside = np.flatnonzero(folds == fold), problem.part(np.flatnonzero(folds != fold))
        held, near = problem.part(outside), None
        for place, penalty in enumerate(penalties):
            near = fit(inside, penalty, start=near)
            losses[place] += held.loss(near).sum()
            found[place, outside] = predicted(held.design, near, logistic=problem.logistic)
    best = int(np.argmin(losses))
    return penalties[best], found[best]


def _wander(
    layout: Layout,
    answers: Array,
    targets: Mapping[str, Array],
    outside: Mapping[str, Array],
    folds: Array,
    spreads: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return by metric how far blocks lie from their estimates beyond chance (DerSimonian, Laird 1986), if they do."""
    apart: dict[str, list[tuple[float, float]]] = {}
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        true, expected = (
            layout.add_up(answers[rows], {name: part[name][rows, None] for name in part}) for part in (targets, outside)
        )
        found = metrics_of(layout, len(rows), true)
        estimated = metrics_of(layout, len(rows), expected)
        chance = metrics_of(layout, len(rows), drawn(layout, len(rows), expected, spreads, rng, _DRAWS))
        for name in found:
            apart.setdefault(name, []).append((float(found[name][0] - estimated[name][0]), float(np.var(chance[name]))))
    return {name: _beyond_chance(np.array(pairs)) for name, pairs in apart.items()}


def _scatter(
    layout: Layout, answers: Array, expected: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, float]:
    """Return by metric how far parts drawn by chance lie apart in what is expected of them, times the root of rows."""
    parts = np.array_split(rng.permutation(len(answers)), int(np.clip(len(answers) // _PART_ROWS, 4, 40)))
    found: dict[str, list[float]] = {}
    for rows in parts:
        sums = layout.add_up(answers[rows], {name: part[rows, :1] for name, part in expected.items()})
        for name, value in metrics_of(layout, len(rows), sums).items():
            found.setdefault(name, []).append(float(value[0]) * np.sqrt(len(rows)))
    return {name: float(np.std(values, ddof=1)) for name, values in found.items() if np.isfinite(values).all()}


def _beyond_chance(pairs: Array) -> float:
    pairs = pairs[np.isfinite(pairs).all(axis=1) & (pairs[:, 1] > 0)]
    if len(pairs) < _FOLDS // 2:
        return 0.0
    squares, chance, k = pairs[:, 0] ** 2, pairs[:, 1], len(pairs)
    usual = k * (1 - 2 / (9 * k) + _ONE_IN_TEN * np.sqrt(2 / (9 * k))) ** 3  # Wilson, Hilferty 1931
    if (squares / chance).sum() <= usual:
        return 0.0
    return float(np.sqrt(max(0.0, float(np.mean(squares - chance)))))
