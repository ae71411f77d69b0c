"""How a model ages, seen by training at moments of the past: what is asked of entry `backtest`, and what it answers."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from passerelle.contracts.base import Contract

#: A calendar month, a week from Monday on, a day, or a number of days that end with the newest row; all in UTC.
PERIOD: Final = r"^(month|week|day|[1-9]\d{0,2}d)$"
BACKTEST_FIGURE: Final = "staleness.png"
#: Longer is no schedule that a project may declare.
_MOST_DAYS: Final = 3_650


class BacktestQuestion(Contract):
    """What is asked: how the champion of run `run_id` ages on the rows of dataset `dataset_id`.

    `limit` is how much of the metric may be lost to age, None for a hundredth of the metric's scale. `window` is how
    many periods a model learns from, None for all before it. `training_usd` is what a run costs, None where it is
    unknown. No fit is begun that would not end within `seconds`.
    """

    project: str
    run_id: str
    dataset_id: str
    period: str = Field(default="month", pattern=PERIOD)
    limit: float | None = Field(default=None, gt=0)
    window: int | None = Field(default=None, ge=1)
    training_usd: float | None = Field(default=None, ge=0)
    seconds: float = 9_000


class BacktestCell(Contract):
    """A model that learnt up to the end of period `trained`, on the rows of the later period `scored`.

    Periods are counted from 0. `resamples` is the metric on resamples of these rows, the same ones for every model;
    `worth` is money per row by `why.value`, None where the project declares none.
    """

    trained: int
    scored: int
    score: float
    rows: int
    standard_error: float | None = None
    resamples: tuple[float, ...] = ()
    worth: float | None = None
    trained_rows: int = 0

    @property
    def age(self) -> int:
        """How many periods after its training the model is used: 1 in the first one."""
        return self.scored - self.trained


class AgeLoss(Contract):
    """How much of the metric a model of this age has lost beside one of age 1, with a 95 % interval; more is worse.

    `periods` is on how many periods both were compared.
    """

    age: int
    loss: float
    lower: float
    upper: float
    periods: int


class Cadence(Contract):
    """Every how many periods to train: the greatest age that is not yet too old, with a 95 % interval.

    `seen` is the greatest age that was looked at. What reaches it may be longer, so `upper` is then None.
    """

    periods: int
    lower: int
    upper: int | None
    seen: int


class CheapestCadence(Cadence):
    """The cadence of least cost: `costs` are those of each, from 1 on: training and what age loses, per period."""

    currency: str
    costs: tuple[float, ...]


class Staleness(Contract):
    """How a model ages. `slope` is the loss per period of age with a 95 % interval, `words` all of it in a sentence.

    `too_few` has neither curve nor cadence, and says what is needed.
    """

    verdict: Literal["found", "none", "too_few"]
    limit: float
    words: str
    curve: tuple[AgeLoss, ...] = ()
    slope: tuple[float, float, float] | None = None
    cadence: Cadence | None = None
    cheapest: CheapestCadence | None = None


class BacktestResult(Contract):
    """Output of `backtest`. `periods` names each period that cells count; `notes` say what was left out, and why."""

    project: str
    run_id: str
    dataset_id: str
    candidate: str
    metric: str
    greater_is_better: bool
    period: str
    window: int | None
    periods: tuple[str, ...]
    cells: tuple[BacktestCell, ...]
    staleness: Staleness
    notes: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def every_days(self) -> int | None:
        """The proposed cadence as `monitoring.retrain.every_days` has it, None where none is proposed."""
        if self.staleness.cadence is None:
            return None
        days = {"month": 30, "week": 7, "day": 1}.get(self.period) or int(self.period.removesuffix("d"))
        return min(days * self.staleness.cadence.periods, _MOST_DAYS)
