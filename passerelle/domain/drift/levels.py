"""What a window counted of a column of levels: small, and added to another window's without loss, in any order."""

from __future__ import annotations

import base64
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, level_hash, level_hashes

Array = npt.NDArray[Any]

#: Hashes that a sketch of distinct levels keeps; the estimate's standard error is an eighth (Bar-Yossef et al. 2002).
SKETCH: Final = 64
_HASH_RANGE: Final = 1 << 64
#: A level that was chosen for its count is foretold to hold half of it at least.
_MOST_LESS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Levels of rows as places in a table of levels; -1 is a missing value. `codes` has shape (n,)."""

    codes: Array
    levels: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def decoded(self) -> Array:
        """Return each row's level, None where it is missing; shape (n,)."""
        found: Array = np.array([*self.levels, None], object)[np.asarray(self.codes)]
        return found


@dataclass(frozen=True, kw_only=True)
class LevelCounts:
    """Counts of a column of levels: of each that has a counter, of `others` by class, of unseen ones.

    `news` has up to SKETCH unseen levels, those of the least hashes, with their exact counts; `sketch` the least hashes
    of all levels. Both are the same whatever the order in which windows are added.
    """

    cells: Array
    others: Array
    unseen: int = 0
    missing: int = 0
    news: Mapping[str, int] = field(default_factory=dict)
    sketch: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.cells.sum()) + self.other + self.unseen + self.missing

    @property
    def held(self) -> int:
        """How many rows with a level."""
        return self.rows - self.missing

    @property
    def other(self) -> int:
        """How many rows with a known level without a counter."""
        return int(self.others.sum())

    @property
    def all_cells(self) -> Array:
        """The levels with a counter, and all others in a cell of their own; shape (levels + 1,)."""
        return np.append(self.cells, self.other + self.unseen)

    @property
    def distinct(self) -> int:
        """About how many different levels: exact below SKETCH, else by the least hashes."""
        if len(self.sketch) < SKETCH:
            return len(self.sketch)
        return round((SKETCH - 1) * _HASH_RANGE / self.sketch[-1])

    def __add__(self, other: LevelCounts) -> LevelCounts:
        news = Counter(self.news)
        news.update(other.news)
        return LevelCounts(
            cells=self.cells + other.cells,
            others=self.others + other.others,
            unseen=self.unseen + other.unseen,
            missing=self.missing + other.missing,
            news=_least(news),
            sketch=_least_hashes({*self.sketch, *other.sketch}),
        )

    @classmethod
    def nothing(cls, cuts: LevelCuts) -> LevelCounts:
        """Return the counts of no rows."""
        return cls(cells=np.zeros(len(cuts.levels), np.int64), others=np.zeros(len(cuts.classes), np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        found = {name: getattr(self, name) for name in ("unseen", "missing", "news")}
        found |= {name: getattr(self, name).tolist() for name in ("cells", "others")}
        return {**found, "sketch": _hashes_text(self.sketch)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the counts that `to_dict` gave."""
        sketch = _hashes_of(found["sketch"])
        arrays = {name: np.array(found[name], np.int64) for name in ("cells", "others")}
        return cls(**{**found, **arrays, "sketch": sketch})


def count_levels(cuts: LevelCuts, values: Any) -> LevelCounts:
    """Count a chunk of a column of levels: texts, truth values, `Encoded` or `Tallied`; None and NaN are missing."""
    tallied = values if isinstance(values, Tallied) else level_counts(values)
    counted, missing = dict(tallied.counts), tallied.missing
    cells = np.array([counted.pop(level, 0) for level in cuts.levels], np.int64)
    places = class_places(cuts, level_hashes(counted)).tolist()
    others = np.zeros(len(cuts.classes) + 1, np.int64)
    for place, count in zip(places, counted.values(), strict=True):
        others[place] += count
    news = {level: count for (level, count), place in zip(counted.items(), places, strict=True) if place < 0}
    hashes = {level_hash(level) for level in (*counted, *(one for one, n in zip(cuts.levels, cells, strict=True) if n))}
    return LevelCounts(
        cells=cells,
        others=others[:-1],
        unseen=int(others[-1]),
        missing=missing,
        news=_least(news),
        sketch=_least_hashes(hashes),
    )


def class_places(cuts: LevelCuts, hashes: Array) -> Array:
    """Return the class that knows each level without a counter, -1 for an unseen one; shape (n,)."""
    found = np.full(len(hashes), -1)
    for place, each in enumerate(cuts.classes):
        found[(found < 0) & each.known.holds(hashes)] = place
    return found


def cells_beside(cuts: LevelCuts, current: LevelCounts, before: LevelCounts) -> tuple[Array, Array]:
    """Return the cells of both windows side by side: levels with a counter, classes of others, unseen ones; by rarity.

    Where levels were chosen for a counter, the reference has what it foretells of other windows, not what it held: of
    levels that are as frequent those were chosen that were seen too often.
    """
    if not cuts.classes:
        return current.all_cells, before.all_cells
    rest = np.array([*(each.share * before.held for each in cuts.classes[::-1]), cuts.singles])
    now = np.concatenate([current.cells, current.others[::-1], [current.unseen]])
    own = _foretold(before.cells, before.held - float(rest.sum()))
    return now, np.rint(np.concatenate([own, rest])).astype(np.int64)


def _foretold(cells: Array, total: float) -> Array:
    """Return the counts of the chosen levels brought to this total: the nearer to the rarest of them, the more."""
    over = float(cells.sum()) - total
    if over <= 0 or total <= 0:
        return np.asarray(cells * (max(0.0, total) / max(1.0, float(cells.sum()))))
    rarest = max(1.0, float(cells.min()))
    weight = cells * np.exp(-(cells - rarest) / (2 * np.sqrt(rarest)))
    less = cells - weight * min(_MOST_LESS, over / weight.sum())
    found: Array = less * (total / less.sum())
    return found


class Tallied(NamedTuple):
    """How often each level is there, as text, and how many rows have none."""

    counts: Mapping[str, int]
    missing: int


def level_counts(values: Any) -> Tallied:
    """Return how often each level is there, as text, and how many rows have none."""
    if isinstance(values, Encoded):
        missing, *counts = np.bincount(np.asarray(values.codes) + 1, minlength=len(values.levels) + 1).tolist()
        encoded = Counter[str]()  # a table of Arrow's may name a level twice
        for level, count in zip(values.levels, counts, strict=True):
            encoded[level] += count
        return Tallied({level: count for level, count in encoded.items() if count}, missing)
    array = np.asarray(values)
    if array.dtype.kind == "b":
        true = int(np.count_nonzero(array))
        return Tallied({level: n for level, n in (("false", len(array) - true), ("true", true)) if n}, 0)
    missing, counted = 0, Counter[str]()
    for value, count in Counter(array.tolist()).items():
        if value is None or value != value:
            missing += count
        else:
            counted[level_text(value)] += count
    return Tallied(dict(counted), missing)


def level_text(value: Any) -> str:
    """Return a level as it is counted: truth values as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def level_places(values: Any, levels: Sequence[str], *, other: int, missing: int) -> Array:
    """Return the place of each row's level among these, shape (n,): `other` for a level that is not among them."""
    place = {level: at for at, level in enumerate(levels)}
    if isinstance(values, Encoded):
        table = np.array([place.get(level, other) for level in values.levels] + [missing])
        return np.asarray(table[np.asarray(values.codes)])
    listed = np.asarray(values).tolist()
    lookup = {value: _place(place, value, other, missing) for value in set(listed)}
    return np.array([lookup[value] if value == value else missing for value in listed], np.intp)


def _place(place: Mapping[str, int], value: Any, other: int, missing: int) -> int:
    return missing if value is None or value != value else place.get(level_text(value), other)


def _least(news: Mapping[str, int]) -> dict[str, int]:
    """Keep the levels of the least hashes: a level among those of a sum is among those of each part that has it."""
    kept = heapq.nsmallest(SKETCH, news, key=level_hash) if len(news) > SKETCH else list(news)
    return {level: news[level] for level in sorted(kept)}


def _hashes_text(hashes: Sequence[int]) -> str:
    """Return hashes as text, base64 of big-endian numbers."""
    return base64.b64encode(np.array(hashes, ">u8").tobytes()).decode()


def _hashes_of(text: str) -> tuple[int, ...]:
    """Return the hashes that `_hashes_text` gave."""
    return tuple(np.frombuffer(base64.b64decode(text), ">u8").tolist())


def _least_hashes(hashes: set[int]) -> tuple[int, ...]:
    return tuple(heapq.nsmallest(SKETCH, hashes))
