"""Lines of the ledger as FOCUS 1.2 wants them (FinOps Open Cost and Usage Specification, focus.finops.org).

PascalCase columns, NULL and never an empty text, UTC with a Z, ISO currency, own columns last and with x_. A line
without a price is no row: BilledCost must not be NULL, and is not zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from passerelle.contracts import tags
from passerelle.contracts.ledger import Charge

VERSION: Final = "1.2"
_AWS: Final = "Amazon Web Services"
#: Beginning of a service's name in the price table -> ServiceName, ServiceCategory, ServiceSubcategory.
_SERVICES: Final = {
    "SageMaker": ("Amazon SageMaker", "AI and Machine Learning", "Machine Learning"),
    "Lambda": ("AWS Lambda", "Compute", "Serverless Compute"),
    "Step Functions": ("AWS Step Functions", "Integration", "Workflow Orchestration"),
    "EMR Serverless": ("Amazon EMR Serverless", "Analytics", "Data Processing"),
}
_OTHER: Final = ("Other", "Other (Other)")
COLUMNS: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
    "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId",
    "SubAccountName", "Tags", "x_BilledQuantity", "x_ChargeId", "x_CostCentre", "x_Environment", "x_Experiment",
    "x_FocusVersion", "x_ModelVersion", "x_PriceAsOf", "x_PriceDerived", "x_PriceSource", "x_Project",
    "x_QuantityBasis", "x_Requests", "x_RunId", "x_Stage",
)  # fmt: skip
#: Of those, the ones that are numbers.
NUMBERS: Final = (
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
    "ListUnitPrice", "PricingQuantity", "x_BilledQuantity", "x_Requests",
)  # fmt: skip
#: And those that are moments.
TIMES: Final = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")


def focus_rows(charges: Iterable[Charge]) -> Iterator[dict[str, Any]]:
    """Yield a row for each line with a known cost, its columns in the order of COLUMNS, None for NULL."""
    for charge in charges:
        if charge.usd is not None:
            row = {**_money(charge, charge.usd), **_time(charge), **_what(charge), **_own(charge)}
            yield {name: row[name] if row[name] != "" else None for name in COLUMNS}


def _money(charge: Charge, usd: float) -> dict[str, Any]:
    """Spot was used for the time that it trained, at a price of its own: list cost and quantity are on demand's."""
    known = charge.on_demand_quantity is not None
    quantity = charge.on_demand_quantity if known else charge.quantity
    return {
        "BilledCost": usd,
        "EffectiveCost": usd,
        "ListCost": charge.on_demand_usd if known else usd,
        "ContractedCost": usd,
        "ListUnitPrice": charge.unit_price_usd,
        "ContractedUnitPrice": usd / quantity if quantity else charge.unit_price_usd,
        "BillingCurrency": "USD",
        "PricingCategory": charge.pricing_category,
        "PricingQuantity": quantity,
        "PricingUnit": charge.unit,
        "ConsumedQuantity": quantity,
        "ConsumedUnit": charge.unit,
    }


def _time(charge: Charge) -> dict[str, Any]:
    first = date.fromisoformat(charge.day).replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return {
        "BillingPeriodStart": f"{first}T00:00:00Z",
        "BillingPeriodEnd": f"{following}T00:00:00Z",
        "ChargePeriodStart": _z(charge.charge_start),
        "ChargePeriodEnd": _z(charge.charge_end),
    }


def _what(charge: Charge) -> dict[str, Any]:
    name, category, subcategory = _service(charge.service)
    account = charge.resource_id.split(":")[4] if charge.resource_id.count(":") > 4 else None
    marks = {
        tags.PROJECT: charge.project,
        tags.COST_CENTRE: charge.cost_centre,
        tags.ENVIRONMENT: charge.environment,
        tags.RUN: charge.run_id,
    }
    return {
        "BillingAccountId": account,
        "BillingAccountName": None,
        "SubAccountId": account,
        "SubAccountName": None,
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{charge.stage}: {charge.resource_name}, {charge.sku}",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": _AWS,
        "ProviderName": _AWS,
        "PublisherName": _AWS,
        "RegionId": charge.region,
        "RegionName": charge.region,
        "ResourceId": charge.resource_id,
        "ResourceName": charge.resource_name,
        "ResourceType": charge.resource_type,
        "ServiceCategory": category,
        "ServiceName": name,
        "ServiceSubcategory": subcategory,
        "SkuId": f"{charge.service}/{charge.sku}",
        "SkuMeter": charge.sku,
        "SkuPriceId": f"{charge.service}/{charge.region}/{charge.sku}",
        "Tags": json.dumps({key: value for key, value in sorted(marks.items()) if value}),
    }


def _own(charge: Charge) -> dict[str, Any]:
    return {
        "x_BilledQuantity": charge.quantity,
        "x_ChargeId": charge.id,
        "x_CostCentre": charge.cost_centre,
        "x_Environment": charge.environment,
        "x_Experiment": charge.experiment,
        "x_FocusVersion": VERSION,
        "x_ModelVersion": charge.model_version,
        "x_PriceAsOf": charge.price_as_of,
        "x_PriceDerived": "true" if charge.price_derived else "false",
        "x_PriceSource": charge.price_source,
        "x_Project": charge.project,
        "x_QuantityBasis": charge.basis,
        "x_Requests": charge.requests,
        "x_RunId": charge.run_id,
        "x_Stage": charge.stage,
    }


def _service(service: str) -> tuple[str, str, str]:
    for beginning, found in _SERVICES.items():
        if service.startswith(beginning):
            return found
    return service, *_OTHER


def _z(moment: str) -> str:
    """Return a moment in UTC with a Z, as FOCUS writes dates."""
    found = datetime.fromisoformat(moment)
    return f"{(found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def csv_cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row as CSV has it: NULL is spelled out, as in FOCUS's own sample data."""
    return ["NULL" if value is None else str(value) for value in row.values()]
