"""The conditions of the gate, each with its figures and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.container import GateCheck, SegmentResult
from passerelle.domain.gate.calibration import Calibration
from passerelle.domain.gate.comparison import Comparison, told
from passerelle.domain.gate.segments import Segment, segment_check
from passerelle.domain.project.training import CalibrationGate, Gate, ValueGate


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found on the test period; None or empty where something could not be compared.

    `outputs` is everything the model gave, for the numerical check. `money` compares what a decision is worth with each
    alternative, in `currency`; `worth` is what one is worth. `resampled` says what the intervals were drawn from,
    `drawn` is the challenger's metric on each resample.
    """

    metric: str
    outputs: npt.NDArray[Any]
    score: float | None
    resampled: str = "rows"
    drawn: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    baseline_score: float | None = None
    champion_score: float | None = None
    rule_score: float | None = None
    baseline: Comparison | None = None
    champion: Comparison | None = None
    rule: Comparison | None = None
    segments: Sequence[Segment] = ()
    judged: Sequence[SegmentResult] = ()
    calibration: Calibration | None = None
    worth: float | None = None
    money: Mapping[str, Comparison] = field(default_factory=dict)
    currency: str = "USD"


def check_gate(gate: Gate, evidence: Evidence) -> tuple[GateCheck, ...]:
    """Return every check with its figures."""
    checks = [_finite(evidence.outputs), _beats_baseline(gate, evidence)]
    if evidence.rule is not None:
        checks.append(_beats_rule(gate, evidence, evidence.rule))
    if evidence.champion is not None:
        checks.append(_not_worse(gate, evidence, evidence.champion))
    if evidence.segments:
        checks.append(segment_check(gate.segments, evidence.metric, evidence.segments, evidence.judged))
    if evidence.calibration is not None:
        checks.append(_calibrated(gate.calibration, evidence.calibration))
    if evidence.money:
        checks.append(_worth_it(gate.value, evidence))
    return tuple(checks)


def _finite(outputs: npt.NDArray[Any]) -> GateCheck:
    bad = int(np.sum(~np.isfinite(outputs)))
    message = "every output is a finite number" if not bad else f"{bad:,} outputs are NaN or infinite"
    return GateCheck(name="finite_outputs", passed=bad == 0, value=float(bad), required=0.0, message=message)


def _beats_baseline(gate: Gate, evidence: Evidence) -> GateCheck:
    metric, required, compared = evidence.metric, gate.beats_baseline_by, evidence.baseline
    if compared is None:
        message = f"{metric} is undefined on the test period, so the baseline cannot be compared"
        return GateCheck(name="beats_baseline", passed=False, value=None, required=required, message=message)
    sure = compared.sureness(required)
    message = (
        f"{metric} {evidence.score:.4f} against {evidence.baseline_score:.4f} of the baseline: {told(compared)}; "
        f"{_sure(sure, gate)} that it is better by the required {required:g}"
    )
    return GateCheck(
        name="beats_baseline",
        passed=sure >= gate.confidence,
        value=compared.better,
        required=required,
        message=message,
    )


def _beats_rule(gate: Gate, evidence: Evidence, compared: Comparison) -> GateCheck:
    """What the business does today costs nothing to go on with: a model must be shown to be better."""
    sure = compared.sureness(0.0)
    message = (
        f"{evidence.metric} {evidence.score:.4f} against {evidence.rule_score:.4f} of the business rule on the same "
        f"rows: {told(compared)}; {_sure(sure, gate)} that it is no worse"
    )
    passed = sure >= gate.confidence
    return GateCheck(name="beats_rule", passed=passed, value=compared.better, required=0.0, message=message)


def _not_worse(gate: Gate, evidence: Evidence, compared: Comparison) -> GateCheck:
    """Non-inferiority by a margin, as sure as the project asks (Piaggio et al. 2012, JAMA 308, CONSORT extension)."""
    allowed = gate.not_worse_than_champion_by
    sure = compared.sureness(-allowed)
    message = (
        f"{evidence.metric} {evidence.score:.4f} against {evidence.champion_score:.4f} of the champion on the same "
        f"rows: {told(compared)}; {_sure(sure, gate)} that it is at most {allowed:g} worse"
    )
    return GateCheck(
        name="not_worse_than_champion",
        passed=sure >= gate.confidence,
        value=compared.better,
        required=-allowed,
        message=message,
    )


def _sure(sure: float, gate: Gate) -> str:
    share = "over 99.9 %" if sure > 0.999 else f"{100 * sure:.1f} %"
    return f"{share} sure (required {100 * gate.confidence:g} %)"


def _calibrated(gate: CalibrationGate, found: Calibration) -> GateCheck:
    passed = found.at_least <= gate.tolerance
    unit = "" if found.what == "probabilities" else " standard deviations of the label"
    message = (
        f"{found.what} are off by {found.error:.4f}{unit}, with 95 % certainty by at least {found.at_least:.4f}, "
        f"tolerated {gate.tolerance:g}; on average {found.said:.4g} was said and {found.seen:.4g} seen"
    )
    return GateCheck(
        name="calibration",
        passed=passed,
        value=found.error,
        required=gate.tolerance,
        message=message,
        severity=gate.severity,
    )


def _worth_it(gate: ValueGate, evidence: Evidence) -> GateCheck:
    """A decision must not be shown to be worth less than that of any alternative: the interval is below the margin."""
    unit = f" {evidence.currency}"
    worse = [name for name, one in evidence.money.items() if one.interval()[1] < -gate.worse_by]
    parts = [f"{told(one, unit)} than {name}" for name, one in evidence.money.items()]
    verdict = f"worth less than {' and '.join(worse)}" if worse else "worth no less than any alternative"
    return GateCheck(
        name="value",
        passed=not worse,
        value=evidence.worth,
        required=None,
        message=f"a decision is worth {evidence.worth:.4g}{unit}: {verdict} ({'; '.join(parts)})",
        severity=gate.severity,
    )


def verdict_in_words(checks: Sequence[GateCheck], not_judged: Sequence[str], resampled: str = "rows") -> str:
    """Return the gate's answer in plain sentences: what decided, what to look at, what was not judged."""
    failed = [check for check in checks if not check.passed and check.severity == "required"]
    warned = [check for check in checks if not check.passed and check.severity == "advisory"]
    required = sum(check.severity == "required" for check in checks)
    if failed:
        words = f"Refused: {len(failed)} of {required} required checks failed. "
        words += " ".join(f"{_sentence(check.message)}" for check in failed)
    else:
        words = f"Passed: all {required} required checks hold, with intervals from resampling {resampled}."
    if warned:
        words += " To look at, though it decides nothing: " + " ".join(_sentence(check.message) for check in warned)
    if not_judged:
        words += f" Not judged: {'; '.join(not_judged[:5])}"
        words += f"; and {len(not_judged) - 5} more." if len(not_judged) > 5 else "."
    return words


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
