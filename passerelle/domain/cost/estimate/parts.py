"""What an estimate consists of: components with a rate, the resources that they belong to, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from passerelle.domain.cost.rates import Rate

#: A month's hours, as AWS's own calculator and Infracost count them.
HOURS: Final = 730.0
Status = Literal["priced", "free", "unpriced", "unsupported"]


@dataclass(frozen=True, kw_only=True)
class Component:
    """One thing of a resource that is paid: `quantity` units a month.

    `usage` when it is paid by use and not by existing. `low` and `expected` are shares of the price on demand, below 1
    where spot or the like may cost less; the highest is always the price on demand. `hours` are those of a month in
    which what can be switched off runs.
    """

    name: str
    quantity: float
    rate: Rate
    meter: str = ""
    usage: bool = False
    low: float = 1.0
    expected: float = 1.0
    hours: float | None = None

    @property
    def usd(self) -> float | None:
        """The month's expected cost, None where the price is unknown."""
        return self.rate.cost(self.quantity * self.expected)

    @property
    def low_usd(self) -> float | None:
        """The least that the month may cost."""
        return self.rate.cost(self.quantity * self.low)

    @property
    def high_usd(self) -> float | None:
        """The most that the month may cost, all on demand."""
        return self.rate.cost(self.quantity)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A resource, where it is, and what of it is paid; `reasons` say what could not be priced, and why."""

    stack: str
    stage: str
    name: str
    type: str
    path: str = ""
    components: tuple[Component, ...] = ()
    reasons: tuple[str, ...] = ()
    supported: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """What names the resource in the whole estimate."""
        return f"{self.stack}/{self.name}"

    @property
    def status(self) -> Status:
        """Return `unsupported`, `unpriced` where something has no price, `free`, or `priced`."""
        if not self.supported:
            return "unsupported"
        if self.reasons or any(component.rate.usd is None for component in self.components):
            return "unpriced"
        return "priced" if self.components else "free"

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Everything of it that has no price, in words."""
        rows = (
            f"{part.name}: no price of {part.rate.service} {part.rate.sku} in {part.rate.region}"
            for part in self.components
            if part.rate.usd is None
        )
        return (*self.reasons, *rows)

    def usd(self, *, usage: bool | None = None) -> float:
        """Return the month's known cost: all of it, or only fixed (False) or by use (True)."""
        return sum(part.usd or 0.0 for part in self.components if usage in (None, part.usage))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a deployment costs a month: at least, as far as prices are known."""

    region: str
    items: tuple[Item, ...]
    assumptions: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    free_tier: bool = False

    @property
    def components(self) -> Iterator[Component]:
        """Everything that is paid."""
        for item in self.items:
            yield from item.components

    @property
    def fixed_usd(self) -> float:
        """What exists costs, whether or not anybody uses it."""
        return sum(item.usd(usage=False) for item in self.items)

    @property
    def usage_usd(self) -> float:
        """What use costs, as assumed."""
        return sum(item.usd(usage=True) for item in self.items)

    @property
    def usd(self) -> float:
        """The expected total: a floor where something is unpriced."""
        return self.fixed_usd + self.usage_usd

    @property
    def range_usd(self) -> tuple[float, float]:
        """The least and the most, by what spot saves."""
        parts = tuple(self.components)
        return sum(part.low_usd or 0.0 for part in parts), sum(part.high_usd or 0.0 for part in parts)

    def of_stage(self, stage: str) -> tuple[float, float]:
        """Return what a stage costs, fixed and by use."""
        items = [item for item in self.items if item.stage == stage]
        return sum(item.usd(usage=False) for item in items), sum(item.usd(usage=True) for item in items)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that there are."""
        return tuple(dict.fromkeys(item.stage for item in self.items))

    @property
    def complete(self) -> bool:
        """Return whether everything has a price."""
        return not self.problems and all(item.status in ("priced", "free") for item in self.items)

    @property
    def dates(self) -> tuple[str, ...]:
        """The dates of the prices that were used."""
        return tuple(sorted({part.rate.as_of for part in self.components if part.rate.as_of}))

    def counted(self, status: Status) -> int:
        """Return how many resources have a status."""
        return sum(item.status == status for item in self.items)
