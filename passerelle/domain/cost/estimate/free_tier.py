"""What AWS gives every account for nothing each month, in the order in which things stand in the estimate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from passerelle.domain.cost.estimate.parts import Component, Item

#: Meters that share an allowance, and how much it is (pricing pages of Lambda, CloudWatch and KMS).
ALLOWANCES: Final = (
    (("lambda.arm64.request", "lambda.x86_64.request"), 1_000_000.0),
    (("lambda.arm64.gb_second", "lambda.x86_64.gb_second"), 400_000.0),
    (("cloudwatch.alarm",), 10.0),
    (("cloudwatch.metric",), 10.0),
    (("logs.ingest", "logs.storage"), 5.0),
    (("kms.request",), 20_000.0),
)
_SHARED: Final = {meter: index for index, (meters, _) in enumerate(ALLOWANCES) for meter in meters}


def less_free_tier(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the items without what is free of them."""
    left = [amount for _, amount in ALLOWANCES]

    def less(component: Component) -> Component:
        index = _SHARED.get(component.meter)
        if index is None:
            return component
        free = min(left[index], component.quantity)
        left[index] -= free
        return replace(component, quantity=component.quantity - free)

    return tuple(replace(item, components=tuple(less(part) for part in item.components)) for item in items)
