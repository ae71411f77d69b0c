"""What a Spark job costs on EMR Serverless: what its workers had, by the hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from passerelle.contracts.runs import CostPart
from passerelle.domain.cost.prices import find_price

SERVICE: Final = "EMR Serverless"
#: What is billed -> its row in the price table.
_SKUS: Final = {"vCPU": "x86 vCPU", "memory": "x86 memory", "storage": "storage"}


@dataclass(frozen=True)
class Billed:
    """EMR Serverless's `billedResourceUtilization`: a minute at least for each worker, disk beyond 20 GB of each."""

    vcpu_hours: float
    memory_gb_hours: float
    storage_gb_hours: float


def spark_costs(billed: Billed | None, region: str, name: str) -> tuple[CostPart, ...]:
    """Return what a job's workers cost, each kind by itself: the price of one may be unknown, and that of others not.

    `billed` is None when EMR Serverless does not say what it bills.
    """
    if billed is None:
        return (CostPart(name=name, usd=None, basis=f"an unknown time of {SERVICE}"),)
    used = (
        ("vCPU", billed.vcpu_hours, "vCPU-hours"),
        ("memory", billed.memory_gb_hours, "GB-hours"),
        ("storage", billed.storage_gb_hours, "GB-hours"),
    )
    return tuple(
        CostPart(name=f"{name}: {kind}", usd=_cost(hours, region, kind), basis=f"{hours:.2f} {unit} of {SERVICE}")
        for kind, hours, unit in used
        if hours or kind != "storage"
    )


def whole_cost(parts: tuple[CostPart, ...]) -> float | None:
    """Return the sum of parts; None when one is unknown."""
    known = [part.usd for part in parts if part.usd is not None]
    return sum(known) if len(known) == len(parts) else None


def _cost(hours: float, region: str, kind: str) -> float | None:
    price = find_price(SERVICE, region, _SKUS[kind])
    return None if price is None else hours * price.usd
