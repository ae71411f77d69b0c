"""Windows of data to compare: unchanged ones and shifted ones, the same for every tool by their seed. NumPy only.

A window is {column: array of numbers, or `Encoded` levels}. Real ones are random splits of the flights of 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.levels import Encoded

Array = npt.NDArray[Any]
Window = Mapping[str, Any]

SEED: Final = 2013
REFERENCE_ROWS: Final = 10_000
_NUMBERS: Final = (
    "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "flight",
    "air_time", "distance", "hour", "minute",
)  # fmt: skip
_LEVELS: Final = ("carrier", "tailnum", "origin", "dest")
_MISSING: Final = 0.05
_MIXED_LEVELS: Final = 20
_MANY_LEVELS: Final = 1_000


@dataclass(frozen=True)
class Case:
    """Unchanged windows of so many rows. Of synthetic columns half are numbers, and half have `levels` levels."""

    data: str
    columns: int
    levels: int
    rows: int
    reference_rows: int = REFERENCE_ROWS

    @property
    def name(self) -> str:
        """The case in words."""
        words = f"{self.data}, {self.columns} columns, {self.levels:,} levels, {self.rows:,} rows"
        return words + ("" if self.reference_rows == REFERENCE_ROWS else f" beside {self.reference_rows:,}")


def _cases() -> Iterator[Case]:
    flights = len(_NUMBERS) + len(_LEVELS)
    for rows in (50, 100, 200, 500, 1_000, 5_000, 20_000, 100_000):
        yield Case("flights", flights, 4_043, rows)
    yield Case("flights", flights, 4_043, 100_000, 100_000)
    for levels in (2, 20, 100, 1_000):
        for rows in (50, 200, 1_000, 10_000):
            yield Case("synthetic", 20, levels, rows)
    for columns in (5, 100):
        for rows in (50, 1_000, 10_000):
            yield Case("synthetic", columns, 100, rows)
    yield Case("synthetic", 20, 100, 100_000)


CASES: Final = tuple(_cases())


@cache
def read_flights(path: Path) -> dict[str, Any]:
    """Return all flights as one window, from what `write_flights` wrote."""
    with np.load(path) as file:
        numbers = {name: file[name] for name in _NUMBERS}
        levels = {name: Encoded(codes=file[name], levels=file[f"{name}_levels"].tolist()) for name in _LEVELS}
    return numbers | levels


def write_flights(path: Path, frame: Any) -> Path:
    """Write the flights of a frame of pandas' for `read_flights`."""
    arrays: dict[str, Array] = {name: frame[name].to_numpy(np.float64) for name in _NUMBERS}
    for name in _LEVELS:
        codes, levels = frame[name].factorize()
        arrays |= {name: codes, f"{name}_levels": np.array(levels.tolist(), str)}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes the names for its own options
    return path


def take(window: Window, rows: Any) -> dict[str, Any]:
    """Return these rows of a window."""
    return {
        name: Encoded(codes=values.codes[rows], levels=values.levels) if isinstance(values, Encoded) else values[rows]
        for name, values in window.items()
    }


def unchanged(case: Case, repetition: int, flights: Path) -> tuple[Window, Window]:
    """Return a reference and a window of one population."""
    rng = np.random.default_rng([SEED, case.columns, case.levels, case.rows, case.reference_rows, repetition])
    rows = case.reference_rows + case.rows
    if case.data == "flights":
        real = read_flights(flights)
        drawn = rng.choice(len(real["month"]), rows, replace=False)
        return take(real, drawn[: case.reference_rows]), take(real, drawn[case.reference_rows :])
    whole = synthetic(rng, rows, case.columns, case.levels)
    return take(whole, slice(None, case.reference_rows)), take(whole, slice(case.reference_rows, None))


def synthetic(rng: np.random.Generator, rows: int, columns: int, levels: int) -> dict[str, Any]:
    """Return columns of numbers of five kinds and of levels by Zipf's law, in turns; one of four misses some."""
    found: dict[str, Any] = {}
    for at in range(columns):
        gone = rng.random(rows) < _MISSING if at % 4 == 0 else np.zeros(rows, bool)
        if at % 2:
            encoded = zipf(rng, rows, levels)
            found[f"level_{at}"] = Encoded(codes=np.where(gone, -1, encoded.codes), levels=encoded.levels)
        else:
            found[f"number_{at}"] = np.where(gone, np.nan, _KINDS[at // 2 % len(_KINDS)](rng, rows))
    return found


_KINDS: Final[tuple[Callable[[np.random.Generator, int], Array], ...]] = (
    lambda rng, rows: rng.normal(size=rows),
    lambda rng, rows: rng.lognormal(0, 1.5, rows),
    lambda rng, rows: rng.poisson(3, rows).astype(np.float64),
    lambda rng, rows: rng.standard_t(3, rows),
    lambda rng, rows: np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(10, rows).round(1)),
)


def zipf(rng: np.random.Generator, rows: int, levels: int) -> Encoded:
    """Return levels of which the k-th is held by a share of rows in proportion to 1 / k."""
    borders = np.cumsum(1 / np.arange(1, levels + 1))
    codes = np.searchsorted(borders, rng.random(rows) * borders[-1], "right")
    return Encoded(codes=np.minimum(codes, levels - 1), levels=[f"level {at}" for at in range(levels)])


@dataclass(frozen=True)
class Population:
    """What a column, or two of them, looks like; `draw` takes a strength, of which `unchanged` is no change at all."""

    name: str
    draw: Callable[[np.random.Generator, int, float], Window]
    unchanged: float
    strengths: tuple[float, ...]


def _normal(change: Callable[[Array, float, np.random.Generator], Array]) -> Callable[..., Window]:
    return lambda rng, rows, strength: {"x": change(rng.normal(size=rows), strength, rng)}


def _some(rng: np.random.Generator, values: Array, share: float, instead: Any) -> Array:
    return np.where(rng.random(len(values)) < share, instead, values)


def _mixed(levels: int) -> Callable[..., Window]:
    def draw(rng: np.random.Generator, rows: int, share: float) -> Window:
        drawn = zipf(rng, rows, levels)
        return {"x": Encoded(codes=_some(rng, drawn.codes, share, rng.integers(0, levels, rows)), levels=drawn.levels)}

    return draw


def _one_level(rng: np.random.Generator, rows: int, share: float) -> Window:
    drawn = zipf(rng, rows, _MIXED_LEVELS)
    return {"x": Encoded(codes=_some(rng, drawn.codes, share, _MIXED_LEVELS // 2), levels=drawn.levels)}


def _binary(rng: np.random.Generator, rows: int, share: float) -> Window:
    return {"x": Encoded(codes=(rng.random(rows) < share).astype(np.int64), levels=["no", "yes"])}


def _correlated(rng: np.random.Generator, rows: int, rho: float) -> Window:
    one, other = rng.normal(size=rows), rng.normal(size=rows)
    return {"x": one, "y": rho * one + np.sqrt(1 - rho**2) * other}


#: The published grid. Strengths are in the unit that the name says.
POPULATIONS: Final = (
    Population("mean: normal, moved by so many sd", _normal(lambda x, d, _: x + d), 0, (0.1, 0.25, 0.5)),
    Population("scale: normal, times", _normal(lambda x, f, _: x * f), 1, (1.1, 1.25, 1.5)),
    Population(
        "shape: normal, two peaks so far from the mean, same sd",
        _normal(lambda x, a, rng: x * np.sqrt(1 - a**2) + a * np.where(rng.random(len(x)) < 0.5, 1, -1)),
        0,
        (0.6, 0.8),
    ),
    Population(
        "tail: normal, a share of rows from 5 sd", _normal(lambda x, s, rng: _some(rng, x, s, x + 5)), 0, (0.01, 0.03)
    ),
    Population(
        "heavy tail: lognormal (sigma 2), times",
        lambda rng, rows, f: {"x": rng.lognormal(0, 2, rows) * f},
        1,
        (1.25, 1.65),
    ),
    Population("mix: 20 levels, a share of rows spread evenly", _mixed(_MIXED_LEVELS), 0, (0.05, 0.1, 0.2)),
    Population("mix: 1,000 levels, a share of rows spread evenly", _mixed(_MANY_LEVELS), 0, (0.05, 0.1, 0.2)),
    Population("mix: one of 20 levels takes a share of rows", _one_level, 0, (0.02, 0.05)),
    Population(
        "missing: a share of normal numbers",
        _normal(lambda x, s, rng: _some(rng, x, s, np.nan)),
        0.02,
        (0.04, 0.07, 0.12),
    ),
    Population("correlation of two normal columns", _correlated, 0.5, (0.35, 0.0)),
    Population("prior: share of one of two levels", _binary, 0.1, (0.12, 0.15)),
)
POWER_ROWS: Final = (100, 1_000, 10_000)


def drawn(population: Population, rows: int, strength: float, repetition: int) -> tuple[Window, Window]:
    """Return an unchanged reference of `REFERENCE_ROWS` rows and a window of that strength."""
    number = [other.name for other in POPULATIONS].index(population.name)
    rng = np.random.default_rng([SEED, number, rows, round(strength * 1_000), repetition])
    return population.draw(rng, REFERENCE_ROWS, population.unchanged), population.draw(rng, rows, strength)


def digest(window: Window) -> float:
    """Return a number that tells windows apart: tools in other environments draw the same."""
    return float(
        sum(np.nansum(values.codes if isinstance(values, Encoded) else np.abs(values)) for values in window.values())
    )
