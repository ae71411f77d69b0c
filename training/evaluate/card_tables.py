"""The tables of the model card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.contracts.container import EvaluateResult, SegmentResult, TrainResult
from passerelle.contracts.explain import Explanations

MAX_COLUMNS: Final = 10


def candidates(training: TrainResult) -> Iterator[str]:
    """Yield the table of what was tried."""
    yield f"| candidate | {training.metric}, validation | seconds | |"
    yield "|---|---|---|---|"
    for item in training.candidates:
        score = item.validation_metrics.get(training.metric)
        told = "chosen" if item.name == training.chosen else (item.error or "").replace("|", "/").replace("\n", " ")
        yield f"| {item.name} | {'undefined' if score is None else f'{score:.4f}'} | {item.seconds:.1f} | {told} |"


def curve(training: TrainResult) -> Iterator[str]:
    """Yield the table of score v. number of features, nothing where none was drawn."""
    if not training.curve:
        return
    yield from ("", "## Features")
    yield f"| features | {training.metric}, part of the rows | behind the best | as good |"
    yield "|---|---|---|---|"
    for point in training.curve:
        behind = f"{point.behind_best:.4f} ± {point.standard_error:.4f}"
        names, good = ", ".join(point.features), "yes" if point.as_good else "no"
        yield f"| {len(point.features)}: {names} | {point.score:.4f} | {behind} | {good} |"


def metrics(result: EvaluateResult) -> Iterator[str]:
    """Yield the table of the test metrics beside those of baseline and champion."""
    yield "| metric | model | 95 % interval | baseline | champion |"
    yield "|---|---|---|---|---|"
    for name, value in result.test_metrics.items():
        bounds = result.intervals.get(name)
        interval = "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"
        others = (result.baseline_metrics.get(name), result.champion_metrics.get(name))
        shown = " | ".join("" if other is None else f"{other:.4f}" for other in others)
        yield f"| {name} | {value:.4f} | {interval} | {shown} |"


def analyses(result: EvaluateResult) -> Iterator[str]:
    """Yield the table of the segments: the score of each, and how it compares."""
    if not result.segments:
        yield "No segment is declared, or none has enough rows."
        return
    yield f"| segment | rows | {result.metric} | than the baseline | than the champion | verdict |"
    yield "|---|---|---|---|---|---|"
    yield from map(_segment, result.segments)


def _segment(segment: SegmentResult) -> str:
    score = "undefined" if segment.score is None else f"{segment.score:.4f}"
    compared = " | ".join(
        "" if one is None else f"{one.better:+.4f} ({one.lower:+.4f} to {one.upper:+.4f})"
        for one in (segment.baseline, segment.champion)
    )
    worse = " and ".join(segment.worse_than)
    verdict = f"not judged: {segment.not_judged}" if segment.not_judged else (f"worse than {worse}" if worse else "")
    return f"| {segment.column} = {segment.value} | {segment.rows:,} | {score} | {compared} | {verdict} |"


def explanations(explained: Explanations) -> Iterator[str]:
    """Yield what the model looks at most, by both measures."""
    shapley = explained.shapley
    costs = {item.column: item for item in explained.permutation}
    yield f"| input | mean absolute Shapley value ({shapley.space}) | {explained.metric} lost when shuffled |"
    yield "|---|---|---|"
    for name, value in list(shapley.importance.items())[:MAX_COLUMNS]:
        cost = costs[name]
        yield f"| {name} | {value:.4f} | {cost.mean:.4f} ± {cost.deviation:.4f} |"
    yield ""
    yield f"How: {shapley.method}. Figures: shap_importance, shap_beeswarm, permutation_importance, partial_dependence."
