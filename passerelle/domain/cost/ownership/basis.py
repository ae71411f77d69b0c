"""All figures of a comparison together, and the cases that lie between their ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from passerelle.domain.cost.ownership.busy import Busy
from passerelle.domain.cost.ownership.cloud import Market, Rented, Way
from passerelle.domain.cost.ownership.machines import capacity
from passerelle.domain.cost.ownership.owned import Machines
from passerelle.domain.cost.ownership.sources import End, Figure, converted, exchange_rate, of_amount, owned_figures
from passerelle.domain.cost.ownership.workload import Workload

#: What makes its side cheaper when it is high.
_CHEAPER_WHEN_HIGH: Final = ("residual_share", "spot_saving")
_OTHER_END: Final[Mapping[End, End]] = {"low": "high", "expected": "expected", "high": "low"}
_OF_MACHINES: Final = tuple(field.name for field in fields(Machines))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One value for each figure."""

    busy: Busy
    rented: Rented
    machines: Machines


@dataclass(frozen=True, kw_only=True)
class Basis:
    """A workload with every figure that its comparison rests on; `unknown` says why a way to pay has no price."""

    workload: Workload
    figures: Mapping[str, Figure]
    unknown: Mapping[Way, str]
    servers: int
    instances: int

    def case(
        self,
        *,
        use: End = "expected",
        cloud: End = "expected",
        owned: End = "expected",
        single: Mapping[str, End] | None = None,
    ) -> Case:
        """Return the case at an end of each side's *cost*: `owned="low"` is owning at its cheapest.

        `single` sets figures by name to an end of their own.
        """
        single = single or {}

        def value(name: str, side: End) -> float:
            end = single.get(name) or (_OTHER_END[side] if name in _CHEAPER_WHEN_HIGH else side)
            return self.figures[name].at(end)

        busy = Busy(
            utilisation=value("utilisation", use), growth=value("growth_a_year", use), years=self.workload.years
        )
        known: dict[str, Any] = {name: value(name, owned) for name in _OF_MACHINES if name in self.figures}
        if self.workload.owned.colocation_includes_power:
            known["electricity_per_kwh"] = 0.0
        again = value("spot_lost_hours", cloud) * self.figures["spot_interruptions"].expected if self._has(
            "spot_interruptions") else 0.0  # fmt: skip
        rented = Rented(
            instances=self.instances,
            price=self.figures["cloud_price"].expected * value("price_change", cloud),
            other_per_month=value("other_per_month", cloud),
            always_on=self.workload.cloud.always_on,
            spot_saving=value("spot_saving", cloud) if self._has("spot_saving") else None,
            spot_again=again,
            plan_price=value("plan_price", cloud) if self._has("plan_price") else None,
        )
        return Case(busy=busy, rented=rented, machines=Machines(servers=self.servers, **known))

    def _has(self, name: str) -> bool:
        return name in self.figures


def basis_of(workload: Workload, market: Market) -> Basis:
    """Return all figures in the workload's currency, and how many machines carry the need on each side."""
    cloud, server, need = workload.cloud, workload.owned.server, workload.need
    in_server = server.gpus if need.unit == "gpu" else server.vcpus
    noted = cloud.gpus if need.unit == "gpu" else cloud.vcpus
    in_instance = noted or capacity(cloud.instance_type, need.unit)
    figures = {figure.name: figure for figure in _figures(workload)}
    figures |= {name: converted(figure, workload) for name, figure in market.figures.items()}
    return Basis(
        workload=workload,
        figures=figures,
        unknown=market.unknown,
        servers=math.ceil(need.count / (in_server or 1)),
        instances=math.ceil(need.count / (in_instance or 1)),
    )


def _figures(workload: Workload) -> Iterator[Figure]:
    use = workload.use
    yield of_amount("utilisation", use.busy, unit="of all hours, in the first year")
    yield of_amount("growth_a_year", use.growth_a_year, unit="more work each year")
    yield from owned_figures(workload)
    yield exchange_rate(workload)
