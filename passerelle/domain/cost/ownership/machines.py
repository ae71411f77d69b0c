"""Which instances can be rented where, and how many GPUs or vCPUs they have."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from passerelle.domain.cost.instances import not_offered
from passerelle.domain.cost.prices import Price, find_price, instance_price, price_rows
from passerelle.domain.project.findings import did_you_mean

EC2: Final = "EC2 on-demand Linux"
_SIZE: Final = re.compile(r"(?:ml\.)?[mcr]\d+[a-z-]*\.(\d*)(x?)large")


@cache
def regions() -> tuple[str, ...]:
    """Return the regions of the price table."""
    return tuple(sorted({row.region for row in price_rows() if re.fullmatch(r"[a-z]{2}-[a-z]+-\d", row.region)}))


def on_demand(component: str, instance_type: str, region: str) -> Price | None:
    """Return the price of an instance's hour: SageMaker's of an `ml.` type, else EC2's; None when it is unknown."""
    if instance_type.startswith("ml."):
        return instance_price(f"SageMaker {component}", instance_type, region)
    return find_price(EC2, region, instance_type)


def capacity(instance_type: str, unit: str) -> int | None:
    """Return how many GPUs ("gpu") or vCPUs ("cpu") an instance has, None when nobody has noted it.

    AWS's sizes m, c and r have 2 vCPUs as `large`, 4 as `xlarge` and N times 4 as `Nxlarge` (pages of EC2 instance
    types, read 2026-11-21).
    """
    known = _noted().get(f"ml.{instance_type.removeprefix('ml.')}")
    if known:
        return (known[0] if unit == "gpu" else known[1]) or None
    found = _SIZE.fullmatch(instance_type)
    if unit == "gpu" or not found:
        return None
    times, extra = found.groups()
    if not extra:
        return None if times else 2
    return 4 * int(times or 1)


def gpu_model(instance_type: str) -> str:
    """Return which GPU an instance has, "" for none and where nobody has noted it."""
    known = _noted().get(f"ml.{instance_type.removeprefix('ml.')}")
    return known[2] if known else ""


@cache
def _noted() -> dict[str, tuple[int, int, str]]:
    with files("passerelle.domain.cost").joinpath("instances.csv").open(encoding="utf-8") as file:
        return {
            line["instance_type"]: (int(line["gpus"]), int(line["vcpus"]), line["gpu"]) for line in csv.DictReader(file)
        }


def cloud_findings(region: str, instance_type: str, unit: str, given: int | None) -> Iterator[tuple[str, str]]:
    """Yield (field, words) for what cannot be rented or counted."""
    if region not in regions():
        yield "region", f"{region!r} has no price in the table; {did_you_mean(region, regions())}"
        return
    if absent := not_offered(instance_type, region):
        yield "instance_type", absent
        return
    priced = _priced(region)
    if instance_type not in priced:
        others = sorted({row.region for row in price_rows() if row.sku == instance_type and row.usd is not None})
        there = f"; known in {', '.join(others)}" if others else f"; {did_you_mean(instance_type, priced)}"
        yield "instance_type", f"{instance_type!r} has no known price in {region}{there}"
        return
    counted = capacity(instance_type, unit)
    field = "gpus" if unit == "gpu" else "vcpus"
    if counted is None and given is None:
        yield (
            field,
            f"is missing: nobody has noted how many {field} {instance_type} has; AWS's page of the type says it",
        )
    if counted is not None and given is not None and counted != given:
        yield field, f"{instance_type} has {counted}, not {given}; leave it out"


@cache
def _priced(region: str) -> tuple[str, ...]:
    services = (EC2, "SageMaker Training", "SageMaker Processing", "SageMaker Hosting",
                "SageMaker (any component)", "SageMaker (derived)")  # fmt: skip
    found = {
        row.sku for row in price_rows() if row.region == region and row.usd is not None and row.service in services
    }
    return tuple(sorted(found))
