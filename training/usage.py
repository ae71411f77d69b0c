"""What a job uses of its machine, sampled while it works: processor, memory, disk, GPU, under MLflow's names.

https://mlflow.org/docs/latest/ml/tracking/system-metrics/ names them. MLflow's own sampler needs psutil, and a server
to send to, which an isolated job has not: here they are read from /proc, and a file takes them along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from passerelle.contracts.container import MachineUsage
from training.paths import base_dir

FIRST_INTERVAL_SECONDS: Final = 1.0
#: When there are so many samples, every second one is dropped and the interval doubled.
MOST_SAMPLES: Final = 240
_MEGABYTE: Final = 1e6
_GPU_QUERY: Final = ("utilization.gpu", "memory.used", "memory.total")
_GPU_PATIENCE_SECONDS: Final = 5
Sample = dict[str, float]


@contextmanager
def recorded_usage(path: Path) -> Iterator[None]:
    """Sample from here to the end of the block, and write `MachineUsage`; a machine without /proc writes none."""
    sampler = Sampler(read_machine())
    if sampler.take():
        sampler.start()
    try:
        yield
    finally:
        sampler.stop()
        if sampler.samples:
            path.write_text(sampler.usage().model_dump_json(), encoding="utf-8")


class Sampler(threading.Thread):
    """Takes a sample at every interval; a job of any length has at most MOST_SAMPLES of them."""

    def __init__(self, read: Callable[[], Sample], *, interval: float = FIRST_INTERVAL_SECONDS) -> None:
        super().__init__(name="usage", daemon=True)
        self._read, self._interval, self._over = read, interval, threading.Event()
        self.samples: list[tuple[int, Sample]] = []

    def run(self) -> None:
        while not self._over.wait(self._interval):
            self.take()

    def take(self) -> bool:
        """Take one sample; returns whether there was anything to read."""
        found = self._read()
        if found:
            self.samples.append((int(time.time() * 1000), found))
        if len(self.samples) > MOST_SAMPLES:
            self.samples, self._interval = self.samples[::2], self._interval * 2
        return bool(found)

    def stop(self) -> None:
        """Take the last sample; nothing is sampled afterwards."""
        self._over.set()
        if self.is_alive():
            self.join()
            self.take()

    def usage(self) -> MachineUsage:
        """Return the series that every sample has."""
        names = set.intersection(*(set(sample) for _, sample in self.samples))
        series = {name: tuple(round(sample[name], 3) for _, sample in self.samples) for name in sorted(names)}
        return MachineUsage(moments=tuple(moment for moment, _ in self.samples), series=series)


def read_machine(proc: Path = Path("/proc")) -> Callable[[], Sample]:
    """Return what reads a sample: processor time is that since the sample before."""
    before = [_processor_times(proc)]
    smi = shutil.which("nvidia-smi")

    def read() -> Sample:
        now, last = _processor_times(proc), before[0]
        memory = _memory(proc)
        if now is None or last is None or not memory:
            return {}
        before[0] = now
        busy, whole = now[0] - last[0], now[1] - last[1]
        found = {"system/cpu_utilization_percentage": 100 * busy / whole if whole > 0 else 0.0}
        return found | memory | _disk() | (_gpus(smi) if smi else {})

    return read


def _processor_times(proc: Path) -> tuple[int, int] | None:
    """Return (busy, whole) ticks of all cores: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5))."""
    try:
        words = (proc / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    ticks = [int(word) for word in words]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _memory(proc: Path) -> Sample:
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        pages = int((proc / "self" / "statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return {}
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    whole = kibibytes["MemTotal"] * 1024
    used = whole - kibibytes["MemAvailable"] * 1024
    return {
        "system/system_memory_usage_megabytes": used / _MEGABYTE,
        "system/system_memory_usage_percentage": 100 * used / whole,
        "system/process_memory_megabytes": pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE,
    }


def _disk() -> Sample:
    usage = shutil.disk_usage(base_dir())
    return {
        "system/disk_usage_megabytes": usage.used / _MEGABYTE,
        "system/disk_usage_percentage": 100 * usage.used / usage.total,
        "system/disk_available_megabytes": usage.free / _MEGABYTE,
    }


def _gpus(smi: str) -> Sample:
    """Return each NVIDIA GPU's values; nothing while nvidia-smi does not answer."""
    command = [smi, f"--query-gpu={','.join(_GPU_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_PATIENCE_SECONDS, check=True)
        rows = [[float(word) for word in line.split(",")] for line in done.stdout.splitlines()]
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    found: Sample = {}
    for number, (utilization, used, whole) in enumerate(rows):
        megabytes = used * 2**20 / _MEGABYTE  # nvidia-smi counts in MiB
        found[f"system/gpu_{number}_utilization_percentage"] = utilization
        found[f"system/gpu_{number}_memory_usage_megabytes"] = megabytes
        found[f"system/gpu_{number}_memory_usage_percentage"] = 100 * used / whole
    return found
