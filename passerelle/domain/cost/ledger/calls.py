"""Lines of what is paid by the call: executions of state machines, functions, jobs of EMR Serverless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from passerelle.contracts.ledger import Charge
from passerelle.domain.cost.ledger.used import Amount, Used
from passerelle.domain.cost.rates import call_rate, spark_rate, transition_rate, work_rate
from passerelle.domain.cost.spark import Billed


@dataclass(frozen=True)
class Calls:
    """Calls of functions of one architecture; GB-seconds None when nobody says how long they took."""

    architecture: str
    calls: float
    gb_seconds: float | None


def execution_charges(used: Used, transitions: int, called: tuple[Calls, ...] | None, region: str) -> Iterator[Charge]:
    """Yield the lines of an execution, and of the functions that it called; `called` is None when these are unknown."""
    basis = "state transitions and retries in its history"
    yield used.charge(transition_rate(region), Amount(quantity=transitions, basis=basis))
    if called is None:
        unknown = Amount(quantity=None, basis="functions that it called, whose memory is not known any more")
        yield used.charge(work_rate("arm64", region), unknown)
    for calls in called or ():
        yield from function_charges(used, calls, "by its clock, which is never less than billed", region)


def function_charges(used: Used, calls: Calls, clock: str, region: str) -> Iterator[Charge]:
    """Yield the lines of calls: how many, and how long; `clock` says how this was measured."""
    counted = Amount(quantity=calls.calls, requests=calls.calls, basis=f"{calls.calls:,.0f} calls")
    yield used.charge(call_rate(calls.architecture, region), counted)
    worked = Amount(quantity=calls.gb_seconds, basis=f"memory × time, {clock}")
    yield used.charge(work_rate(calls.architecture, region), worked)


def spark_charges(used: Used, billed: Billed | None, region: str) -> Iterator[Charge]:
    """Yield the lines of a job of EMR Serverless; `billed` is None where it does not say what it bills."""
    if billed is None:
        yield used.charge(spark_rate("vCPU", region), Amount(quantity=None, basis="EMR Serverless does not say"))
        return
    hours = {"vCPU": billed.vcpu_hours, "memory": billed.memory_gb_hours, "storage": billed.storage_gb_hours}
    for kind, quantity in hours.items():
        if quantity or kind != "storage":
            yield used.charge(spark_rate(kind, region), Amount(quantity=quantity, basis=f"billed by AWS: {kind}"))
