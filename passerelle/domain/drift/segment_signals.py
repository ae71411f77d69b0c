"""What single segments move beyond all other rows: "origin = JFK: dep_hour: +12.0% of rows up to 7".

What all segments move alike is the whole's news and told there, once. A segment has news of its own where its rows
moved and where they moved further than the rest did; the larger of the two tests' p-values is the p-value of both being
so (an intersection-union test, Berger 1982, Technometrics 24), and the lesser effect is the effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import NumberCuts
from passerelle.domain.drift.effect import Effect, moved_share, share_change
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.segment_counts import ROWS
from passerelle.domain.drift.segments import segment_name
from passerelle.domain.drift.signal import Signal
from passerelle.domain.drift.tails import chi_square_tail, combined, same_share, two_sided
from passerelle.domain.drift.tested import components, levels_p_value
from passerelle.domain.drift.worded import parts_in_words, share_in_words

Array = npt.NDArray[Any]

#: Fewer rows of a level, or of all others, say nothing of it.
LEAST: Final = 30
#: A p-value above this is no news, whatever the other test would say.
_QUIET: Final = 0.2
_NOTHING: Final = Effect(value=0.0, lower=0.0, upper=0.0)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A column's rows in few parts, shape (k,) each: of a segment now and before, and of all other rows.

    `borders` are those of the parts, None where only missing values, which are the last part, are told from others.
    """

    column: str
    segment: str
    ordered: bool
    borders: tuple[Any, ...] | None
    now: Array
    before: Array
    rest: Array
    rest_before: Array

    @property
    def tables(self) -> tuple[Array, Array, Array, Array]:
        """All four, the segment's first."""
        return self.now, self.before, self.rest, self.rest_before

    @property
    def held(self) -> tuple[Array, Array, Array, Array]:
        """All four, without missing values."""
        return self.now[:-1], self.before[:-1], self.rest[:-1], self.rest_before[:-1]

    @property
    def in_parts(self) -> bool:
        """Whether it is counted in parts, and enough rows have a value."""
        return self.borders is not None and min(each.sum() for each in self.held) >= LEAST


def groups(reference: Reference, window: Profile) -> Iterator[Group]:
    """Yield each column of each segment; those of columns that are counted in parts have `borders`."""
    layout = reference.layout
    for by, cuts in layout.segments.items():
        for name, before in reference.profile.segments[by].items():
            if name == ROWS:
                continue
            now = window.segments[by][name]
            all_now, all_before, ordered = now.sum(0), before.sum(0), isinstance(layout.columns[name], NumberCuts)
            for at, level in enumerate(cuts.names):
                yield Group(
                    column=name,
                    segment=segment_name(by, level),
                    ordered=ordered,
                    borders=layout.borders(name),
                    now=now[at],
                    before=before[at],
                    rest=all_now - now[at],
                    rest_before=all_before - before[at],
                )


def segment_signals(reference: Reference, window: Profile) -> Iterator[Signal]:
    """Yield what could be looked for within segments, alarming or not.

    Where neither window misses a value there is no question to ask: such tests cannot be significant, and would only
    weigh on the others (Tarone 1990, Biometrics 46).
    """
    for group in groups(reference, window):
        if min(each.sum() for each in group.tables) < LEAST:
            continue
        if group.now[-1] + group.before[-1]:
            yield _missing(group)
        if group.in_parts:
            yield _distribution(group, reference.usual.get(f"{group.segment}: {group.column}", 0.0))


def segment_move(group: Group) -> Effect:
    """Return how much of a segment moves beyond what the rest does, of a group that is `in_parts`.

    Nothing where it stays behind the rest, or moves with it for the most part: then the whole tells it.
    """
    now, before, rest, rest_before = group.held
    own = moved_share(now, before, ordered=group.ordered)
    if not own.value:
        return own
    like = _as_the_rest(before, rest, rest_before)
    share, share_before, share_like = (each / each.sum() for each in (now, before, like))
    if (share - share_before) @ (share - share_like) <= 0:
        return _NOTHING
    return _of_its_own(own, moved_share(now, like, ordered=group.ordered))


def _of_its_own(own: Effect, beyond: Effect) -> Effect:
    """Return the lesser of what a segment moved and what of it the rest did not; the latter is most of it, or nothing.

    Parts are too coarse to foretell a shift of all segments exactly where these lie in different places.
    """
    if beyond.value < own.value / 2:
        return _NOTHING
    return min(own, beyond, key=lambda effect: effect.value)


def _distribution(group: Group, usual: float) -> Signal:
    now, before, rest, rest_before = group.held
    p_value = _ordered_p_value(now, before) if group.ordered else levels_p_value(now, before)
    if p_value <= _QUIET:
        p_value = max(p_value, _beyond_p_value(now, before, rest, rest_before, ordered=group.ordered))
        effect = segment_move(group)
    else:
        effect = moved_share(now, before, ordered=group.ordered)
    return Signal(
        column=group.column,
        kind="distribution",
        segment=group.segment,
        effect=effect,
        p_value=p_value,
        usual=usual,
        words=parts_in_words(group.borders or (), now, before, ordered=group.ordered),
    )


def _missing(group: Group) -> Signal:
    """Ask for missing values: how many points more the segment has of them than before, and than the rest has."""
    counted = [(int(each[-1]), int(each.sum())) for each in group.tables]
    share, share_before, share_rest, share_rest_before = (hits / rows for hits, rows in counted)
    effect, p_value = share_change(*counted[0], *counted[1]), same_share(*counted[0], *counted[1])
    if p_value <= _QUIET:
        moved = share - share_before
        beyond = abs(moved) - math.copysign(share_rest - share_rest_before, moved * (share_rest - share_rest_before))
        deviation = math.sqrt(sum(_variance(hits, rows) for hits, rows in counted))
        p_value = max(p_value, two_sided(beyond / deviation)) if beyond > 0 else 1.0
        effect = _of_its_own(effect, _moved_by(effect, beyond - abs(moved)))
    return Signal(
        column=group.column,
        kind="missing",
        segment=group.segment,
        effect=effect,
        p_value=p_value,
        current=share,
        reference=share_before,
        words=share_in_words("without a value", share, share_before),
    )


def _variance(hits: int, rows: int) -> float:
    """Return a share's variance; half a row is added to either side, as none is ever certain."""
    share = (hits + 0.5) / (rows + 1)
    return share * (1 - share) / rows


def _moved_by(effect: Effect, by: float) -> Effect:
    value, lower, upper = (min(1.0, max(0.0, each + by)) for each in (effect.value, effect.lower, effect.upper))
    return Effect(value=value, lower=lower, upper=upper)


def _ordered_p_value(now: Array, before: Array) -> float:
    """Return the p-value of one distribution over few ordered parts: where the middle lies, and all that they say."""
    found = components(now, before)
    if not len(found):
        return 1.0
    return combined([(two_sided(float(found[0])), 0.5), (chi_square_tail(float(found @ found), len(found)), 0.5)])


def _as_the_rest(before: Array, rest: Array, rest_before: Array) -> Array:
    """Return the segment's parts had they moved as the rest's did, in proportion; as many rows as they are sure of."""
    parts = before * ((rest + 0.5) / (rest_before + 0.5))
    rows = 1 / (1 / float(before.sum()) + 1 / float(rest.sum()) + 1 / float(rest_before.sum()))
    found: Array = parts / parts.sum() * rows
    return found


def _beyond_p_value(now: Array, before: Array, rest: Array, rest_before: Array, *, ordered: bool) -> float:
    """Return the p-value of the segment's parts having moved as the rest's did, in proportion.

    The logarithms of both ratios are subtracted part by part; where the segment is like the rest, all parts have one
    difference (Woolf 1955, Annals of Human Genetics 19, with half a row in each cell). Of ordered parts a slope is
    asked for, too.
    """
    held = now + before > 0
    if np.count_nonzero(held) < 2:
        return 1.0
    tables = [each[held] + 0.5 for each in (now, before, rest, rest_before)]
    logs = np.log(tables[0] * tables[3] / (tables[1] * tables[2]))
    weight = 1 / np.sum([1 / each for each in tables], axis=0)
    apart = logs - (weight @ logs) / weight.sum()
    every = chi_square_tail(float(weight @ apart**2), len(logs) - 1)
    if not ordered or len(logs) < 3:
        return every
    place = np.arange(len(logs)) - (weight @ np.arange(len(logs))) / weight.sum()
    slope = float(weight @ (apart * place)) / math.sqrt(float(weight @ place**2))
    return combined([(every, 0.5), (two_sided(slope), 0.5)])
