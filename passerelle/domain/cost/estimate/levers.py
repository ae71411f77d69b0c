"""What would make the fixed part cheaper, and by how much: each computed from the estimate's own lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.estimate.parts import HOURS, Component, Estimate, Item
from passerelle.domain.cost.rates import metered_rate

#: A working day of ten hours from Monday to Friday.
OFFICE_HOURS: Final = HOURS * 50 / 168
_DATABASE: Final = "AWS::RDS::DBInstance"
_SERVICE: Final = "AWS::ECS::Service"


@dataclass(frozen=True)
class Lever:
    """Something to do, and what it saves a month; `taken` when the templates already do it."""

    what: str
    usd: float
    taken: bool = False


def levers(estimate: Estimate) -> tuple[Lever, ...]:
    """Return every lever that saves something, those not taken first, the greatest first."""
    found = [lever for finder in _FINDERS for lever in finder(estimate) if lever.usd >= 0.01]
    return tuple(sorted(found, key=lambda lever: (lever.taken, -lever.usd)))


def _of(estimate: Estimate, type_: str, meter: str = "") -> Iterator[tuple[Item, Component]]:
    for item in estimate.items:
        if item.type == type_:
            yield from ((item, part) for part in item.components if not part.usage and meter in ("", part.meter))


def _sum(estimate: Estimate, type_: str, meter: str = "") -> float:
    return sum(part.usd or 0.0 for _, part in _of(estimate, type_, meter))


def _network(estimate: Estimate) -> Iterator[Lever]:
    nat = _sum(estimate, "AWS::EC2::NatGateway")
    if nat:
        nat += sum(part.usd or 0.0 for _, part in _of(estimate, "AWS::EC2::EIP"))
        yield Lever("NAT gateways: network.egress: public-egress or endpoints", nat)
    elif any(item.type == "AWS::EC2::VPC" for item in estimate.items):
        per_hour = (metered_rate(meter, estimate.region).usd for meter in ("nat.hour", "public_ipv4.hour"))
        known = [usd for usd in per_hour if usd is not None]
        if len(known) == 2:
            yield Lever("no NAT gateway and address", sum(known) * HOURS, taken=True)
    zones = _sum(estimate, "AWS::EC2::VPCEndpoint")
    yield Lever(
        "interface endpoints: network.egress: public-egress leaves one zone of one", zones - _one_door(estimate)
    )


def _one_door(estimate: Estimate) -> float:
    usd = metered_rate("vpc_endpoint.hour", estimate.region).usd
    return (usd or 0.0) * HOURS


def _hours(estimate: Estimate) -> Iterator[Lever]:
    for type_, what in ((_SERVICE, "containers"), (_DATABASE, "databases")):
        taken = still = 0.0
        for _, part in _of(estimate, type_):
            if part.hours is None or part.usd is None:
                continue
            if part.hours < HOURS:
                taken += part.usd * (HOURS / part.hours - 1)
            else:
                still += part.usd * (1 - OFFICE_HOURS / HOURS)
        yield Lever(f"{what} in working hours only (tracking.hours)", taken, taken=True)
        yield Lever(f"{what} ten hours a working day: tracking.hours", still)


def _spot(estimate: Estimate) -> Iterator[Lever]:
    for taken in (True, False):
        parts = [
            part for _, part in _of(estimate, _SERVICE)
            if part.meter != "public_ipv4.hour" and (part.low < 1) == taken
        ]  # fmt: skip
        usd = 0.7 * sum(part.usd or 0.0 for part in parts)
        yield Lever("MLflow on Fargate Spot (tracking.spot): at most", usd, taken=taken)


def _processor(estimate: Estimate) -> Iterator[Lever]:
    saved = 0.0
    for _, part in _of(estimate, _SERVICE):
        if part.meter.startswith("fargate.x86"):
            other = metered_rate(part.meter.replace("x86", "arm"), estimate.region)
            if other.usd is not None and part.usd is not None:
                saved += part.usd - (other.cost(part.quantity * part.expected) or 0.0)
    yield Lever("ARM instead of x86 on Fargate", saved)


def _small(estimate: Estimate) -> Iterator[Lever]:
    keys = _sum(estimate, "AWS::KMS::Key")
    yield Lever("AWS's own keys instead of a key of yours (free, but nobody decides who may decrypt)", keys)
    yield Lever("each dashboard that nobody looks at; all of them", _sum(estimate, "AWS::CloudWatch::Dashboard"))
    yield Lever("alarms, 0.10 USD each; all of them", _sum(estimate, "AWS::CloudWatch::Alarm"))
    yield Lever("secrets in SSM's parameters (free, without rotation)", _sum(estimate, "AWS::SecretsManager::Secret"))


def _endpoints(estimate: Estimate) -> Iterator[Lever]:
    for item in estimate.items:
        if item.stage == "serve" or item.type == "AWS::SageMaker::Endpoint":
            usd = item.usd(usage=False)
            yield Lever(f"endpoint of {item.name}: serverless, or autoscaling.min: 0 (costs nothing idle)", usd)


_FINDERS: Final[tuple[Callable[[Estimate], Iterator[Lever]], ...]] = (
    _network,
    _hours,
    _spot,
    _processor,
    _small,
    _endpoints,
)
