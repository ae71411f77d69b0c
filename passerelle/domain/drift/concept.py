"""Why a metric moved, once labels are known: other inputs (covariate drift), or other outcomes of the same (concept).

The reference's model of the label says what each metric should be on the window's rows were the world as it was. What
it says beyond the reference's own rows is the inputs' doing; what the labels then give beyond that is the world's. Both
parts add up to the whole change, exactly. (The decomposition of Cai, Namkoong & Yadlowsky 2023, arXiv 2303.02011, with
the reference's inputs and the window's in this order.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.coarse import taken
from passerelle.domain.drift.estimated import LEAST_ROWS, Expected, chances, expect, need_same_reference, reasons_of
from passerelle.domain.drift.outputs import known_answers
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.sums import metrics_of, targets_of

Array = npt.NDArray[Any]
Why = Literal["", "inputs", "concept", "both"]

_NORMAL_95: Final = 1.959963984540054
_LEVELS: Final = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A window's rows with labels: what was `expected` of them, and what was `true`. Windows add up to longer ones."""

    expected: Expected
    true: Expected

    def __add__(self, other: Confirmed) -> Confirmed:
        """Return the sums of both windows.

        Raises LayoutError where they were made by different references.
        """
        return Confirmed(expected=self.expected + other.expected, true=self.true + other.true)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {"expected": self.expected.to_dict(), "true": self.true.to_dict()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the sums that `to_dict` gave."""
        return cls(expected=Expected.from_dict(found["expected"]), true=Expected.from_dict(found["true"]))


@dataclass(frozen=True, kw_only=True)
class Part:
    """How much of a metric's change one thing makes, with its 95 % interval."""

    value: float
    lower: float
    upper: float

    @property
    def sure(self) -> bool:
        """Whether it is there at all: the interval leaves out nought."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A metric `before`, on the reference's rows, and `now`, and what of the change is by `inputs` and by `concept`.

    Without parts, the `reason` why there are none.
    """

    metric: str
    before: float | None = None
    now: float | None = None
    inputs: Part | None = None
    concept: Part | None = None
    reason: str = ""

    @property
    def why(self) -> Why:
        """Which of both is sure; "" for neither."""
        inputs, concept = (part is not None and part.sure for part in (self.inputs, self.concept))
        if inputs and concept:
            return "both"
        return "inputs" if inputs else "concept" if concept else ""

    @property
    def words(self) -> str:
        """The change in words."""
        if self.inputs is None or self.concept is None or self.before is None or self.now is None:
            return f"{self.metric}: {self.reason}"
        return (
            f"{self.metric} {_figure(self.now)} (before: {_figure(self.before)}): {_told(self.inputs)} as the inputs "
            f"changed, {_told(self.concept)} as the same inputs have other outcomes"
        )


def confirm(
    reference: PerformanceReference, answers: Any, labels: Any, columns: Mapping[str, Any] | None = None
) -> Confirmed:
    """Return what a window's rows with an answer and a label add up to.

    Parameters
    ----------
    labels : 0 or 1; places of the true classes (`Classes.places`); true numbers; NaN where one is not known yet.
        Shape (n,).

    Raises InputError where the answers have not the task's shape.
    """
    task = reference.layout.task
    found, known = known_answers(task, answers)
    truth = np.asarray(labels, np.float64)
    rows = np.flatnonzero(known & np.isfinite(truth))
    found, truth = found[rows], truth[rows]
    inputs = {name: taken(values, rows) for name, values in (columns or {}).items()}
    targets = {name: part[:, None] for name, part in targets_of(reference.layout, found, truth).items()}
    true = Expected(reference_id=reference.id, rows=len(rows), sums=reference.layout.add_up(found, targets))
    return Confirmed(expected=expect(reference, found, inputs), true=true)


def changes(
    reference: PerformanceReference, window: Confirmed, *, seed: int = 0, windows: int = 1
) -> dict[str, Change]:
    """Return by metric how it changed since the reference, and why.

    The inputs' part is as sure as the reference's model of the label is, refitted on drawn blocks, and as what chance
    gives so many rows of the same inputs. The concept's has the chance of the labels besides, and what the metric
    wanders by itself: it is sure where the realised metric lies outside of what `estimate` gives for these rows. Of the
    sums of several `windows` the wandering is less.

    Raises LayoutError for a window of another reference.
    """
    need_same_reference(reference, window.expected)
    layout, rows = reference.layout, window.expected.rows
    if rows < LEAST_ROWS:
        reason = f"{rows} rows with a label are too few: {LEAST_ROWS} are needed."
        return {name: Change(metric=name, reason=reason) for name in reference.baseline}
    every = metrics_of(layout, rows, window.expected.sums)
    true = metrics_of(layout, rows, window.true.sums)
    rng = np.random.default_rng(seed)
    draws = chances(reference, window.expected, rng, windows=windows)
    reasons = reasons_of(layout, window.true.sums)
    root = np.sqrt(1 / rows + 1 / reference.rows)
    scatter = {name: float(root * spread) for name, spread in reference.scatter.items()}
    return {
        name: Change(metric=name, reason=reasons[name])
        if name in reasons
        else _change(name, (before, every[name]), float(true[name][0]), draws[name], scatter.get(name, 0.0))
        for name, before in reference.baseline.items()
    }


def _change(name: str, expected_then_and_now: tuple[Array, Array], now: float, draws: Array, scatter: float) -> Change:
    before, every = expected_then_and_now
    apart, draws = every - before, draws[np.isfinite(draws)]
    if not (np.isfinite(apart).all() and np.isfinite(now) and len(draws)):
        return Change(metric=name, reason="These rows leave it undefined.")
    inputs, expected = float(apart[0]), float(every[0])
    half = _NORMAL_95 * float(np.hypot(np.std(apart[1:], ddof=1), scatter))
    low, high = (float(bound) for bound in np.quantile(draws, _LEVELS))
    concept = now - expected
    return Change(
        metric=name,
        before=float(before[0]),
        now=now,
        inputs=Part(value=inputs, lower=inputs - half, upper=inputs + half),
        concept=Part(value=concept, lower=min(concept, now - high), upper=max(concept, now - low)),
    )


def _told(part: Part) -> str:
    value, lower, upper = (_figure(each) for each in (part.value, part.lower, part.upper))
    return f"{'' if part.value < 0 else '+'}{value} ({lower} to {upper})"


def _figure(value: float) -> str:
    return (f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}").replace("-", "−")
