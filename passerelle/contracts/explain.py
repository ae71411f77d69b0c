"""explanations.json: what `evaluate` found out about why a model answers as it does."""

from __future__ import annotations

from typing import Any, Final

from passerelle.contracts.base import Contract

EXPLANATIONS_FILE: Final = "explanations.json"


class Shapley(Contract):
    """Shapley values of a seeded sample of test rows.

    `importance` is the mean absolute value by input column, over the outputs their sum. `outputs` are the positive
    class, the classes, or "prediction"; `base` has one figure for each.
    """

    method: str
    space: str
    rows: int
    outputs: tuple[str, ...]
    base: tuple[float, ...]
    importance: dict[str, float]


class PermutationCost(Contract):
    """How much worse the metric is with one column shuffled: mean and standard deviation of the repeats."""

    column: str
    mean: float
    deviation: float


class DependenceCurve(Contract):
    """The mean answer as one column moves (or one part of a datetime), and the answers of single rows.

    `mean` has a list for each point of `grid`, with one answer for each output; `rows` a list for each row, with the
    answers of the last output.
    """

    column: str
    part: str | None = None
    grid: tuple[Any, ...]
    mean: tuple[tuple[float, ...], ...]
    rows: tuple[tuple[float, ...], ...] = ()


class LocalSurrogate(Contract):
    """LIME of one row: what it does to the answer that a column is as it is; `fit` is the weighted R²."""

    weights: dict[str, float]
    fit: float


class ExplainedRow(Contract):
    """One test row as an example: its inputs, what they contributed to one output, and LIME where it was asked for."""

    why_chosen: str
    inputs: dict[str, Any]
    output: str
    base: float
    total: float
    contributions: dict[str, float]
    lime: LocalSurrogate | None = None


class Explanations(Contract):
    """The content of explanations.json."""

    candidate: str
    metric: str
    shapley: Shapley
    permutation: tuple[PermutationCost, ...]
    permutation_rows: int
    dependence: tuple[DependenceCurve, ...]
    examples: tuple[ExplainedRow, ...]
    seconds: float = 0.0
