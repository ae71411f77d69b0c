"""How fast a model grows old, found by training at moments of the past, and the cadence of training that follows.

A model of age 1 is used in the first period after what it learnt from. Every how many periods it is trained is the age
it reaches before the next one takes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from passerelle.contracts.backtest import AgeLoss, BacktestCell, Cadence, CheapestCadence, Staleness
from passerelle.domain.monitoring.ageing import LEAST_TRAININGS, Ageing, age_losses, compared, enough

Array = npt.NDArray[Any]
#: A loss that matters: so much of a metric between 0 and 1, or this share of one in the label's units.
LIMIT: Final = 0.01
_IN_UNITS: Final = ("rmse", "mae", "median_absolute_error")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is judged: a metric, and periods such as `month` or `30d`.

    `limit` is how much of the metric may be lost, None for what `LIMIT` says. `training_cost` is that of a training in
    `currency`, which is that of the cells' worth; None where it is unknown.
    """

    metric: str
    greater_is_better: bool
    period: str
    limit: float | None = None
    training_cost: float | None = None
    currency: str = "USD"


def judge_staleness(cells: Sequence[BacktestCell], judged: Judged) -> Staleness:
    """Return how a model ages, and every how many periods to train."""
    kept = compared(cells)
    if not enough(kept):
        limit = judged.limit or LIMIT
        return Staleness(verdict="too_few", limit=limit, words=_too_few(cells, judged.period))
    sign = 1.0 if judged.greater_is_better else -1.0
    ageing = age_losses(kept, np.asarray([sign * cell.score for cell in kept]))
    limit = judged.limit or _limit(kept, judged.metric)
    half = ageing.width * ageing.slope_error
    curve = tuple(
        AgeLoss(
            age=int(age), loss=float(loss), lower=float(loss - reach), upper=float(loss + reach), periods=int(shown)
        )
        for age, loss, reach, shown in zip(
            ageing.ages, ageing.loss, ageing.width * ageing.errors, ageing.periods, strict=True
        )
    )
    verdict: Literal["found", "none"] = "found" if ageing.slope - half > 0 else "none"
    cadence, cheapest = _cadence(ageing, limit), _cheapest(kept, judged)
    return Staleness(
        verdict=verdict,
        limit=limit,
        words=_words(verdict, curve, cadence, cheapest, limit, judged),
        curve=curve,
        slope=(ageing.slope, ageing.slope - half, ageing.slope + half),
        cadence=cadence,
        cheapest=cheapest,
    )


def _limit(cells: Sequence[BacktestCell], metric: str) -> float:
    if metric not in _IN_UNITS:
        return LIMIT
    return LIMIT * float(np.mean([cell.score for cell in cells if cell.age == 1])) or LIMIT


# From losses to a cadence


def _curves(ageing: Ageing) -> tuple[Array, Array, Array]:
    """Return the loss at each age and the bounds of its interval, none of which falls with age: no model grows younger.

    The nearest such curves by least squares (Barlow & Brunk 1972, Journal of the American Statistical Association 67).
    """
    weights = 1 / np.maximum(ageing.errors, 1e-12) ** 2
    reach = ageing.width * ageing.errors
    lower, middle, upper = (pooled(curve, weights) for curve in (ageing.loss - reach, ageing.loss, ageing.loss + reach))
    return middle, lower, upper


def pooled(values: Array, weights: Array) -> Array:
    """Return the nearest numbers that never fall: neighbours that do are pooled into their weighted mean."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pools.append((float(value), float(weight), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, heavy, many), (first, light, few) = pools.pop(), pools.pop()
            pools.append(((first * light + second * heavy) / (light + heavy), light + heavy, few + many))
    return np.concatenate([np.full(count, value) for value, _, count in pools])


def _cadence(ageing: Ageing, limit: float) -> Cadence:
    seen = int(ageing.ages[-1])

    def reached(curve: Array) -> int:
        over = np.flatnonzero(curve > limit)
        return seen if not len(over) else int(ageing.ages[over[0] - 1]) if over[0] else 1

    middle, lower, upper = (reached(curve) for curve in _curves(ageing))
    return Cadence(periods=middle, lower=upper, upper=None if lower == seen else lower, seen=seen)


def _cheapest(cells: Sequence[BacktestCell], judged: Judged) -> CheapestCadence | None:
    """Return the cadence of least cost: of training, and of what rows lose in money by the age of what decides them."""
    worth = [cell.worth for cell in cells if cell.worth is not None and np.isfinite(cell.worth)]
    if judged.training_cost is None or len(worth) < len(cells):
        return None
    rows = float(np.mean([cell.rows for cell in cells if cell.age == 1]))
    ageing = age_losses(cells, np.asarray(worth), sampled=False)
    seen = int(ageing.ages[-1])
    each = np.arange(1, seen + 1)

    def costs(curve: Array) -> Array:
        lost = rows * np.interp(each, [1, *ageing.ages], [0.0, *np.maximum(curve, 0.0)])
        return (judged.training_cost or 0.0) / each + np.cumsum(lost) / each

    found, least, most = (costs(curve) for curve in _curves(ageing))
    middle, longest, shortest = (int(np.argmin(cost)) + 1 for cost in (found, least, most))
    return CheapestCadence(
        periods=middle,
        lower=min(shortest, middle),
        upper=None if longest == seen else max(longest, middle),
        seen=seen,
        currency=judged.currency,
        costs=tuple(float(cost) for cost in found),
    )


# In words


def age_words(count: int, period: str) -> str:
    """Return so many periods in words: `3 months`, `2 periods of 30 days`."""
    if period.endswith("d"):
        days = int(period[:-1])
        return f"{count * days} days" if count * days != 1 else "1 day"
    return f"{count} {period}{'' if count == 1 else 's'}"


def _too_few(cells: Sequence[BacktestCell], period: str) -> str:
    trainings = len({cell.trained for cell in cells if np.isfinite(cell.score)})
    unit = "periods" if period.endswith("d") else f"{period}s"
    shorter = {"month": " (--period week)", "week": " (--period day)"}.get(period, "")
    return (
        f"Too few {unit} to say how a model ages: {trainings} trainings of the past could be scored on later ones, and "
        f"at least {LEAST_TRAININGS} one after the other are needed. Drop a longer history, or look at shorter "
        f"periods{shorter}."
    )


def _words(
    verdict: Literal["found", "none"],
    curve: Sequence[AgeLoss],
    cadence: Cadence,
    cheapest: CheapestCadence | None,
    limit: float,
    judged: Judged,
) -> str:
    period, last = judged.period, curve[-1]
    oldest = age_words(last.age, period)
    lost = f"{_number(last.loss)} of {judged.metric} ({_number(last.lower)} to {_number(last.upper)})"
    if verdict == "none":
        seen = f"No staleness is seen within {oldest}: a model of that age loses {lost} beside a fresh one"
        if last.upper > limit:
            seen += f", so a loss above {limit:.3g} is not seen but not excluded either"
    else:
        seen = f"A model of {oldest} has lost {lost} beside a fresh one"
    said = f"{seen}; proposed: train every {_every(cadence, period)}, {_why(cadence, limit)}"
    if cheapest:
        cost = f"{cheapest.costs[cheapest.periods - 1]:.2f} {cheapest.currency}"
        said += (
            f"; of least cost is every {_every(cheapest, period)}: {cost} per {age_words(1, period).removeprefix('1 ')}"
        )
    return f"{said}."


def _every(cadence: Cadence, period: str) -> str:
    said = age_words(cadence.periods, period)
    if cadence.lower == cadence.seen:
        return f"{said} or less often"
    if cadence.upper == cadence.lower:
        return said
    days = int(period[:-1]) if period.endswith("d") else 1
    longest = f"more than {cadence.seen * days}" if cadence.upper is None else str(cadence.upper * days)
    return f"{said} ({cadence.lower * days} to {longest})"


def _why(cadence: Cadence, limit: float) -> str:
    if cadence.periods == cadence.seen:
        return f"the greatest age looked at, within which no more than {limit:.3g} is lost"
    if cadence.periods == 1:
        return f"as more than {limit:.3g} is lost one period later (shorter periods may show more)"
    return f"before more than {limit:.3g} is lost"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
