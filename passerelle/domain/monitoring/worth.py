"""What a window says of the model's worth: what its metric lost since the model was accepted, and how bad that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from passerelle.domain.drift.classes import OF_EACH_CLASS
from passerelle.domain.drift.concept import Change
from passerelle.domain.drift.effect import Effect
from passerelle.domain.drift.estimated import Estimate
from passerelle.domain.drift.signal import Signal, severity_of
from passerelle.domain.monitoring.retraining import Loss

#: Metrics whose losses are told in points; all others as shares of what they were.
_POINTS: Final = frozenset(
    {"roc_auc", "average_precision", "brier", "f1", "accuracy", "precision", "recall", "r2", *OF_EACH_CLASS}
)
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The metric that a project is judged by, which way it is better, and which losses are minor, moderate, major."""

    metric: str
    greater_is_better: bool
    limits: tuple[float, float, float]

    def loss(self, found: Mapping[str, Estimate], before: Mapping[str, float]) -> Loss | None:
        """Return how much worse the metric is than before, None where it is not known."""
        estimate, was = found.get(self.metric), before.get(self.metric)
        if estimate is None or was is None or not math.isfinite(was):
            return None
        if estimate.value is None or estimate.lower is None or estimate.upper is None:
            return None
        unit = 1.0 if self.metric in _POINTS else abs(was)
        if not unit:
            return None
        ends = [(was - value if self.greater_is_better else value - was) / unit for value in
                (estimate.value, estimate.lower, estimate.upper)]  # fmt: skip
        return Loss(value=ends[0], lower=min(ends[1:]), upper=max(ends[1:]))

    def signal(self, kind: Literal["estimated", "realised"], loss: Loss, now: Estimate, before: float) -> Signal:
        """Return the signal of a loss: it alarms when it is large enough and its whole interval lies above nought."""
        spread = (loss.upper - loss.lower) / (2 * _NORMAL_95)
        # Two-sided, of a normal law with the interval's width.
        p_value = math.erfc(abs(loss.value) / spread / math.sqrt(2)) if spread > 0 else float(loss.value == 0)
        severity = severity_of(loss.value, self.limits)
        how = "probably " if kind == "estimated" else ""
        return Signal(
            column="",
            kind=kind,
            effect=Effect(value=loss.value, lower=loss.lower, upper=loss.upper),
            p_value=p_value,
            adjusted_p_value=p_value,
            severity=severity,
            alarm=severity != "none" and loss.lower > 0,
            current=now.value,
            reference=before,
            words=(
                f"{self.metric} is {how}{now.value:.4g} ({now.lower:.4g} to {now.upper:.4g}); it was {before:.4g} when "
                "the model was accepted"
            ),
        )


def realised_figure(change: Change) -> Estimate | None:
    """Return a metric as labels show it, with the interval that both parts of its change have together.

    None where too few labels are known.
    """
    if change.now is None or change.inputs is None or change.concept is None:
        return None
    half = math.hypot(*((part.upper - part.lower) / 2 for part in (change.inputs, change.concept)))
    return Estimate(value=change.now, lower=change.now - half, upper=change.now + half)
