"""How good a model is on rows whose labels are not known yet, with 95 % intervals; and how good it was, when they are.

An estimate holds as far as P(label | score, inputs) is that of the reference: where the world itself has changed
(concept drift), nothing in scores and inputs says so, and only labels do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.classes import METRICS, OF_EACH_CLASS
from passerelle.domain.drift.coarse import taken
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.outputs import known_answers
from passerelle.domain.drift.packed import pack, unpack
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.sums import Layout, Sums, drawn, metrics_of, targets_of

if TYPE_CHECKING:
    from passerelle.contracts.bundle import TaskType

Array = npt.NDArray[Any]

#: Of fewer rows an estimate says little more than its interval.
LEAST_ROWS: Final = 30
#: A ranking needs so many of each kind.
LEAST_OF_A_KIND: Final = 5
_DRAWS: Final = 1_000
_LEVELS: Final = (0.025, 0.975)
#: Sums with a column for each replicate.
_BY_COLUMN: Final[Mapping[TaskType, tuple[str, ...]]] = {
    "binary": ("positive", "log_odds", "shares"),
    "multiclass": ("correct", "log_loss", "found", "held", "strange"),
    "regression": ("absolute", "squared", "signed", "signed_times"),
}
_OF_BOTH_KINDS: Final = ("roc_auc", "average_precision", "balanced_accuracy", "recall", "f1", "precision")
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(
        ("roc_auc", "average_precision", "brier", "accuracy", "precision", "recall", "f1", "positive_rate"), (0.0, 1.0)
    ),
    **dict.fromkeys(OF_EACH_CLASS, (0.0, 1.0)),
    **dict.fromkeys(("log_loss", "mae", "rmse"), (0.0, np.inf)),
    "r2": (-np.inf, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric with its 95 % interval, or the `reason` why there is none."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a window adds up to; windows of one reference add up to longer ones. `unscored` rows had no answer."""

    reference_id: str
    rows: int = 0
    unscored: int = 0
    sums: Mapping[str, Array] = field(default_factory=dict)

    def __add__(self, other: Expected) -> Expected:
        """Return the sums of both windows.

        Raises LayoutError where they were made by different references.
        """
        if self.reference_id != other.reference_id:
            raise LayoutError(
                f"These windows were added up by different references ({self.reference_id} and {other.reference_id}). "
                "Add both up by one model's reference."
            )
        sums = {name: part + other.sums[name] for name, part in self.sums.items()}
        return Expected(
            reference_id=self.reference_id,
            rows=self.rows + other.rows,
            unscored=self.unscored + other.unscored,
            sums=sums,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        sums = {name: pack(part) for name, part in self.sums.items()}
        return {"reference_id": self.reference_id, "rows": self.rows, "unscored": self.unscored, "sums": sums}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the sums that `to_dict` gave."""
        return cls(**{**found, "sums": {name: unpack(part) for name, part in found["sums"].items()}})


def expect(reference: PerformanceReference, answers: Any, columns: Mapping[str, Any] | None = None) -> Expected:
    """Return what a window of answers adds up to; an input that is absent counts as the reference's usual ones.

    Parameters
    ----------
    answers : probabilities of the positive class, shape (n,), of all classes, shape (n, classes), or predictions.

    Raises InputError where the answers have not the task's shape.
    """
    found, known = known_answers(reference.layout.task, answers)
    inputs = columns or {}
    if not known.all():
        rows = np.flatnonzero(known)
        inputs = {name: taken(values, rows) for name, values in inputs.items()}
    expected = reference.expected(found[known], inputs)
    sums = reference.layout.add_up(found[known], expected)
    rows_with = int(known.sum())
    return Expected(reference_id=reference.id, rows=rows_with, unscored=len(known) - rows_with, sums=sums)


def estimate(reference: PerformanceReference, window: Expected, *, seed: int = 0) -> dict[str, Estimate]:
    """Return each metric as estimated: of classification at the model's threshold, worth per row.

    The interval is for the figure that the labels will give. It has the chance of the labels, the uncertainty of the
    reference, and what the metric usually wanders from one part of the reference's time to another.

    Raises LayoutError for a window of another reference.
    """
    need_same_reference(reference, window)
    layout = reference.layout
    if window.rows < LEAST_ROWS:
        return {
            name: Estimate(reason=f"{window.rows} rows with an answer are too few: {LEAST_ROWS} are needed.")
            for name in _names(layout)
        }
    rng = np.random.default_rng(seed)
    main = _column(window.sums, layout)
    found = metrics_of(layout, window.rows, main)
    draws = chances(reference, window, rng)
    reasons = reasons_of(layout, main)
    return {
        name: Estimate(reason=reasons[name]) if name in reasons else _estimate(name, float(values[0]), draws[name])
        for name, values in found.items()
    }


def realised(reference: PerformanceReference, answers: Any, labels: Any) -> dict[str, Estimate]:
    """Return each metric as the labels give it, by the same sums, to compare with what was estimated.

    Parameters
    ----------
    labels : 0 or 1; places of the true classes, STRANGER of one that the model does not know; true numbers. All known:
        leave other rows out.
    """
    layout = reference.layout
    found, known = known_answers(layout.task, answers)
    if known.sum() < 1:
        return {name: Estimate(reason="No row has an answer.") for name in _names(layout)}
    truth = targets_of(layout, found[known], np.asarray(labels)[known])
    sums = layout.add_up(found[known], {name: part[:, None] for name, part in truth.items()})
    reasons = reasons_of(layout, sums, least=1)
    metrics = metrics_of(layout, int(known.sum()), sums)
    return {
        name: Estimate(reason=reasons[name])
        if name in reasons
        else Estimate(value=float(values[0]))
        if np.isfinite(values[0])
        else Estimate(reason="These rows leave it undefined.")
        for name, values in metrics.items()
    }


def need_same_reference(reference: PerformanceReference, window: Expected) -> None:
    """Raise LayoutError for a window of another reference."""
    if window.reference_id != reference.id:
        raise LayoutError(
            f"This window was added up by the reference {window.reference_id}, not by this model's. Add it up again."
        )


def chances(
    reference: PerformanceReference, window: Expected, rng: np.random.Generator, *, windows: int = 1
) -> dict[str, Array]:
    """Return by metric what the labels may give, in draws: their chance, the reference's, and usual wandering.

    Sums of several `windows` wander less: each goes its own way.
    """
    layout, spreads = reference.layout, reference.spreads
    found = metrics_of(layout, window.rows, drawn(layout, window.rows, window.sums, spreads, rng, _DRAWS))
    wander = {name: reference.wander.get(name, 0.0) / np.sqrt(windows) for name in found}
    return {name: draws + wander[name] * rng.standard_normal(len(draws)) for name, draws in found.items()}


def reasons_of(layout: Layout, sums: Mapping[str, Array], least: int = LEAST_OF_A_KIND) -> dict[str, str]:
    """Return by metric why these sums make none of it."""
    if layout.classes is not None:
        return layout.classes.reasons(sums, least)
    if layout.task != "binary":
        return {}
    hits, cells = float(sums["positive"][0].sum()), float(sums["cells"].sum())
    kinds = {"positives": hits, "negatives": cells - hits}
    reasons: dict[str, str] = {}
    for kind, count in kinds.items():
        if count < least:
            reasons |= dict.fromkeys(_OF_BOTH_KINDS, f"About {count:.1f} {kind}: {least} are needed.")
    if np.count_nonzero(sums["cells"]) == 1:
        reasons |= dict.fromkeys(("roc_auc", "average_precision"), "All scores are alike: they rank nothing.")
    return reasons


def _estimate(name: str, value: float, draws: Array) -> Estimate:
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(draws) < _DRAWS // 2:
        return Estimate(reason="These rows leave it undefined.")
    low, high = np.quantile(draws, _LEVELS)
    least, most = _RANGES.get(name, (-np.inf, np.inf))
    return Estimate(value=value, lower=float(np.clip(low, least, value)), upper=float(np.clip(high, value, most)))


def _column(sums: Mapping[str, Array], layout: Layout) -> Sums:
    """Return the sums of the second model itself, without its replicates."""
    several = _BY_COLUMN[layout.task]
    return {name: part[:1] if name in several else part for name, part in sums.items()}


def _names(layout: Layout) -> list[str]:
    if layout.task == "multiclass":
        return list(METRICS)
    worth = ["value"] if layout.money else []
    if layout.task == "regression":
        return ["mae", "rmse", "r2", *worth]
    of_scores = ["roc_auc", "average_precision", "log_loss", "brier"]
    return [*of_scores, "accuracy", "balanced_accuracy", "precision", "recall", "f1", "positive_rate", *worth]
