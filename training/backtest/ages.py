"""Train at the end of each period of the past, score on the periods that followed, judge how the model ages."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from passerelle.contracts.backtest import BacktestCell, BacktestQuestion, BacktestResult, Staleness
from passerelle.contracts.container import CandidateResult
from passerelle.domain.monitoring.staleness import Judged, judge_staleness
from passerelle.domain.resampled import resampled_scores
from passerelle.domain.resampling import Blocks, draw_weights
from training.backtest.periods import Periods, cut, learnt_from
from training.evaluate.money import row_money
from training.progress import tell
from training.train.context import Context
from training.train.data import Rows, make_signature
from training.train.fit import fit_candidate, primary_score
from training.train.predict import Predicted

#: The first model of the past learns from this share of the periods: one of hardly any rows is not like the champion.
FIRST: Final = 1 / 3
#: The newest trainings are enough to see how a model ages, and so many ages.
MOST_TRAININGS: Final = 24
MOST_AGES: Final = 12
LEAST_TRAIN_ROWS: Final = 100
#: A period of fewer rows, or of less than this share of a usual one, is none to score on: mostly one that is cut off.
LEAST_ROWS: Final = 30
LEAST_SHARE: Final = 0.1
#: The standard error of a difference is then itself uncertain by 7 %.
RESAMPLES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a back-test works on: the champion's candidate and threshold, the context of its fits, all rows in order."""

    question: BacktestQuestion
    candidate: CandidateResult
    threshold: float | None
    context: Context
    rows: Rows


@dataclass(frozen=True)
class Scored:
    """The rows of a period, and how they are drawn again: the same way for every model."""

    places: slice
    rows: Rows
    blocks: Blocks


def backtest(asked: Asked, started: float) -> BacktestResult:
    """Train at the end of each period but the first ones, score on those that follow, and judge.

    The newest training comes first: should time run out, what is left out is the oldest past.
    """
    question, context, notes = asked.question, asked.context, list[str]()
    periods = cut(asked.rows.times, question.period)
    scored = _scored(asked, periods)
    first = max(0, int(np.ceil(FIRST * len(periods.names))) - 1)
    ends = list(range(max(scored, default=0) - 1, first - 1, -1))[:MOST_TRAININGS]
    tell("backtest_planned", candidate=asked.candidate.name, trainings=len(ends), periods=len(periods.names))
    cells, longest = list[BacktestCell](), 0.0
    for number, end in enumerate(ends, start=1):
        begun = time.monotonic()
        if begun + longest - started > question.seconds:
            notes.append(f"Models that learnt up to {periods.names[end]} or less were left out: time ran out.")
            break
        found, why = _aged(asked, periods, scored, end)
        cells += found
        notes += [f"No model that learnt up to {periods.names[end]}: {why}"] if why else []
        longest = max(longest, time.monotonic() - begun)
        tell(
            "model_aged",
            trained=periods.names[end],
            done=number,
            of=len(ends),
            scored=len(found),
            fresh=next((cell.score for cell in found if cell.age == 1), None),
            why=why,
            seconds=round(time.monotonic() - begun, 2),
        )
    return BacktestResult(
        project=question.project,
        run_id=question.run_id,
        dataset_id=question.dataset_id,
        candidate=asked.candidate.name,
        metric=context.project.task.metric,
        greater_is_better=context.project.greater_is_better,
        period=question.period,
        window=question.window,
        periods=periods.names,
        cells=tuple(sorted(cells, key=lambda cell: (cell.trained, cell.scored))),
        staleness=_judge(asked, cells),
        notes=tuple(notes),
    )


def _scored(asked: Asked, periods: Periods) -> dict[int, Scored]:
    """Return the periods with rows enough to score on; rows are in the order of time, so each is a slice of them."""
    found, by = {}, asked.context.project.training.resample_by
    edges = np.searchsorted(periods.of_row, np.arange(len(periods.names) + 1))
    least = max(LEAST_ROWS, LEAST_SHARE * np.median(np.diff(edges)))
    for period, (begin, end) in enumerate(itertools.pairwise(edges)):
        if end - begin >= least:
            rows = asked.rows.take(slice(begin, end))
            found[period] = Scored(slice(begin, end), rows, rows.blocks(by))
    return found


def _aged(asked: Asked, periods: Periods, scored: dict[int, Scored], end: int) -> tuple[list[BacktestCell], str]:
    """Train at the end of a period and score on later ones; says why where nothing came of it."""
    later = [period for period in range(end + 1, end + 1 + MOST_AGES) if period in scored]
    label = asked.context.project.data.label
    chosen = learnt_from(asked.rows.times, periods, end, window=asked.question.window, known_after=label.known_after)
    if not later or chosen.sum() < LEAST_TRAIN_ROWS:
        return [], f"{chosen.sum():,} rows to learn from, {len(later)} later periods with rows enough."
    first, last = scored[later[0]].places.start, scored[later[-1]].places.stop
    try:
        train = asked.rows.take(chosen)
        signature = asked.context.signature
        classes = make_signature(asked.context.project, signature.model_inputs, train.labels).classes
        context = replace(
            asked.context,
            signature=signature.replaced(classes=classes),
            train=train,
            validation=asked.rows.take(slice(first, last)),
        )
        fitted = fit_candidate(asked.candidate.kind or asked.candidate.name, context, asked.candidate.overrides)
    except Exception as error:  # whatever a library raises; being stopped is no Exception
        return [], f"{type(error).__name__}: {error}"
    cells = []
    for period in later:
        here = scored[period]
        said = _part(fitted.validation, slice(here.places.start - first, here.places.stop - first))
        cell = _cell(asked, here, said, end, period, int(chosen.sum()))
        cells += [cell] if cell is not None else []
    return cells, "" if cells else f"{context.project.task.metric} is undefined on all later periods."


def _part(predicted: Predicted, places: slice) -> Predicted:
    shares = predicted.probabilities
    return Predicted(predicted.predictions[places], None if shares is None else shares[places], predicted.classes)


def _cell(
    asked: Asked, here: Scored, said: Predicted, trained: int, period: int, trained_rows: int
) -> BacktestCell | None:
    context = asked.context
    project, task = context.project, context.project.task
    score = primary_score(context, here.rows, said)
    if score is None or not np.isfinite(score):
        return None
    drawn = resampled_scores(
        task.metric,
        task.type,
        here.rows.labels,
        said.predictions,
        said.probabilities,
        said.classes,
        blocks=here.blocks,
        weights=draw_weights(here.blocks, seed=context.seed, rounds=RESAMPLES),
        defined=True,
    )
    money = row_money(project, here.rows.labels, said, asked.threshold)
    known = bool(np.all(np.isfinite(drawn)))
    return BacktestCell(
        trained=trained,
        scored=period,
        score=score,
        rows=len(here.rows.labels),
        standard_error=float(np.std(drawn, ddof=1)) if known else None,
        resamples=tuple(float(value) for value in drawn) if known else (),
        worth=float(np.mean(money)) if money is not None and np.all(np.isfinite(money)) else None,
        trained_rows=trained_rows,
    )


def _judge(asked: Asked, cells: list[BacktestCell]) -> Staleness:
    project, question = asked.context.project, asked.question
    value = project.why.value
    return judge_staleness(
        cells,
        Judged(
            metric=project.task.metric,
            greater_is_better=project.greater_is_better,
            period=question.period,
            limit=question.limit,
            # What a training costs is known in dollars.
            training_cost=question.training_usd if value is not None and value.currency == "USD" else None,
        ),
    )
