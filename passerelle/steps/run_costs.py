"""What a run would cost on AWS: each part with its basis, and what is not counted. What is unknown is never zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.aws.execution_usage import ExecutionUsage, FunctionUsage
from passerelle.contracts.runs import CostPart, RunCost, RunRecord
from passerelle.domain.cost.rates import call_rate, transition_rate, work_rate

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
    usd = transition_rate(region).cost(usage.transitions)
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
    calls = call_rate(item.architecture, region).cost(item.calls)
    work = work_rate(item.architecture, region).cost(item.gb_seconds)
    return None if calls is None or work is None else calls + work
