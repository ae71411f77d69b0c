"""The cheapest training instance for a data size: from measured fits, AWS's prices, and what spot costs and saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from passerelle.domain.cost.fit_times import FitTime, Series, series
from passerelle.domain.cost.instances import Instance, Spot, find_spot, instances
from passerelle.domain.cost.prices import Price, instance_price
from passerelle.domain.project.gpu_types import ON_GPU

#: Of an instance's memory, the share that a fit may have: the rest is the system's, SageMaker's, validation's.
MEMORY_SHARE: Final = 0.7
#: Their fits take no time that counts.
INSTANT: Final = ("baseline", "rule")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be trained: rows and columns of the training period, the candidates, and where."""

    rows: int
    columns: int
    candidates: tuple[str, ...]
    task: str
    region: str
    checkpoint_seconds: float


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One instance: how long the fits take on it, and what they cost; `spot_usd` None where none of spot is known."""

    instance_type: str
    vcpus: int
    memory_gib: float
    gpu: str
    hours: float
    usd: float
    price_as_of: str
    price_derived: bool
    spot_usd: float | None
    interruptions: float | None
    wasted_seconds: float | None

    @property
    def least_usd(self) -> float:
        """The cheaper of on demand and spot."""
        return self.usd if self.spot_usd is None else min(self.usd, self.spot_usd)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Offers, the cheapest first; why there are none, and what everything rests on."""

    memory_gib: float | None
    offers: tuple[Offer, ...]
    problem: str = ""
    notes: tuple[str, ...] = field(default=())


def advise(question: Question, fits: Sequence[FitTime] | None = None) -> Advice:
    """Return what every instance with a known price and enough memory costs for the fits in question.

    Parameters
    ----------
    fits : the measured fits, else the recorded ones.
    """
    counted = [name for name in question.candidates if name not in INSTANT]
    found = {name: series(name, question.task, "cpu", fits=fits) for name in counted}
    known = {name: line for name, line in found.items() if line}
    if problem := _unmeasured(question, found):
        return Advice(memory_gib=None, offers=(), problem=problem)
    memory = max((line.memory_mib(question.rows, question.columns) for line in known.values()), default=0.0) / 1024
    fitting = [item for item in instances() if item.memory_gib * MEMORY_SHARE >= memory]
    offers = [offer for item in fitting if (offer := _offer(question, item, known, fits))]
    problem = "" if offers else f"No instance with a known price in {question.region} has the {memory:.1f} GiB needed."
    return Advice(
        memory_gib=memory,
        offers=tuple(sorted(offers, key=lambda offer: (offer.least_usd, offer.hours))),
        problem=problem,
        notes=tuple(_notes(question, known, fits)),
    )


def _unmeasured(question: Question, found: dict[str, Series | None]) -> str:
    missing = [name for name, line in found.items() if line is None]
    if missing:
        what = f"no fit of {', '.join(missing)} for a {question.task} task"
        return f"Not measured: {what} is recorded (python -m bench.fit)."
    outside = [line for line in found.values() if line and not line.measured(question.rows)]
    if outside:
        low, high = max(line.range[0] for line in outside), min(line.range[1] for line in outside)
        return f"Not measured: {question.rows:,} training rows lie outside of {low:,} to {high:,}, which were measured."
    return ""


def _offer(
    question: Question, instance: Instance, known: dict[str, Series], fits: Sequence[FitTime] | None
) -> Offer | None:
    price = instance_price("SageMaker Training", instance.instance_type, question.region)
    seconds = _seconds(question, instance, known, fits)
    if price is None or seconds is None:
        return None
    hours, usd = seconds / 3600, price.usd * seconds / 3600
    spot = find_spot(instance, question.region)
    spot_usd, interruptions, wasted = _on_spot(question, price, seconds, spot) if spot else (None, None, None)
    return Offer(
        instance_type=instance.instance_type,
        vcpus=instance.vcpus,
        memory_gib=instance.memory_gib,
        gpu=instance.gpu,
        hours=hours,
        usd=usd,
        price_as_of=price.as_of,
        price_derived=price.derived,
        spot_usd=spot_usd,
        interruptions=interruptions,
        wasted_seconds=wasted,
    )


def _seconds(
    question: Question, instance: Instance, known: dict[str, Series], fits: Sequence[FitTime] | None
) -> float | None:
    """Return the seconds of all fits, None for a GPU instance whose GPU no recorded run has measured."""
    total = 0.0
    for name, line in known.items():
        if instance.gpu and name in ON_GPU:
            gpu = series(name, question.task, "cuda", instance.gpu, fits)
            if gpu is None or not gpu.measured(question.rows):
                return None
            total += gpu.seconds(question.rows, question.columns)
        else:
            total += line.seconds(question.rows, question.columns, instance.vcpus)
    return None if instance.gpu and not set(known) & set(ON_GPU) else total


def _on_spot(question: Question, price: Price, seconds: float, spot: Spot) -> tuple[float, float, float]:
    """Return USD, expected interruptions, and the seconds that they waste: each at most a checkpoint interval."""
    interruptions = spot.interruptions_an_hour * seconds / 3600
    wasted = interruptions * min(question.checkpoint_seconds, seconds)
    return price.usd * (1 - spot.saving) * (seconds + wasted) / 3600, interruptions, wasted


def _notes(question: Question, known: dict[str, Series], fits: Sequence[FitTime] | None) -> list[str]:
    hardware = sorted({f"{line.hardware} ({', '.join(line.dates)})" for line in known.values()})
    notes = [
        f"Fit times measured on {'; '.join(hardware)}, on one thread, interpolated on logarithms and in proportion to "
        "the columns. A vCPU is taken to be as quick as a core there.",
        _parallel_note(known),
        "Fits only: starting the instance, reading, scoring, the search and the reduction come on top.",
        "Spot's saving and interruptions are EC2's (AWS Spot Advisor, 2025-06-28, upper end of the band; those of "
        "another size of the family where a size has none): SageMaker publishes none.",
    ]
    return [note for note in (*notes, _gpu_note(question, known, fits)) if note]


def _gpu_note(question: Question, known: dict[str, Series], fits: Sequence[FitTime] | None) -> str:
    """Say on which GPUs fits were measured, where and when, and which instances are left out for want of a run."""
    if not set(known) & set(ON_GPU):
        return "GPU instances are not compared: none of the candidates uses a GPU."
    found = {
        gpu: series(ON_GPU[0], question.task, "cuda", gpu, fits)
        for gpu in dict.fromkeys(item.gpu for item in instances() if item.gpu)
    }
    measured = [line for line in found.values() if line and line.measured(question.rows)]
    names = sorted({f"{line.hardware} ({', '.join(line.dates)})" for line in measured})
    without = [
        f"{item.instance_type} ({item.gpu})" for item in instances() if item.gpu and found[item.gpu] not in measured
    ]
    told = [f"Fits on a GPU measured on {'; '.join(names)}."] if names else []
    if without:
        why = "no run with so many rows on their GPU is recorded (make bench-gpu)"
        told.append(f"GPU instances that are not compared, as {why}: {', '.join(without)}.")
    return " ".join(told)


def _parallel_note(known: dict[str, Series]) -> str:
    unmeasured = sorted(name for name, line in known.items() if line.parallel_share is None)
    if not unmeasured:
        return "More vCPUs shorten the share of a fit that was measured to run on several threads (Amdahl's law)."
    return f"More vCPUs are taken to shorten nothing of {', '.join(unmeasured)}: only one thread was measured."
