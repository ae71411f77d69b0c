"""A resource as those who price it see it: resolved properties, usage, rates, and the resources that it names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from passerelle.domain.cost import rates
from passerelle.domain.cost.estimate.intrinsics import Reference, Unknown
from passerelle.domain.cost.estimate.parts import HOURS, Component
from passerelle.domain.cost.estimate.schedules import running_hours
from passerelle.domain.cost.estimate.usage import UnpricedError, amount
from passerelle.domain.cost.instances import not_offered


@dataclass(frozen=True)
class Resource:
    """One resource of a template; `find` gives another one that a reference names, or None."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    region: str
    usage: Mapping[str, Any]
    find: Callable[[str], Resource | None]
    schedules: tuple[Mapping[str, Any], ...] = field(default=())

    def value(self, path: str, default: Any = None) -> Any:
        """Return a property by its path, such as `ServerlessConfig.MemorySizeInMB`; UnpricedError if unknown."""
        found: Any = self.properties
        for name in path.split("."):
            if isinstance(found, Unknown):
                break
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, Unknown):
            raise UnpricedError(f"{path} is not known before deployment: {found.why}")
        return default if found is None else found

    def text(self, path: str, default: str | None = None) -> str:
        """Return a property that is text."""
        found = self.value(path, default)
        if not isinstance(found, str | int | float) or isinstance(found, bool | Reference):
            raise UnpricedError(f"{path}: {found!r} is no text" if found is not None else f"{path} is missing")
        return str(found)

    def number(self, path: str, default: float | None = None) -> float:
        """Return a property that is a number, which templates also write as text."""
        found = self.value(path, default)
        try:
            number = math.nan if isinstance(found, bool) else float(found)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise UnpricedError(f"{path}: {found!r} is no quantity" if found is not None else f"{path} is missing")
        return number

    def flag(self, path: str) -> bool:
        """Return a property that is true or false."""
        return str(self.value(path, False)).lower() == "true"

    def items(self, path: str) -> list[Any]:
        """Return a property that is a list; empty without it."""
        found = self.value(path, [])
        if not isinstance(found, list):
            raise UnpricedError(f"{path}: expected a list, found {found!r}")
        return found

    def parts(self, path: str) -> Iterator[Resource]:
        """Yield each mapping of a list as if it were a resource."""
        for index, item in enumerate(self.items(path)):
            if isinstance(item, Unknown):
                raise UnpricedError(f"{path}.{index} is not known before deployment: {item.why}")
            if not isinstance(item, Mapping):
                raise UnpricedError(f"{path}.{index}: expected a mapping, found {item!r}")
            yield self.part(item)

    def part(self, properties: Mapping[str, Any]) -> Resource:
        """Return a part of the resource, which is read in the same way."""
        return Resource(self.logical_id, self.type, properties, self.region, self.usage, self.find, self.schedules)

    def named(self, path: str) -> Resource:
        """Return the resource that a property names; UnpricedError for one that lies elsewhere."""
        found = self.value(path)
        other = self.find(found) if isinstance(found, str) else None
        if other is None:
            raise UnpricedError(f"{path}: {found!r} is no resource of these templates")
        return other

    def used(self, key: str) -> float:
        """Return how much is used a month."""
        return amount(self.usage, key)

    @property
    def hours(self) -> float:
        """The hours a month that the resource runs."""
        return running_hours(self.logical_id, self.schedules)

    def exists(self, name: str, quantity: float, meter: str) -> Component:
        """Return a component that is paid for existing."""
        return Component(name=name, quantity=quantity, rate=rates.metered_rate(meter, self.region), meter=meter)

    def hourly(self, name: str, count: float, meter: str) -> Component:
        """Return a component that is paid all hours of a month."""
        return self.exists(name, count * HOURS, meter)

    def uses(self, name: str, quantity: float, meter: str) -> Component:
        """Return a component that is paid by use."""
        rate = rates.metered_rate(meter, self.region)
        return Component(name=name, quantity=quantity, rate=rate, meter=meter, usage=True)

    def instance(self, component: str, instance_type: str) -> rates.Rate:
        """Return the rate of a SageMaker instance; UnpricedError where its family is not offered."""
        self.need_offered(instance_type)
        return rates.instance_rate(component, instance_type, self.region)

    def need_offered(self, instance_type: str) -> None:
        """Raise UnpricedError for an instance that the region does not have."""
        if reason := not_offered(instance_type, self.region):
            raise UnpricedError(reason)
