"""Two profiles of one layout, compared column by column: every difference with its effect and its p-value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.effect import Effect, moved_share, share_change
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.layout import pair_name
from passerelle.domain.drift.levels import LevelCounts, cells_beside
from passerelle.domain.drift.numbers import NumberCounts
from passerelle.domain.drift.pairs import dependence
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.segment_signals import segment_signals
from passerelle.domain.drift.signal import Kind, Signal
from passerelle.domain.drift.tails import all_drawn, binomial_tail, same_share
from passerelle.domain.drift.tested import RareLevels, levels_p_value, ordered_p_value
from passerelle.domain.drift.worded import cells_in_words, levels_in_words, share_in_words

Array = npt.NDArray[Any]

#: Fewer rows than these do not make a column constant: a rare level is missing from them by chance.
_CONSTANT_ROWS = 30
_ALL = Effect(value=1.0, lower=1.0, upper=1.0)


def compare(reference: Reference, window: Profile) -> list[Signal]:
    """Return every difference that could be looked for, alarming or not; what alarms is `judged.judge`'s to say.

    Raises LayoutError where the window was counted by another reference.
    """
    if window.layout_id != reference.layout.id:
        raise LayoutError(
            f"This window was counted by the reference {window.layout_id}, and is compared with "
            f"{reference.layout.id}: another model's, or one of another schema. Count it by this model's reference."
        )
    return [*_columns(reference, window), *_pairs(reference, window), *segment_signals(reference, window)]


def _columns(reference: Reference, window: Profile) -> Iterator[Signal]:
    for name, cuts in reference.layout.columns.items():
        current, before = window.columns[name], reference.profile.columns[name]
        rows = window.rows
        if rows and window.absent.get(name) == rows:
            yield Signal(column=name, kind="lost", effect=_ALL, p_value=0.0, words="the column is gone")
            continue
        usual = reference.usual.get(name, 0.0)
        if isinstance(cuts, NumberCuts) and isinstance(current, NumberCounts) and isinstance(before, NumberCounts):
            yield from _numbers(name, cuts, current, before, usual)
        elif isinstance(cuts, LevelCuts) and isinstance(current, LevelCounts) and isinstance(before, LevelCounts):
            yield from _levels(name, cuts, current, before, usual)
        else:
            yield _share(name, "missing", current.missing, current.rows, before.missing, before.rows)
    for name, rows in window.extra.items():
        effect = Effect(value=rows / window.rows, lower=0.0, upper=1.0)
        yield Signal(column=name, kind="new", effect=effect, p_value=1.0, words="no column of the training data")


def _numbers(
    name: str, cuts: NumberCuts, current: NumberCounts, before: NumberCounts, usual: float
) -> Iterator[Signal]:
    rows, rows_before = current.rows, before.rows
    empty = bool(rows) and not current.finite
    if empty and before.finite:
        yield _empty(name, rows, before.missing, rows_before)
    else:
        yield _share(name, "missing", current.missing, rows, before.missing, rows_before)
    yield _share(name, "invalid", current.invalid, rows, before.invalid, rows_before)
    infinite, infinite_before = current.below + current.above, before.below + before.above
    yield _share(name, "infinite", infinite, rows, infinite_before, rows_before)
    if not current.finite or not before.finite:
        return
    tail, tail_before = (
        int(each.cells[: cuts.low].sum() + each.cells[len(each.cells) - cuts.high :].sum())
        for each in (current, before)
    )
    yield _share(name, "tail", tail, current.finite, tail_before, before.finite)
    varied = before.least != before.greatest
    constant = varied and current.finite >= _CONSTANT_ROWS and current.least == current.greatest
    yield Signal(
        column=name,
        kind="constant" if constant else "distribution",
        effect=moved_share(current.cells, before.cells, ordered=True),
        p_value=ordered_p_value(current.cells, before.cells, (cuts.low, cuts.high)),
        usual=usual,
        words=cells_in_words(cuts, current, before),
    )


def _levels(name: str, cuts: LevelCuts, current: LevelCounts, before: LevelCounts, usual: float) -> Iterator[Signal]:
    rows, rows_before = current.rows, before.rows
    if rows and not current.held and before.held:
        yield _empty(name, rows, before.missing, rows_before)
        return
    yield _share(name, "missing", current.missing, rows, before.missing, rows_before)
    if not current.held or not before.held:
        return
    yield _unseen(name, cuts, current, before.held)
    cells, cells_before = cells_beside(cuts, current, before)
    together, together_before = (_rest_together(each, len(cuts.levels)) for each in (cells, cells_before))
    variances = np.array([each.variance for each in cuts.classes[::-1]])
    rare = RareLevels(len(cuts.levels), cuts.distinct, variances) if cuts.classes else None
    constant = current.held >= _CONSTANT_ROWS and current.distinct == 1 and cuts.distinct > 1
    yield Signal(
        column=name,
        kind="constant" if constant else "distribution",
        # Foretold counts have the reference's order: one by both windows would sort by what the window has by chance.
        effect=moved_share(cells, cells_before, ordered=bool(cuts.classes)),
        p_value=levels_p_value(cells, cells_before, rare),
        usual=usual,
        words=levels_in_words(cuts.levels, together, together_before),
    )


def _rest_together(cells: Array, levels: int) -> Array:
    return np.append(cells[:levels], cells[levels:].sum())


def _unseen(name: str, cuts: LevelCuts, current: LevelCounts, held_before: int) -> Signal:
    """Two ways to be news: more levels than a reference of this size leaves unseen (Good 1953), or one of many rows.

    Of a level that both windows share, all rows are in one of them with the probability of a draw without return.
    """
    expected = (cuts.singles + 1) / (held_before + 1)
    most, levels = max(current.news.values(), default=0), cuts.distinct + len(current.news)
    drawn = all_drawn(most, current.held, current.held + held_before)
    share = current.unseen / current.held
    bounds = share_change(current.unseen, current.held, 0, held_before)
    return Signal(
        column=name,
        kind="unseen",
        effect=Effect(value=max(0.0, share - expected), lower=max(0.0, bounds.lower - expected), upper=bounds.upper),
        p_value=min(1.0, 2 * binomial_tail(len(current.news), current.held, expected), 2 * levels * drawn),
        current=share,
        reference=expected,
        words=share_in_words("of a level that the training data never held", share, expected, tuple(current.news)),
    )


def _empty(name: str, rows: int, missing_before: int, rows_before: int) -> Signal:
    before = missing_before / rows_before
    return Signal(
        column=name,
        kind="empty",
        effect=share_change(rows, rows, missing_before, rows_before),
        p_value=same_share(rows, rows, missing_before, rows_before),
        current=1.0,
        reference=before,
        words=f"no row has a value (training: {before:.1%} had none)",
    )


_MEANING: dict[Kind, str] = {
    "missing": "without a value",
    "invalid": "with a value that is no number",
    "infinite": "with an infinite number",
    "tail": "beyond all but a thousandth of the training data on either side",
}


def _share(name: str, kind: Kind, hits: int, rows: int, hits_before: int, rows_before: int) -> Signal:
    now, before = (some / of if of else 0.0 for some, of in ((hits, rows), (hits_before, rows_before)))
    return Signal(
        column=name,
        kind=kind,
        effect=share_change(hits, rows, hits_before, rows_before),
        p_value=same_share(hits, rows, hits_before, rows_before),
        current=now,
        reference=before,
        words=share_in_words(_MEANING[kind], now, before),
    )


def _pairs(reference: Reference, window: Profile) -> Iterator[Signal]:
    for pair, before in reference.profile.pairs.items():
        current = window.pairs[pair]
        if not current.sum() or not before.sum():
            continue
        effect, p_value = dependence(current, before)
        name = pair_name(pair)
        yield Signal(
            column=name,
            kind="together",
            effect=effect,
            p_value=p_value,
            usual=reference.usual.get(name, 0.0),
            words=f"they go together otherwise than in the training data: {effect.value:.1%} of rows moved",
        )
