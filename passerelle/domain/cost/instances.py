"""Training instances: processors, memory and GPU (AWS's pages of EC2 instance types), and what spot saves."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: Spot Advisor's worst band has no upper end ("more than 20 %"); taken as this.
WORST_INTERRUPTED_PERCENT: Final = 30.0
_MONTH_HOURS: Final = 730.0


@dataclass(frozen=True)
class Instance:
    """A SageMaker instance type; `gpu` is the GPU's model, empty without one."""

    instance_type: str
    vcpus: int
    memory_gib: float
    gpu: str
    gpu_memory_gib: float

    @property
    def family(self) -> str:
        return self.instance_type.split(".")[1]


@dataclass(frozen=True)
class Spot:
    """What EC2 spot saved, and the share of instances that it took back within a month, at the upper end of its band.

    SageMaker publishes no figures of its own. `exact` is false when they are those of another size of the family.
    """

    saving: float
    interrupted_a_month: float
    source: str
    as_of: str
    exact: bool

    @property
    def interruptions_an_hour(self) -> float:
        """The constant rate that takes that share within a month."""
        return -math.log1p(-self.interrupted_a_month) / _MONTH_HOURS


def _lines(name: str) -> Iterator[dict[str, str]]:
    with files("passerelle.domain.cost").joinpath(name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


@cache
def instances() -> tuple[Instance, ...]:
    """Return the instances that are compared."""
    return tuple(
        Instance(
            line["instance_type"],
            int(line["vcpus"]),
            float(line["memory_gib"]),
            line["gpu"],
            float(line["gpu_memory_gib"]),
        )
        for line in _lines("instances.csv")
    )


@cache
def _spot_lines() -> tuple[dict[str, str], ...]:
    return tuple(_lines("spot.csv"))


def find_spot(instance: Instance, region: str) -> Spot | None:
    """Return spot's figures for an instance, else for its family; None when neither was read in this region."""
    ec2_type = instance.instance_type.removeprefix("ml.")
    near = [
        line
        for line in _spot_lines()
        if line["region"] == region and line["ec2_type"].startswith(f"{instance.family}.")
    ]
    line = next((line for line in near if line["ec2_type"] == ec2_type), near[0] if near else None)
    if line is None:
        return None
    interrupted = float(line["interrupted_percent_high"] or WORST_INTERRUPTED_PERCENT)
    exact = line["ec2_type"] == ec2_type
    return Spot(float(line["saving_percent"]) / 100, interrupted / 100, line["source"], line["as_of"], exact)


@cache
def _absent() -> dict[tuple[str, str], str]:
    return {
        (line["family"], line["region"]): f"{line['source']}, {line['as_of']}" for line in _lines("not_offered.csv")
    }


def not_offered(instance_type: str, region: str) -> str | None:
    """Return why an instance cannot be had in a region, where that is known; None where it can, or nobody looked."""
    family = instance_type.removeprefix("ml.").split(".")[0]
    source = _absent().get((family, region))
    return source and f"{instance_type} is not offered in {region} ({source}); choose a type that is"
