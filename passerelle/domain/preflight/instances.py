"""Which instance types an environment and its projects use, and whether its region offers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.prices import instance_price
from passerelle.domain.preflight.environment import Environment, Tracking
from passerelle.domain.preflight.finding import Finding, required
from passerelle.domain.project import Project
from passerelle.domain.project.gpu_types import has_several_gpus

ENGINE: Final = "postgres"
#: The version that the tracking stack asks for; a test holds both to the same.
ENGINE_VERSION: Final = "17.9"


@dataclass(frozen=True)
class InstanceUse:
    """An instance type, the component of SageMaker's price list that runs on it, and what for."""

    instance_type: str
    component: str
    why: str

    @property
    def ec2_type(self) -> str:
        return self.instance_type.removeprefix("ml.")


def instance_uses(environment: Environment, projects: Sequence[Project]) -> list[InstanceUse]:
    """Return every SageMaker instance type in use, once per component."""
    found: dict[tuple[str, str], list[str]] = {}
    for project in projects:
        found.setdefault((environment.prepare_instance_type, "SageMaker Processing"), []).append(project.name)
        for each in project.training.instance_types:
            found.setdefault((each, "SageMaker Training"), []).append(project.name)
        if project.serving.profile == "real-time":
            found.setdefault((project.serving.instance_type, "SageMaker Hosting"), []).append(project.name)
    return [
        InstanceUse(instance_type, component, ", ".join(names)) for (instance_type, component), names in found.items()
    ]


def judge_instances(uses: Sequence[InstanceUse], offered: set[str], region: str) -> Iterator[Finding]:
    """SageMaker cannot offer what EC2 does not; whether it offers the rest, its quotas and the price table tell.

    Parameters
    ----------
    offered : EC2 instance types, those of `uses` that the region has (DescribeInstanceTypeOfferings).
    """
    for use in uses:
        name = f"Instance: {use.instance_type} for {use.component.split()[1].lower()}"
        if use.ec2_type not in offered:
            yield Finding(
                name, "missing", f"{region} has no {use.ec2_type} ({use.why})",
                f"Choose a type that {region} offers: https://aws.amazon.com/sagemaker/pricing/.",
            )  # fmt: skip
        elif has_several_gpus(use.instance_type):
            yield Finding(
                name, "warning", f"it has several GPUs, and XGBoost fits on one of them ({use.why})",
                "Take a smaller size of that family in project.yaml: it has one GPU.",
            )  # fmt: skip
        elif instance_price(use.component, use.instance_type, region) is None:
            yield Finding(
                name, "warning", f"EC2 offers it in {region}, the price table has no price ({use.why})",
                "See https://aws.amazon.com/sagemaker/pricing/ whether SageMaker offers it there, and for how much.",
            )  # fmt: skip
        else:
            yield Finding(name, "ok", f"offered in {region} ({use.why})")


@dataclass(frozen=True)
class DatabaseOffer:
    """One way in which RDS offers an instance class (DescribeOrderableDBInstanceOptions)."""

    storage_type: str
    multi_az: bool
    zones: tuple[str, ...]


def judge_database(
    environment: Environment, tracking: Tracking, zones: Sequence[str], offers: Sequence[DatabaseOffer]
) -> Finding:
    """Does RDS offer the class with gp3, in the environment's zones, with a standby where one is wanted?"""
    needed = 2 if tracking.multi_az else 1
    wanted = {f"{environment.region}{letter}" for letter in zones}
    fitting = [
        offer
        for offer in offers
        if offer.storage_type == "gp3"
        and (offer.multi_az or not tracking.multi_az)
        and len(wanted.intersection(offer.zones)) >= needed
    ]
    what = f"db.{tracking.database_instance}, {ENGINE} {ENGINE_VERSION}, gp3{', Multi-AZ' if tracking.multi_az else ''}"
    places = f"zones {', '.join(zones)} of {environment.region}"
    if not offers:
        found = f"RDS has no db.{tracking.database_instance} with {ENGINE} {ENGINE_VERSION} in {environment.region}"
        return Finding("Database", "missing", found, "Choose another tracking.database_instance.")
    return required(
        "Database",
        bool(fitting),
        f"{what}{'' if fitting else ': RDS does not offer it'} in {places}",
        "Choose another tracking.database_instance or other network.zones.",
    )
