"""The gate: what a model must show on the newest period before it may reach an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.container import GateCheck
from passerelle.domain.project.training import Gate

#: A segment may be this much worse than guessing: noise, not collapse.
SEGMENT_TOLERANCE: Final = 0.02
#: Metrics in the label's own unit, for which the tolerance is a share of the score.
_IN_LABEL_UNITS: Final = ("rmse", "mae", "median_absolute_error")


def check_gate(
    gate: Gate,
    *,
    metric: str,
    greater_is_better: bool,
    candidate: float | None,
    baseline: float | None,
    champion_difference: tuple[float, float] | None,
    outputs: npt.NDArray[Any],
    segments: Sequence[Mapping[str, Any]] = (),
) -> tuple[GateCheck, ...]:
    """Return every check with its figures.

    Parameters
    ----------
    candidate, baseline : the metric on the test period; None when it is undefined there.
    champion_difference : (how much better than the champion, its 95 % lower bound), signed so that more is better;
        None when there is no champion.
    outputs : everything the model gave on the test period, for the numerical check.
    """
    sign = 1.0 if greater_is_better else -1.0
    checks = [_finite(outputs), _beats_baseline(gate, metric, sign, candidate, baseline)]
    if champion_difference is not None:
        checks.append(_not_worse(gate, metric, champion_difference))
    checks += [_segment(segment, metric) for segment in segments if segment.get("score") is not None]
    return tuple(checks)


def _finite(outputs: npt.NDArray[Any]) -> GateCheck:
    bad = int(np.sum(~np.isfinite(outputs)))
    message = "every output is a finite number" if not bad else f"{bad:,} outputs are NaN or infinite"
    return GateCheck(name="finite_outputs", passed=bad == 0, value=float(bad), required=0.0, message=message)


def _beats_baseline(gate: Gate, metric: str, sign: float, candidate: float | None, baseline: float | None) -> GateCheck:
    if candidate is None or baseline is None:
        message = f"{metric} is undefined on the test period, so the baseline cannot be compared"
        return GateCheck(
            name="beats_baseline", passed=False, value=None, required=gate.beats_baseline_by, message=message
        )
    better = sign * (candidate - baseline)
    passed = better >= gate.beats_baseline_by
    message = (
        f"{metric} {candidate:.4f} against {baseline:.4f} of the baseline: {'better' if better >= 0 else 'worse'} by "
        f"{abs(better):.4f}, required {gate.beats_baseline_by:g}"
    )
    return GateCheck(
        name="beats_baseline", passed=passed, value=better, required=gate.beats_baseline_by, message=message
    )


def _not_worse(gate: Gate, metric: str, difference: tuple[float, float]) -> GateCheck:
    better, lower = difference
    passed = better >= -gate.not_worse_than_champion_by
    message = (
        f"{metric} {'better' if better >= 0 else 'worse'} than the champion by {abs(better):.4f} on the same rows "
        f"(95 % lower bound {lower:+.4f}); at most {gate.not_worse_than_champion_by:g} worse is allowed"
    )
    return GateCheck(
        name="not_worse_than_champion",
        passed=passed,
        value=better,
        required=-gate.not_worse_than_champion_by,
        message=message,
    )


def _segment(segment: Mapping[str, Any], metric: str) -> GateCheck:
    """A segment fails only when the model is worse there than guessing is."""
    unit = abs(float(segment["score"])) if metric in _IN_LABEL_UNITS else 1.0
    passed = bool(segment["better_than_baseline"] >= -SEGMENT_TOLERANCE * unit)
    words = "no worse" if passed else "worse"
    return GateCheck(
        name=f"segment:{segment['column']}={segment['value']}",
        passed=passed,
        value=float(segment["score"]),
        required=None,
        message=f"{metric} {segment['score']:.4f} on {segment['rows']:,} rows of {segment['column']} = "
        f"{segment['value']}: {words} than the baseline there",
    )
