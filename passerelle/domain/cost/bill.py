"""AWS's own bill beside the ledger: what agrees, what does not, and why that may be.

The bill is Cost Explorer's, or a CUR 2.0 export's. Both name a service and a usage type; those of SageMaker say which
part of it was used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.contracts.ledger import Charge

#: A difference of less than a twentieth, or than ten cents, is rounding, seconds and days that end elsewhere.
SHARE: Final = 0.05
LEAST_USD: Final = 0.10
#: Bills are complete a day or more later (Cost Explorer: "at least every 24 hours").
LAG_DAYS: Final = 2

#: Name in Cost Explorer or product code in CUR 2.0 -> what we call the service.
_SERVICES: Final[Mapping[str, str]] = {
    "Amazon SageMaker": "SageMaker",
    "AmazonSageMaker": "SageMaker",
    "AWS Lambda": "Lambda",
    "AWSLambda": "Lambda",
    "AWS Step Functions": "Step Functions",
    "AmazonStates": "Step Functions",
    "Amazon Elastic MapReduce": "EMR Serverless",
    "ElasticMapReduce": "EMR Serverless",
}
#: Part of a usage type -> part of SageMaker; the first that is found counts, so warm pools stand before training
#: (Cloud Intelligence Dashboards, CUDOS v5).
_PARTS: Final = (
    ("ServerlessInf", "Serverless Inference"),
    ("AsyncInf", "Async Inference"),
    ("Studio", "Studio"),
    ("Notebk", "Notebook"),
    ("Canvas", "Canvas"),
    ("Processing", "Processing"),
    ("TrainWarmPool", "Training warm pool"),
    ("TrSpt", "Training"),
    ("Train", "Training"),
    ("Tsform", "Batch Transform"),
    ("Host", "Hosting"),
    ("MLflow", "MLflow"),
    ("Data-Bytes", "data"),
)
#: How the price table names parts of SageMaker where it differs from the bill.
_OWN_PARTS: Final[Mapping[str, str]] = {"BatchTransform": "Batch Transform", "AsyncInf": "Async Inference"}


@dataclass(frozen=True)
class Billed:
    """What one day's usage of one kind did cost by the bill, in USD."""

    service: str
    usage_type: str
    day: str
    usd: float


@dataclass(frozen=True)
class Difference:
    """One service, or part of SageMaker: USD by the ledger and by the bill, and in words what to make of it.

    `unpriced` is how many lines of the ledger have no price: its sum is a floor then.
    """

    service: str
    ledger_usd: float
    billed_usd: float
    unpriced: int
    agrees: bool
    words: str

    @property
    def usd(self) -> float:
        """How much more the bill says."""
        return self.billed_usd - self.ledger_usd


def compared(charges: Iterable[Charge], billed: Iterable[Billed], *, newest_day: str) -> tuple[Difference, ...]:
    """Return what the ledger and the bill say of each service, the greatest difference first.

    Parameters
    ----------
    newest_day : yyyy-mm-dd, the last one that both are asked of; by it what is not billed yet is told from what never
        will be.
    """
    ours: dict[str, float] = defaultdict(float)
    unpriced: dict[str, int] = defaultdict(int)
    last: dict[str, str] = {}
    for charge in charges:
        name = ledger_part(charge.service)
        ours[name] += charge.usd or 0.0
        unpriced[name] += charge.usd is None
        last[name] = max(last.get(name, ""), charge.day)
    theirs: dict[str, float] = defaultdict(float)
    days: set[str] = set()
    for line in billed:
        theirs[billed_part(line.service, line.usage_type)] += line.usd
        if line.usd > 0:
            days.add(line.day)
    until = max(days, default="")
    found = [
        _difference(name, ours[name], theirs[name], unpriced[name], late=until < min(newest_day, last.get(name, "")))
        for name in {*ours, *(name for name, usd in theirs.items() if round(usd, 4))}
    ]
    return tuple(sorted(found, key=lambda each: (-abs(each.usd), each.service)))


def billed_part(service: str, usage_type: str) -> str:
    """Return the service of a line of the bill as the comparison names it: SageMaker's with its part."""
    name = _SERVICES.get(service, service)
    if name != "SageMaker":
        return name
    return f"SageMaker {next((part for sign, part in _PARTS if sign in usage_type), usage_type)}"


def ledger_part(service: str) -> str:
    """Return the service of a line of the ledger as the comparison names it."""
    if service.startswith("SageMaker "):
        part = service.removeprefix("SageMaker ")
        return f"SageMaker {_OWN_PARTS.get(part, part)}"
    return next((name for name in sorted(set(_SERVICES.values())) if service.startswith(name)), service)


def _difference(name: str, ours: float, theirs: float, unpriced: int, *, late: bool) -> Difference:
    apart = theirs - ours
    agrees = not unpriced and abs(apart) <= max(LEAST_USD, SHARE * max(ours, theirs))
    return Difference(name, ours, theirs, unpriced, agrees, _words(ours, theirs, unpriced, agrees=agrees, late=late))


def _words(ours: float, theirs: float, unpriced: int, *, agrees: bool, late: bool) -> str:
    if agrees:
        return "agrees"
    if unpriced:
        return f"{unpriced} lines of the ledger have no price: `passerelle cost prices update` may know it"
    if not ours:
        return "not metered: the ledger has no lines of it (docs/ledger.md says what it has)"
    if not theirs:
        return (
            "not billed: the days may be too new, the free tier covers it, or the cost allocation tag "
            "passerelle:environment is not active (docs/monitoring.md)"
        )
    if theirs < ours:
        why = "the newest days are not billed yet, " if late else ""
        return f"billed less than list price: {why}a free tier, a discount or a savings plan"
    return (
        "billed more than the ledger: usage that it does not meter, a price that has changed, or lines not metered yet"
    )


def totals(found: Sequence[Difference]) -> tuple[float, float]:
    """Return the sums in USD of the ledger and of the bill."""
    return sum(each.ledger_usd for each in found), sum(each.billed_usd for each in found)
