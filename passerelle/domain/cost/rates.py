"""What one piece of something costs: rows of the price table, which AWS names and counts differently in its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.meters import meters
from passerelle.domain.cost.prices import Price, find_price, instance_price

#: Unit of a row of the price table -> how many pieces it is the price of, and what one of them is called.
_PIECES: Final = {
    "1k transitions": (1e3, "transition"),
    "1k requests": (1e3, "request"),
    "10k requests": (1e4, "request"),
    "10k calls": (1e4, "call"),
    "1M requests": (1e6, "request"),
    "1M events": (1e6, "event"),
}
#: What EMR Serverless bills -> its row, and unit.
_SPARK: Final = {
    "vCPU": ("x86 vCPU", "vCPU-hour"),
    "memory": ("x86 memory", "GB-hour"),
    "storage": ("storage", "GB-hour"),
}
#: SageMaker component -> the rows of its volumes.
_VOLUME: Final = {
    "SageMaker Training": "Training volume gp2",
    "SageMaker Processing": "Processing volume gp2",
    "SageMaker Hosting": "Endpoint volume gp2",
}
_SERVERLESS: Final = "SageMaker Serverless Inference"
_MIB_PER_GIB: Final = 1024


@dataclass(frozen=True)
class Rate:
    """The price of one `unit` in USD, None when it is unknown, and the row of the price table that was looked for.

    `source` and `as_of` say where and when it was read; `derived` when it was computed and not read.
    """

    service: str
    region: str
    sku: str
    unit: str
    usd: float | None
    source: str = ""
    as_of: str = ""
    derived: bool = False

    def cost(self, quantity: float | None) -> float | None:
        """Return what so many units cost; None when one of the two is unknown."""
        return None if self.usd is None or quantity is None else self.usd * quantity


def metered_rate(meter: str, region: str) -> Rate:
    """Return the rate of one unit of a meter; KeyError for a meter that does not exist."""
    found = meters()[meter]
    return _known(found.rows, region, found.unit)


def row_rate(service: str, sku: str, region: str, unit: str) -> Rate:
    """Return the rate of what has a row for each of its kinds, such as a database by its instance class."""
    return _known(((service, sku), (service, f"EUW3-InstanceUsage:{sku}")), region, unit)


def instance_rate(component: str, instance_type: str, region: str) -> Rate:
    """Return the rate of a SageMaker instance's hour; `component` as for `instance_price`."""
    price = instance_price(component, instance_type, region)
    return _rate(price, component, region, instance_type, "instance-hour")


def volume_rate(component: str, region: str) -> Rate:
    """Return the rate of a month of a GB on the volume of a component's instance."""
    return _known((("SageMaker storage", _VOLUME[component]),), region, "GB-month")


def serverless_rate(memory_mb: int, region: str) -> Rate:
    """Return the rate of a second of a serverless endpoint's work, by its memory."""
    gigabytes = memory_mb // _MIB_PER_GIB
    rows = ((_SERVERLESS, f"{prefix}ServerlessInf:Mem-{gigabytes}GB") for prefix in ("", "USE1-"))
    return _known(tuple(rows), region, "second")


def warm_rate(memory_mb: int, region: str) -> Rate:
    """Return the rate of a second of a serverless environment that is kept warm: AWS's price could not be read."""
    sku = f"ServerlessInf:Provisioned-{memory_mb // _MIB_PER_GIB}GB"
    return _known(((_SERVERLESS, sku),), region, "second")


def transition_rate(region: str) -> Rate:
    """Return the rate of a state transition of a Standard workflow."""
    return metered_rate("step_functions.transition", region)


def call_rate(architecture: str, region: str) -> Rate:
    """Return the rate of a call of a Lambda function."""
    return _lambda_rate(architecture, "request", region)


def work_rate(architecture: str, region: str) -> Rate:
    """Return the rate of a GB-second of a Lambda function."""
    return _lambda_rate(architecture, "gb_second", region)


def _lambda_rate(architecture: str, meter: str, region: str) -> Rate:
    name = f"lambda.{architecture}.{meter}"
    if name in meters():
        return metered_rate(name, region)
    return Rate("Lambda", region, f"{meter} {architecture}", meter.replace("gb_second", "GB-second"), None)


def spark_rate(kind: str, region: str) -> Rate:
    """Return the rate of what EMR Serverless bills: `vCPU`, `memory` or `storage`."""
    sku, unit = _SPARK[kind]
    return _known((("EMR Serverless", sku),), region, unit)


def _known(rows: tuple[tuple[str, str], ...], region: str, unit: str) -> Rate:
    """Return the first of these rows that has a price in a unit that is known, else the first one without any."""
    for service, sku in rows:
        rate = _rate(find_price(service, region, sku), service, region, sku, unit)
        if rate.usd is not None:
            return rate
    service, sku = rows[0]
    return Rate(service, region, sku, unit, None)


def _rate(price: Price | None, service: str, region: str, sku: str, unit: str) -> Rate:
    pieces, piece = _PIECES.get(price.unit, (1.0, price.unit)) if price else (1.0, unit)
    if price is None or piece != unit:
        return Rate(service, region, sku, unit, None)
    return Rate(service, region, sku, unit, price.usd / pieces, price.source, price.as_of, price.derived)
