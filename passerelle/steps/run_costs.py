"""What a run would cost on AWS: each part with its basis, and what is not counted. What is unknown is never zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.aws.execution_usage import ExecutionUsage, FunctionUsage
from passerelle.contracts.runs import CostPart, RunCost, RunRecord
from passerelle.domain.cost.prices import find_price

#: (service, sku) rows of the price table that mean the same thing in different regions.
_TRANSITION: Final = (
    ("Step Functions Standard", "state transition"),
    ("Step Functions Standard", "EUW3-StateTransition"),
)
_REQUEST: Final = {
    "arm64": (("Lambda", "requests"), ("Lambda arm64", "EUW3-Request-ARM")),
    "x86_64": (("Lambda", "requests"),),
}
_GB_SECOND: Final = {
    "arm64": (("Lambda arm64", "duration 0-7.5B GB-s"), ("Lambda arm64", "EUW3-Lambda-GB-Second-ARM")),
    "x86_64": (("Lambda x86", "duration 0-6B GB-s"), ("Lambda x86", "EUW3-Lambda-GB-Second")),
}
#: Unit of a row of the price table -> how many pieces it is the price of.
_PIECES: Final = {"1k transitions": 1e3, "transition": 1, "1M requests": 1e6, "request": 1, "GB-second": 1}
EXCLUDED: Final = (
    "earlier attempts, requests and storage of S3 and DynamoDB, logs, taxes, free tiers, and what runs all the time "
    "(endpoint, MLflow and its database)"
)


def run_cost(record: RunRecord, usage: ExecutionUsage | None, region: str) -> RunCost:
    """Return the cost of a run's attempt; `usage` is None when Step Functions does not say what was used."""
    parts = (*_jobs(record), _transitions(usage, region), _functions(usage, region))
    known = [part.usd for part in parts if part.usd is not None]
    return RunCost(
        known_usd=sum(known) if known else None,
        complete=len(known) == len(parts),
        parts=parts,
        excluded=EXCLUDED,
    )


def _jobs(record: RunRecord) -> Iterator[CostPart]:
    for stage in record.stages:
        if "billed" in stage.summary:  # by kind of resource (EMR Serverless)
            yield from (CostPart.model_validate(part) for part in stage.summary["billed"])
        elif stage.instance_type is not None:
            seconds = "an unknown time" if stage.billable_seconds is None else f"{stage.billable_seconds:.0f} s"
            yield CostPart(name=stage.stage, usd=stage.cost_usd, basis=f"{seconds} of {stage.instance_type}")


def _transitions(usage: ExecutionUsage | None, region: str) -> CostPart:
    name = "Step Functions"
    if usage is None:
        return CostPart(name=name, usd=None, basis="an unknown number of state transitions")
    price = _unit_price(_TRANSITION, region)
    usd = None if price is None else price * usage.transitions
    return CostPart(name=name, usd=usd, basis=f"{usage.transitions} state transitions")


def _functions(usage: ExecutionUsage | None, region: str) -> CostPart:
    if usage is None or usage.functions is None:
        return CostPart(name="Lambda", usd=None, basis="an unknown time of functions")
    costs = [_function(item, region) for item in usage.functions]
    known = [cost for cost in costs if cost is not None]
    calls, work = sum(item.calls for item in usage.functions), sum(item.gb_seconds for item in usage.functions)
    return CostPart(
        name="Lambda",
        usd=sum(known) if len(known) == len(costs) else None,
        basis=f"{calls} calls, at most {work:.1f} GB-seconds",
    )


def _function(item: FunctionUsage, region: str) -> float | None:
    request = _unit_price(_REQUEST.get(item.architecture, ()), region)
    second = _unit_price(_GB_SECOND.get(item.architecture, ()), region)
    return None if request is None or second is None else request * item.calls + second * item.gb_seconds


def _unit_price(rows: tuple[tuple[str, str], ...], region: str) -> float | None:
    """Return the price of one piece; None when the table has none for the region, or in a unit that is not known."""
    for service, sku in rows:
        price = find_price(service, region, sku)
        if price and price.unit in _PIECES:
            return price.usd / _PIECES[price.unit]
    return None
