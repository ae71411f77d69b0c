"""How a column is counted: fixed by the reference, so that counts of any two windows can be added and compared."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Up to this many different numbers each have a cell of their own; others are cut at quantiles.
OWN_CELLS: Final = 64
#: A thousandth at either end is the tail: few enough to be rare, many enough to be counted.
TAIL: Final = 0.001
_ENDS: Final = (TAIL, 0.0025, 0.005, 0.01)
_QUANTILES: Final = np.array([*_ENDS, *(i / OWN_CELLS for i in range(1, OWN_CELLS)), *(1 - p for p in _ENDS[::-1])])
#: Levels with a counter of their own; the rest is known by a filter, and counted together.
OWN_LEVELS: Final = 100
_FILTERED_LEVELS: Final = 4_000
_BITS_PER_LEVEL: Final = 12
_HASHES: Final = 8
#: Levels without a counter are counted together by how often the reference held them: once; to 3; to 7; more often.
_BORDERS: Final = (0, 1, 3, 7)
#: Levels whose hashes are remembered: a stream of windows holds the same ones again and again.
_REMEMBERED: Final = 1 << 14
#: Fixed-point steps of a scale in which moments are summed, so that sums are exact whatever their order.
STEPS: Final = 1 << 10
_FARTHEST: Final = 1 << 20
_LEAST_SCALE: Final = 1e-300
#: The squares of so many rows sum to 2**53 at most, which floating point holds exactly; a block stays in the cache.
_BLOCK: Final = 1 << 13


@dataclass(frozen=True, kw_only=True)
class NumberCuts:
    """Cells of numbers: below the least cut, (cut, next cut] each, above the greatest.

    `low` and `high` are how many cells at either end are tails. Moments are summed in `scale / STEPS` around `centre`.
    """

    cuts: tuple[float, ...]
    centre: float
    scale: float
    low: int
    high: int

    @classmethod
    def of(cls, ordered: Array) -> NumberCuts:
        """Return the cells for these finite numbers, in ascending order; shape (n,), n may be 0."""
        if not len(ordered):
            return cls(cuts=(), centre=0.0, scale=1.0, low=0, high=0)
        steps = ordered[1:] != ordered[:-1]
        if np.count_nonzero(steps) < OWN_CELLS:
            cuts = np.append(ordered[:-1][steps], ordered[-1])
        else:
            at = np.clip(np.ceil(_QUANTILES * len(ordered)).astype(int) - 1, 0, len(ordered) - 1)
            cuts = np.unique(np.append(ordered[at], ordered[-1]))
        below = np.nextafter(ordered[0], -np.inf)
        cuts = np.concatenate(([below], cuts))
        shares = np.diff(np.searchsorted(ordered, cuts, "right"), prepend=0, append=len(ordered)) / len(ordered)
        quarter, three = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
        with np.errstate(over="ignore"):
            scales = (float(three - quarter), float(ordered[-1] - ordered[0]), abs(float(ordered[0])))
        return cls(
            cuts=tuple(float(cut) for cut in cuts),
            centre=float(ordered[len(ordered) // 2]),
            scale=next((scale for scale in scales if _LEAST_SCALE < scale < np.inf), 1.0),
            low=_tail(shares),
            high=_tail(shares[::-1]),
        )

    def cells(self, ordered: Array) -> Array:
        """Return how many of these finite numbers, in ascending order, lie in each cell; shape (cuts + 1,)."""
        ends = np.searchsorted(ordered, np.asarray(self.cuts), "right")
        return np.diff(ends, prepend=0, append=len(ordered)).astype(np.int64)

    def moments(self, numbers: Array) -> tuple[int, int]:
        """Return the sums of fixed-point values and of their squares: integers, so that they add up exactly.

        Numbers are in ascending order; those beyond a thousand scales count as that far.
        """
        first = second = 0
        with np.errstate(over="ignore"):
            far = len(numbers) and np.abs((numbers[[0, -1]] - self.centre) * (STEPS / self.scale)).max() > _FARTHEST
            for start in range(0, len(numbers), _BLOCK):
                steps = numbers[start : start + _BLOCK] - self.centre
                steps *= STEPS / self.scale
                np.rint(steps, out=steps)
                if far:
                    np.clip(steps, -_FARTHEST, _FARTHEST, out=steps)
                first += int(steps.sum())
                second += int(steps @ steps)
        return first, second


def _tail(shares: Array) -> int:
    """Return how many cells from the first on hold a thousandth of the reference together, and half of it more."""
    return max(1, int(np.searchsorted(np.cumsum(shares), 1.5 * TAIL, "right")))


@dataclass(frozen=True, kw_only=True)
class LevelClass:
    """Levels without a counter that the reference held about as often: `known` tells which they are.

    `share` of rows is what they are expected to hold in other windows, with this `variance` (`rarely`).
    """

    known: LevelFilter
    share: float
    variance: float


@dataclass(frozen=True, kw_only=True)
class LevelCuts:
    """Levels with a counter each, most frequent first; the `classes` know all others, the rarest first.

    `singles` is how many levels the reference held once: by it, how many unseen ones are no news (Good 1953,
    Biometrika 40).
    """

    levels: tuple[str, ...]
    classes: tuple[LevelClass, ...]
    distinct: int
    singles: int

    @classmethod
    def of(cls, counts: Sequence[tuple[str, int]]) -> LevelCuts:
        """Return the cells for these levels and how often each was seen."""
        ordered = sorted(counts, key=lambda found: (-found[1], found[0]))
        own, rest = ordered[:OWN_LEVELS], ordered[OWN_LEVELS:]
        return cls(
            levels=tuple(level for level, _ in own),
            classes=tuple(_classes(rest, np.array([count for _, count in ordered]))),
            distinct=len(ordered),
            singles=sum(1 for _, count in ordered if count == 1),
        )


def _classes(rest: Sequence[tuple[str, int]], counts: Array) -> Iterator[LevelClass]:
    if not rest:
        return
    most = rest[0][1]
    borders = (0,) if len(rest) > _FILTERED_LEVELS else [border for border in _BORDERS if border < most]
    tied = sum(count == most for _, count in rest) / max(1, int((counts == most).sum()))
    for least, greatest in zip(borders, (*borders[1:], most), strict=True):
        share, variance = rarely(counts, least + 1, greatest, tied if greatest == most else 1.0)
        known = LevelFilter.of([level for level, count in rest if least < count <= greatest])
        yield LevelClass(known=known, share=float(f"{share:.6g}"), variance=float(f"{variance:.6g}"))


def rarely(counts: Array, least: int, greatest: int, tied: float = 1.0) -> tuple[float, float]:
    """Return the share of other windows' rows that levels seen so often here will hold, and its variance.

    What was seen rarely was seen too rarely or too often by chance, and chosen for it: of levels seen r times r + 1
    rows for each that was seen r + 1 times are to be expected (Good 1953; Robbins 1956). Where few levels were seen
    about so often, the neighbouring counts are averaged.

    Parameters
    ----------
    counts : how often each level was seen, shape (n,).
    tied : which part of the levels seen `greatest` times is meant.
    """
    rows = float(counts.sum())
    inner = float(counts[(counts > least) & (counts <= greatest)].sum())
    out = tied * _rows_at(counts, greatest + 1)
    variance = inner + (least + 1) * _rows_at(counts, least + 2) + (greatest + 1) * out
    return (inner + out) / rows, variance / rows**2


def _rows_at(counts: Array, at: int) -> float:
    """Return how many rows levels seen so often hold, from the counts around: half a deviation to either side."""
    near = int(math.sqrt(at) / 2)
    return float(counts[(counts >= at - near) & (counts <= at + near)].sum()) / (2 * near + 1)


@dataclass(frozen=True, kw_only=True)
class LevelFilter:
    """A Bloom filter (Bloom 1970, Communications of the ACM 13): in 300 unseen levels it takes one for known.

    `whole` is false where there were too many levels to remember: then no level is called unseen.
    """

    bits: bytes
    whole: bool = True

    @classmethod
    def of(cls, levels: Collection[str]) -> Self:
        """Return a filter that knows these levels."""
        if len(levels) > _FILTERED_LEVELS:
            return cls(bits=b"", whole=False)
        bits = np.zeros(-(-len(levels) * _BITS_PER_LEVEL // 8) * 8, np.uint8)
        if levels:
            bits[_places(level_hashes(levels), len(bits))] = 1
        return cls(bits=np.packbits(bits, bitorder="little").tobytes())

    def holds(self, hashes: Array) -> Array:
        """Return which of these hashes' levels it knows, shape (n,)."""
        if not self.bits:
            return np.full(len(hashes), not self.whole)
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), bitorder="little")
        return np.asarray(bits[_places(hashes, len(bits))].all(axis=0))

    def __contains__(self, level: str) -> bool:
        return bool(self.holds(level_hashes([level]))[0])

    @property
    def text(self) -> str:
        """The bits as text."""
        return base64.b64encode(self.bits).decode()


@lru_cache(maxsize=_REMEMBERED)
def level_hash(level: str) -> int:
    """Return 64 bits of a level, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(level.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def level_hashes(levels: Iterable[str]) -> Array:
    """Return the hashes of levels, shape (n,)."""
    return np.array([level_hash(level) for level in levels], np.uint64)


def _places(hashes: Array, bits: int) -> Array:
    """Return the bits that stand for each hash, shape (hashes of each, n)."""
    first, second = hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF) | np.uint64(1)
    return (first + np.arange(_HASHES, dtype=np.uint64)[:, None] * second) % np.uint64(bits)
