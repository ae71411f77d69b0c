"""The rented side: on demand, spot, savings plan. A price that is unknown or too old makes no number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from passerelle.domain.cost.instances import Instance, find_spot
from passerelle.domain.cost.ownership.busy import MONTHS, Busy
from passerelle.domain.cost.ownership.machines import on_demand
from passerelle.domain.cost.ownership.sources import Figure, cloud_figures, of_amount
from passerelle.domain.cost.ownership.workload import MONTH_HOURS, Workload
from passerelle.domain.cost.prices import Price, read_on
from passerelle.errors import InputError

Way = Literal["on demand", "spot", "savings plan"]
WAYS: Final[tuple[Way, ...]] = ("on demand", "spot", "savings plan")
#: Around the mean saving of spot, so much either way, as in `passerelle cost estimate`.
_SPOT_EITHER_WAY: Final = 0.1
_MOST_SAVING: Final = 0.95
_LIST_BIAS: Final = "AWS's list price, a seller's own: discounts of your contract are not in it."
_DERIVED_BIAS: Final = "Computed from EC2's price by us, no price of AWS."
_SPOT_BIAS: Final = "AWS's own figure, of EC2 and not of SageMaker, and a mean: the bill says what is saved."


@dataclass(frozen=True, kw_only=True)
class Rented:
    """One value of each figure of the rented side, in one currency; a saving or rate that is unknown is None.

    `instances` carry the need once; prices are per instance-hour.
    """

    instances: int
    price: float
    other_per_month: float
    always_on: bool = False
    spot_saving: float | None = None
    spot_again: float = 0.0
    plan_price: float | None = None

    def rate(self, way: Way) -> float | None:
        """Return what an hour of the need costs; spot's holds the work that is done again after interruptions."""
        if way == "on demand":
            return self.instances * self.price
        if way == "spot":
            return None if self.spot_saving is None else (
                self.instances * self.price * (1 - self.spot_saving) * (1 + self.spot_again)
            )  # fmt: skip
        return None if self.plan_price is None else self.instances * self.plan_price


def by_use(rented: Rented, way: Way) -> bool:
    """Return whether only busy hours are paid."""
    return way != "savings plan" and not rented.always_on


def month(rented: Rented, busy: Busy, year: int, way: Way) -> float | None:
    """Return what a month of a year costs; None when the rate is unknown.

    A savings plan is paid for every hour, used or not; what exceeds it is on demand.
    """
    rate = rented.rate(way)
    if rate is None:
        return None
    hours = busy.hours(year)
    if way == "savings plan":
        more = busy.fleets[year] * MONTH_HOURS if rented.always_on else hours
        over = max(0.0, more - MONTH_HOURS) * rented.instances * rented.price
        return rate * MONTH_HOURS + over + rented.other_per_month
    paid = hours if by_use(rented, way) else busy.fleets[year] * MONTH_HOURS
    return rate * paid + rented.other_per_month


def rented_total(rented: Rented, busy: Busy, way: Way) -> float | None:
    """Return what renting costs over all years; None when the rate is unknown."""
    months = [month(rented, busy, year, way) for year in range(busy.years)]
    known = [amount for amount in months if amount is not None]
    return MONTHS * sum(known) if len(known) == len(months) else None


@dataclass(frozen=True, kw_only=True)
class Market:
    """What could be found out of the rented side: figures by name, and why a way to pay has no price."""

    figures: Mapping[str, Figure]
    unknown: Mapping[Way, str]


def market(workload: Workload, *, today: date, oldest_days: int, accept_old: bool) -> Market:
    """Return the figures of the rented side, in USD as far as they are money of the price table.

    Raises
    ------
    InputError : the price on demand is older than that, or has no date, and nobody has accepted that.
    """
    cloud = workload.cloud
    price = on_demand(cloud.component, cloud.instance_type, cloud.region)
    if price is None:
        raise InputError(f"cloud.instance_type: {cloud.instance_type} has no known price in {cloud.region}.")
    if not accept_old and (told := _too_old(price.as_of, today, oldest_days)):
        raise InputError(
            f"cloud.instance_type: the price of {cloud.instance_type} in {cloud.region} ({price.usd:g} USD) {told}. "
            "Prices move: p5.48xlarge fell by 44 % within 17 months. `passerelle --env ENV cost prices update` reads "
            "today's; --accept-old-prices compares with this one."
        )
    found = {figure.name: figure for figure in cloud_figures(workload)}
    found["cloud_price"] = _listed(price)
    unknown: dict[Way, str] = {}
    spot = dict(_spot(workload, today, oldest_days, accept_old=accept_old))
    if isinstance(reason := spot.get("unknown"), str):
        unknown["spot"] = reason
    found |= {name: figure for name, figure in spot.items() if isinstance(figure, Figure)}
    if cloud.savings_plan:
        found["plan_price"] = of_amount(
            "plan_price", cloud.savings_plan, unit="per instance-hour, used or not", currency=workload.currency
        )
    else:
        unknown["savings plan"] = "its rate is in no public list that was read: give cloud.savings_plan"
    return Market(figures=found, unknown=unknown)


def _too_old(as_of: str, today: date, oldest_days: int) -> str:
    read = read_on(as_of)
    if read is None:
        return f"has no date ({as_of or 'none'})"
    age = (today - read).days
    return f"was read {as_of}, {age} days ago, and {oldest_days} are allowed" if age > oldest_days else ""


def _listed(price: Price) -> Figure:
    bias = _DERIVED_BIAS if price.derived else _LIST_BIAS
    return Figure(
        name="cloud_price",
        low=price.usd,
        expected=price.usd,
        high=price.usd,
        unit="per instance-hour on demand",
        source=price.source,
        as_of=price.as_of,
        bias=bias,
        currency="USD",
    )


def _spot(workload: Workload, today: date, oldest_days: int, *, accept_old: bool) -> Iterator[tuple[str, Figure | str]]:
    """Yield spot's saving and interruptions an hour, or `unknown` with the reason why there is no price."""
    cloud = workload.cloud
    sagemaker = cloud.instance_type.startswith("ml.")
    if not cloud.spot or cloud.always_on or (sagemaker and cloud.component != "Training"):
        yield "unknown", "left out: spot is for work that may be interrupted, and SageMaker has it for training only"
        return
    type_ = f"ml.{cloud.instance_type.removeprefix('ml.')}"
    read = find_spot(Instance(type_, 0, 0, "", 0), cloud.region)
    if cloud.spot_saving:
        yield "spot_saving", of_amount("spot_saving", cloud.spot_saving, unit="of the price on demand")
    elif read is None:
        yield "unknown", f"nobody has read what spot saves on {cloud.instance_type} there: give cloud.spot_saving"
        return
    elif not accept_old and (told := _too_old(read.as_of, today, oldest_days)):
        yield "unknown", f"{read.source}'s saving {told}: give cloud.spot_saving, or --accept-old-prices"
        return
    else:
        ends = [min(_MOST_SAVING, max(0.0, read.saving + by)) for by in (-_SPOT_EITHER_WAY, 0.0, _SPOT_EITHER_WAY)]
        near = "" if read.exact else ", of another size of the family"
        source = f"{read.source}{near}; ten points either way"
        yield "spot_saving", _of_spot("spot_saving", ends, "of the price on demand", source, read.as_of)
    if read:
        often = [read.interruptions_an_hour] * 3
        yield "spot_interruptions", _of_spot("spot_interruptions", often, "an hour", read.source, read.as_of)


def _of_spot(name: str, ends: list[float], unit: str, source: str, as_of: str) -> Figure:
    low, expected, high = ends
    return Figure(
        name=name, low=low, expected=expected, high=high, unit=unit, source=source, as_of=as_of, bias=_SPOT_BIAS
    )
