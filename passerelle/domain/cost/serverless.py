"""Which memory size of a serverless endpoint costs least, from what the server was measured to need at full speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.prices import find_price

SERVICE: Final = "SageMaker Serverless Inference"
#: The sizes that `MemorySizeInMB` may have (CloudFormation, AWS::SageMaker::EndpointConfig ServerlessConfig).
MEMORY_SIZES: Final = (1024, 2048, 3072, 4096, 5120, 6144)
#: SageMaker "auto-assigns compute resources proportional to the memory you select" (developer guide, "Serverless
#: Inference", memory size) and gives no figure. The nearest documented one is Lambda's: a vCPU at 1,769 MB (Lambda
#: developer guide, "Configure Lambda function memory").
MB_OF_A_VCPU: Final = 1769
#: How much of its memory a server may need at its measured peak: larger requests and a longer life need more.
MEMORY_SHARE: Final = 0.75
MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Work:
    """One piece of work at full speed: by the clock, and what it took of the processor in all threads."""

    seconds: float
    processor_seconds: float


@dataclass(frozen=True)
class Measured:
    """A server on a whole core or more; the start lasts from the process's start to the first answer."""

    ping: Work
    start: Work
    request: Work
    peak_memory_mb: float


@dataclass(frozen=True)
class Traffic:
    """Requests that come independently of one another, and how long an idle environment is kept for the next."""

    requests_per_hour: float
    keep_warm_minutes: float

    @property
    def cold_share(self) -> float:
        """Return how many of the requests meet no environment: the gap before them was longer than one is kept.

        Gaps between independent requests are exponential (Poisson process): P(gap > t) = exp(-rate * t).
        """
        return math.exp(-self.requests_per_hour * self.keep_warm_minutes / 60)


@dataclass(frozen=True)
class Offer:
    """What one memory size gives, and costs for a million requests; None where its price is unknown."""

    memory_mb: int
    vcpus: float
    holds: bool
    first_ping_seconds: float
    first_answer_seconds: float
    warm_request_ms: float
    price_per_second: float | None
    price_as_of: str | None
    usd_per_million: float | None
    #: The same if the share of starts were billed like requests.
    usd_per_million_with_starts: float | None


def vcpus(memory_mb: int) -> float:
    """Return how many vCPUs a memory size is taken to give."""
    return memory_mb / MB_OF_A_VCPU


def seconds_at(work: Work, share: float) -> float:
    """Return how long work takes on a share of a core: waiting takes no longer, the processor's part 1/share as long.

    More than a core makes it no quicker: a start and a request of one row are one thread's work.
    """
    return work.seconds + work.processor_seconds * (1 / min(share, 1.0) - 1)


def offers(measured: Measured, traffic: Traffic, region: str) -> tuple[Offer, ...]:
    """Return what each memory size gives and costs."""
    return tuple(_offer(size, measured, traffic, region) for size in MEMORY_SIZES)


def _offer(memory_mb: int, measured: Measured, traffic: Traffic, region: str) -> Offer:
    share = vcpus(memory_mb)
    start, request = seconds_at(measured.start, share), seconds_at(measured.request, share)
    price = find_price(SERVICE, region, f"ServerlessInf:Mem-{memory_mb // 1024}GB")
    with_starts = billed_seconds(request) * (1 - traffic.cold_share) + billed_seconds(start) * traffic.cold_share
    return Offer(
        memory_mb=memory_mb,
        vcpus=share,
        holds=measured.peak_memory_mb <= memory_mb * MEMORY_SHARE,
        first_ping_seconds=seconds_at(measured.ping, share),
        first_answer_seconds=start,
        warm_request_ms=request * 1_000,
        price_per_second=price.usd if price else None,
        price_as_of=price.as_of if price else None,
        usd_per_million=price.usd * billed_seconds(request) * MILLION if price else None,
        usd_per_million_with_starts=price.usd * with_starts * MILLION if price else None,
    )


def billed_seconds(seconds: float) -> float:
    """Return a time in begun milliseconds: SageMaker bills "by the millisecond", and Lambda rounds up."""
    return math.ceil(round(seconds * 1_000, 6)) / 1_000


def cheapest(found: tuple[Offer, ...], *, with_starts: bool = False) -> Offer | None:
    """Return the size that costs least of those that hold the model; None when none does or no price is known."""
    priced = [
        (usd, offer.memory_mb, offer)
        for offer in found
        if offer.holds
        and (usd := offer.usd_per_million_with_starts if with_starts else offer.usd_per_million) is not None
    ]
    return min(priced)[2] if priced else None
