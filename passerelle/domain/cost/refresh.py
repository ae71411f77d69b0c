"""Prices as AWS's Price List tells them: what to ask for a region, and which rows of the table its answers are."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from passerelle.domain.cost.meters import meters
from passerelle.domain.cost.prices import COLUMNS, PriceRow

#: Our unit -> the units that the Price List has for it. A price in any other unit is not taken.
_UNITS: Final = {
    "ACU-hour": ("acu-hr", "acu-hrs"),
    "alarm-month": ("alarms",),
    "call": ("api requests", "requests", "api calls"),
    "dashboard-month": ("dashboards",),
    "DPU-hour": ("dpu-hour", "dpu-hours"),
    "event": ("64k-chunks", "event-64k-chunks"),
    "GB": ("gb", "gigabytes"),
    "GB-hour": ("hours", "hrs", "gb-hours"),
    "GB-month": ("gb-mo", "gb-month"),
    "GB-second": ("lambda-gb-second", "gb-seconds", "second", "seconds"),
    "hour": ("hrs", "hours", "hour"),
    "instance-hour": ("hrs", "hours", "hour"),
    "key-month": ("keys", "months"),
    "LCU-hour": ("lcu-hrs",),
    "metric-month": ("metrics",),
    "minute": ("minutes", "minute"),
    "RCU-hour": ("readcapacityunit-hrs",),
    "request": ("requests", "request", "readrequestunits", "writerequestunits", "ios", "api calls"),
    "second": ("sec", "second", "seconds"),
    "secret-month": ("secrets", "secret"),
    "TB": ("terabytes", "tb"),
    "transition": ("statetransitions",),
    "vCPU-hour": ("hours", "hrs", "vcpu-hours"),
    "WCU-hour": ("writecapacityunit-hrs",),
    "zone-month": ("hostedzone",),
}
#: Of a region: `EUW3-`; older services write its name, `eu-west-3-`; us-east-1 has often none.
_PREFIX: Final = r"(?:[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"
_INSTANCE: Final = re.compile(rf"{_PREFIX}(Host|Train|Processing):(ml\.[a-z0-9-]+\.[a-z0-9]+)")
_COMPONENTS: Final = {"Host": "Hosting", "Train": "Training", "Processing": "Processing"}
_SERVERLESS: Final = re.compile(rf"{_PREFIX}(ServerlessInf:Mem-\dGB)")


@dataclass(frozen=True)
class Query:
    """One request: a service, and what its products' attributes are."""

    service_code: str
    filters: Mapping[str, str]


@dataclass
class Refreshed:
    """The rows that were found, and why others were not taken."""

    rows: dict[tuple[str, str, str], PriceRow] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def queries(region: str) -> Iterator[Query]:
    """Yield every request that a region's prices need."""
    found = {(meter.offer.service_code, meter.offer.product_family) for meter in meters().values() if meter.offer}
    for service_code, family in sorted(found):
        yield Query(service_code, {"regionCode": region, "productFamily": family})
    yield Query("AmazonSageMaker", {"regionCode": region})
    postgres = {"productFamily": "Database Instance", "databaseEngine": "PostgreSQL"}
    yield Query("AmazonRDS", {"regionCode": region, **postgres})
    linux = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
    yield Query("AmazonEC2", {"regionCode": region, "productFamily": "Compute Instance", **linux})


def refreshed(region: str, answers: Iterable[tuple[Query, Iterable[Mapping[str, Any]]]]) -> Refreshed:
    """Return the rows of what was answered; of a thing with two prices neither is taken."""
    result = Refreshed()
    doubtful: set[tuple[str, str, str]] = set()
    for query, products in answers:
        for product in products:
            for service, sku, unit in _meant(query, product):
                row = _row(result, product, (service, region, sku), unit)
                if row is None:
                    continue
                known = result.rows.setdefault(row.key, row)
                if known.usd != row.usd and row.key not in doubtful:
                    doubtful.add(row.key)
                    result.problems.append(f"{service} {sku}: two prices, {known.usd:g} and {row.usd:g}: not taken")
    for key in doubtful:
        del result.rows[key]
    return result


def _meant(query: Query, product: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield service, sku and unit of the rows that a product is the price of."""
    attributes: Mapping[str, str] = product.get("product", {}).get("attributes", {})
    usage_type, family = str(attributes.get("usagetype", "")), query.filters.get("productFamily")
    if query.service_code == "AmazonSageMaker":
        yield from _learning(usage_type)
    elif family == "Database Instance":
        zones = attributes.get("deploymentOption", "")
        if zones in ("Single-AZ", "Multi-AZ"):
            yield "RDS PostgreSQL", f"{attributes.get('instanceType')} {zones}", "hour"
    elif family == "Compute Instance":
        if "BoxUsage" in usage_type:
            yield "EC2 on-demand Linux", str(attributes.get("instanceType")), "instance-hour"
    elif _is_general(attributes):
        yield from _metered(query.service_code, str(family), usage_type)


def _learning(usage_type: str) -> Iterator[tuple[str, str, str]]:
    if found := _INSTANCE.fullmatch(usage_type):
        yield f"SageMaker {_COMPONENTS[found[1]]}", found[2], "instance-hour"
    elif found := _SERVERLESS.fullmatch(usage_type):
        yield "SageMaker Serverless Inference", found[1], "second"


def _metered(service_code: str, family: str, usage_type: str) -> Iterator[tuple[str, str, str]]:
    for meter in meters().values():
        offer = meter.offer
        if offer is None or (offer.service_code, offer.product_family) != (service_code, family):
            continue
        if re.fullmatch(_PREFIX + re.escape(offer.usage_type), usage_type):
            yield *meter.rows[0], meter.unit


def _is_general(attributes: Mapping[str, str]) -> bool:
    """Return whether a product is no variant: other engines' storage, FIFO queues, infrequent access."""
    engine, queue = attributes.get("databaseEngine", "Any"), attributes.get("queueType", "Standard")
    storage = attributes.get("volumeType", "")
    return engine in ("Any", "PostgreSQL", "Aurora PostgreSQL") and queue == "Standard" and "Infrequent" not in storage


def _row(result: Refreshed, product: Mapping[str, Any], key: tuple[str, str, str], unit: str) -> PriceRow | None:
    """Return a product's row on demand: the first price above 0, as lower steps may be free."""
    service, region, sku = key
    code = str(product.get("product", {}).get("sku", ""))
    steps = []
    for term in (product.get("terms", {}).get("OnDemand") or {}).values():
        effective = str(term.get("effectiveDate", ""))[:10]
        for step in (term.get("priceDimensions") or {}).values():
            steps.append((_number(step.get("beginRange", "0")), step, effective))
    for _, step, effective in sorted(steps, key=lambda item: item[0]):
        usd = _number((step.get("pricePerUnit") or {}).get("USD"))
        if not math.isfinite(usd) or usd < 0:
            continue
        if str(step.get("unit", "")).lower() not in _UNITS.get(unit, ()):
            result.problems.append(f"{service} {sku}: a price by {step.get('unit')!r}, not by {unit}: not taken")
            return None
        if usd > 0:
            published = str(product.get("publicationDate", ""))[:10] or effective
            source = f"AWS Price List API SKU {code} effective {effective}"
            return PriceRow(service, region, sku, unit, usd, source, published, False)
    return None


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.inf if text == "Inf" else math.nan


def to_csv(rows: Iterable[PriceRow]) -> str:
    """Return a table as text, as `read_rows` reads it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.key):
        usd = "" if row.usd is None else repr(row.usd)
        writer.writerow([row.service, row.region, row.sku, row.unit, usd, row.source, row.as_of])
    return out.getvalue()
