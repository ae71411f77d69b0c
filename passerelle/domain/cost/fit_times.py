"""How long fits took where they were measured; between measured sizes interpolated, outside of them unknown.

The table is written by `make bench-gpu` and `python -m bench.fit` from runs, each line with its hardware and its date.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class FitTime:
    """One measured fit: `seconds` of its `clock` (wall, or processor for one thread), `peak_mib` of its process."""

    candidate: str
    task: str
    device: str
    hardware: str
    threads: int
    rows: int
    columns: int
    clock: str
    seconds: float
    peak_mib: int
    date: str

    @classmethod
    def of(cls, line: Mapping[str, str]) -> FitTime:
        """Read a line of the table."""
        numbers = {name: int(line[name]) for name in ("threads", "rows", "columns", "peak_mib")}
        texts = {name: line[name] for name in ("candidate", "task", "device", "hardware", "clock", "date")}
        return cls(**texts, **numbers, seconds=float(line["seconds"]))  # type: ignore[arg-type]

    @property
    def key(self) -> tuple[str, str, str, str, int, int, int]:
        """What is measured once."""
        return self.candidate, self.task, self.device, self.hardware, self.columns, self.threads, self.rows


@cache
def fit_times() -> tuple[FitTime, ...]:
    """Return the recorded fits."""
    with files("passerelle.domain.cost").joinpath("fit_times.csv").open(encoding="utf-8") as file:
        return tuple(FitTime.of(line) for line in csv.DictReader(file))


@dataclass(frozen=True, kw_only=True)
class Series:
    """The fits of one candidate on one device, with one thread where it is a processor, from the fewest rows up."""

    candidate: str
    hardware: str
    dates: tuple[str, ...]
    fits: tuple[FitTime, ...]
    parallel_share: float | None

    @property
    def range(self) -> tuple[int, int]:
        """The fewest and the most rows that were measured."""
        return self.fits[0].rows, self.fits[-1].rows

    def measured(self, rows: int) -> bool:
        """Return whether a number of rows lies within what was measured."""
        return self.range[0] <= rows <= self.range[1]

    def seconds(self, rows: int, columns: int, vcpus: int = 1) -> float:
        """Return how long a fit takes: interpolated on logarithms, in proportion to the columns.

        More processors shorten the share of the fit that was measured to run on several (Amdahl 1967, AFIPS 30); where
        that was not measured, they shorten nothing.
        """
        alone = math.exp(self._between(rows, lambda fit: math.log(fit.seconds))) * columns / self.fits[0].columns
        share = self.parallel_share or 0.0
        return alone * (1 - share + share / vcpus)

    def memory_mib(self, rows: int, columns: int) -> float:
        """Return the process's peak: the least measured stays, what came with more rows grows with the columns too."""
        least = self.fits[0].peak_mib
        peak = math.exp(self._between(rows, lambda fit: math.log(fit.peak_mib)))
        return least + max(0.0, peak - least) * columns / self.fits[0].columns

    def _between(self, rows: int, value: Callable[[FitTime], float]) -> float:
        if not self.measured(rows):
            raise ValueError(f"{rows} rows are outside of {self.range}, which was measured")
        for low, high in pairwise(self.fits):
            if rows <= high.rows:
                share = math.log(rows / low.rows) / math.log(high.rows / low.rows)
                return value(low) * (1 - share) + value(high) * share
        return value(self.fits[-1])


def series(
    candidate: str, task: str, device: str, gpu: str = "", fits: Sequence[FitTime] | None = None
) -> Series | None:
    """Return the newest measured series of a candidate, None when there is none.

    Parameters
    ----------
    gpu : the GPU's model that the record's hardware must name: another GPU's times say nothing about this one.
    """
    found = [
        fit
        for fit in (fit_times() if fits is None else fits)
        if (fit.candidate, fit.task, fit.device) == (candidate, task, device) and names_gpu(fit.hardware, gpu)
    ]
    alone = [fit for fit in found if device != "cpu" or fit.threads == 1]
    if not alone:
        return None
    hardware = max(alone, key=lambda fit: fit.date).hardware
    line = sorted((fit for fit in alone if fit.hardware == hardware), key=lambda fit: fit.rows)
    return Series(
        candidate=candidate,
        hardware=hardware,
        dates=tuple(sorted({fit.date for fit in line})),
        fits=tuple(line),
        parallel_share=_parallel_share([fit for fit in found if fit.hardware == hardware]),
    )


def names_gpu(hardware: str, gpu: str) -> bool:
    """Return whether a record's hardware is this model of GPU; every one is the empty model."""
    return not gpu or re.search(rf"\b{re.escape(gpu)}\b", hardware) is not None


def _parallel_share(fits: Sequence[FitTime]) -> float | None:
    """Return the share of a fit that ran on several threads, by the largest data measured with one and with more."""
    alone = {fit.rows: fit.seconds for fit in fits if fit.threads == 1}
    several = [fit for fit in fits if fit.threads > 1 and fit.rows in alone]
    if not several:
        return None
    fit = max(several, key=lambda fit: (fit.rows, fit.threads))
    share = (1 - fit.seconds / alone[fit.rows]) / (1 - 1 / fit.threads)
    return min(1.0, max(0.0, share))
