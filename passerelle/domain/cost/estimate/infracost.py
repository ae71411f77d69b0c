"""The shape of Infracost's JSON, version 0.2, which its tools read: numbers are text, unknown prices are null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from passerelle.domain.cost.estimate.parts import HOURS, Component, Estimate, Item
from passerelle.domain.cost.estimate.usage import CURRENCY

VERSION: Final = "0.2"


def to_infracost(estimate: Estimate, *, name: str, made: str) -> dict[str, Any]:
    """Return an estimate as Infracost's document.

    Parameters
    ----------
    name : what was estimated.
    made : when, in UTC with Z.
    """
    summary = {
        "totalDetectedResources": len(estimate.items),
        "totalSupportedResources": estimate.counted("priced") + estimate.counted("unpriced"),
        "totalUnsupportedResources": estimate.counted("unsupported"),
        "totalUsageBasedResources": sum(any(part.usage for part in item.components) for item in estimate.items),
        "totalNoPriceResources": estimate.counted("free"),
        "unsupportedResourceCounts": _counts(estimate.items, "unsupported"),
        "noPriceResourceCounts": _counts(estimate.items, "free"),
    }
    low, high = estimate.range_usd
    project = {
        "name": name,
        "metadata": {"type": "cloudformation", "region": estimate.region},
        "pastBreakdown": None,
        "breakdown": {"resources": [_resource(item) for item in estimate.items if item.components or item.reasons],
                      **_totals(estimate.usd, estimate.usage_usd)},
        "diff": None,
        "summary": summary,
    }  # fmt: skip
    return {
        "version": VERSION,
        "currency": CURRENCY,
        "projects": [project],
        **_totals(estimate.usd, estimate.usage_usd),
        "timeGenerated": made,
        "summary": summary,
        "passerelle": {
            "floor": not estimate.complete,
            "fixedMonthlyCost": _text(estimate.fixed_usd),
            "lowMonthlyCost": _text(low),
            "highMonthlyCost": _text(high),
            "priceDates": list(estimate.dates),
            "freeTier": estimate.free_tier,
            "unpriced": {item.address: list(item.unknowns) for item in estimate.items if item.unknowns},
            "unsupported": {item.address: item.type for item in estimate.items if not item.supported},
            "assumptions": list(estimate.assumptions),
            "problems": list(estimate.problems),
        },
    }


def _resource(item: Item) -> dict[str, Any]:
    return {
        "name": item.address,
        "resourceType": item.type,
        "tags": dict(item.tags),
        "metadata": {"stack": item.stack, "stage": item.stage, "path": item.path, "unpriced": list(item.unknowns)},
        "hourlyCost": _text(item.usd(usage=False) / HOURS),
        "monthlyCost": _text(item.usd()),
        "monthlyUsageCost": _text(item.usd(usage=True)),
        "costComponents": [_component(part) for part in item.components],
        "subresources": [],
    }


def _component(part: Component) -> dict[str, Any]:
    return {
        "name": part.name,
        "unit": part.rate.unit,
        "hourlyQuantity": _text(part.quantity / HOURS),
        "monthlyQuantity": _text(part.quantity),
        "price": _text(part.rate.usd),
        "hourlyCost": None if part.usage else _text(None if part.usd is None else part.usd / HOURS),
        "monthlyCost": _text(part.usd),
        "usageBased": part.usage,
        "priceNotFound": part.rate.usd is None,
    }


def _totals(usd: float, usage: float) -> dict[str, str | None]:
    return {
        "totalHourlyCost": _text(usd / HOURS),
        "totalMonthlyCost": _text(usd),
        "totalMonthlyUsageCost": _text(usage),
    }


def _text(number: float | None) -> str | None:
    return None if number is None else f"{number:.12f}".rstrip("0").rstrip(".")


def _counts(items: Iterable[Item], status: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for item in items:
        if item.status == status:
            found[item.type] = found.get(item.type, 0) + 1
    return dict(sorted(found.items()))
