"""Is a model worse on a segment, or is that what chance gives when many segments are looked at?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from passerelle.contracts.container import GateCheck, SegmentResult
from passerelle.domain.gate.comparison import Comparison, told
from passerelle.domain.project.training import SegmentGate

#: Metrics in the label's own unit, for which the tolerance is a share of the score.
_IN_LABEL_UNITS: Final = ("rmse", "mae", "median_absolute_error")
#: A message names so many segments; all are in the result and on the model card.
_NAMED: Final = 10


@dataclass(frozen=True)
class Segment:
    """The rows of one value of a segment column, compared with `baseline` and `champion` where that can be done."""

    column: str
    value: str
    rows: int
    score: float | None = None
    against: Mapping[str, Comparison] | None = None
    not_judged: str = ""

    @property
    def name(self) -> str:
        return f"{self.column} = {self.value}"


def judge_segments(gate: SegmentGate, metric: str, segments: Sequence[Segment]) -> tuple[SegmentResult, ...]:
    """Return every segment with its verdict.

    Of m comparisons of models that are equal, m / 20 are significant at 5 %. The p-values of all segments and
    comparisons are therefore adjusted together (Benjamini & Hochberg 1995, Journal of the Royal Statistical Society B
    57; valid for the positive dependence of overlapping segments: Benjamini & Yekutieli 2001, Annals of Statistics 29).
    A segment is worse when that is significant and by more than `worse_by`.
    """
    from scipy import stats

    tests = [(place, name, one) for place, segment in enumerate(segments) for name, one in _against(segment).items()]
    adjusted = stats.false_discovery_control([one.p_worse() for _, _, one in tests]) if tests else np.asarray([])
    values: list[dict[str, float]] = [{} for _ in segments]
    worse: list[list[str]] = [[] for _ in segments]
    for (place, name, one), p_value in zip(tests, adjusted, strict=True):
        values[place][name] = float(p_value)
        score = segments[place].score
        unit = abs(score) if metric in _IN_LABEL_UNITS and score is not None else 1.0
        if p_value <= gate.false_discovery_rate and one.better < -gate.worse_by * unit:
            worse[place].append(name)
    return tuple(
        SegmentResult(
            column=segment.column,
            value=segment.value,
            rows=segment.rows,
            score=segment.score,
            **{name: one.figures() for name, one in _against(segment).items()},
            adjusted=values[place],
            worse_than=tuple(worse[place]),
            not_judged=segment.not_judged,
        )
        for place, segment in enumerate(segments)
    )


def _against(segment: Segment) -> Mapping[str, Comparison]:
    return segment.against or {}


def segment_check(
    gate: SegmentGate, metric: str, segments: Sequence[Segment], results: Sequence[SegmentResult]
) -> GateCheck:
    """Return one check over all segments that names those which are worse."""
    judged = sum(not result.not_judged for result in results)
    found = [
        f"{segment.name} ({segment.rows:,} rows, {metric} {segment.score:.4f}): {told(one)} "
        f"than the {name}, adjusted p {result.adjusted[name]:.2g}"
        for segment, result in zip(segments, results, strict=True)
        for name, one in _against(segment).items()
        if name in result.worse_than
    ]
    bad = sum(bool(result.worse_than) for result in results)
    rate = f"false-discovery rate {gate.false_discovery_rate:g}"
    if bad:
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        message = f"{bad} of {judged} segments worse by more than {gate.worse_by:g} ({rate}): "
        message += "; ".join(found[:_NAMED]) + more
    elif judged:
        message = f"none of {judged} segments is worse by more than {gate.worse_by:g} ({rate})"
    else:
        message = "no segment could be judged"
    return GateCheck(
        name="segments", passed=not bad, value=float(bad), required=0.0, message=message, severity=gate.severity
    )
