"""Measure XGBoost's fit on the processor and, where one is at hand, on the GPU; say where the GPU starts to pay.

    make bench-gpu             or: python -m bench.gpu [--json] [--rows 100000 1000000 10000000] [--region us-east-1]

The GPU needs `xgboost`, of the same version as our `xgboost-cpu`: it is installed into .build/bench, where
only the GPU's fits find it; all else is the same. Without a GPU the processor's side runs and that is said: nothing of
a GPU is recorded. Fits go into the record that `passerelle advise` reads (passerelle/domain/cost/
fit_times.csv), unless --dry-run. The last line of standard output is one JSON object; it also goes to
bench/results/gpu.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bench.fit import ROOT, Hardware, described, processor, record, run, warn_of_load
from bench.report import say, write_result
from passerelle.domain.cost.fit_times import FitTime, names_gpu
from passerelle.domain.cost.instances import Instance, instances
from passerelle.domain.cost.prices import instance_price
from passerelle.domain.machine import cores

PEERS: Final = ROOT / ".build" / "bench"
CANDIDATE: Final = "xgboost"


def find_gpu() -> str | None:
    """Return the first NVIDIA GPU's name, None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = done.stdout.strip().splitlines()
    return names[0].strip() if done.returncode == 0 and names else None


def install_peer() -> Path:
    """Install XGBoost with CUDA, of our version, into a folder of its own; once, and whole or not at all."""
    wanted = f"xgboost=={version('xgboost-cpu')}"
    peer = PEERS / f"xgboost-gpu-{version('xgboost-cpu')}"
    if not peer.is_dir():
        say(f"installing {wanted} into {peer}")
        partial = peer.with_name(f".{peer.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        # NCCL, its one other dependency, is for several GPUs.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(partial), wanted]
        subprocess.run(command, check=True)
        partial.rename(peer)
    return peer


def pays_from(processor_fits: Sequence[FitTime], gpu_fits: Sequence[FitTime], ratio: float) -> float | None:
    """Return the rows from which a fit on the GPU costs less, None where it does not within what was measured.

    Parameters
    ----------
    ratio : the GPU instance's price over the other's. Times between measured sizes are interpolated on logarithms.
    """
    cpu = {fit.rows: fit.seconds for fit in processor_fits}
    gains = [(fit.rows, math.log(cpu[fit.rows] / (fit.seconds * ratio))) for fit in gpu_fits if fit.rows in cpu]
    gains.sort()
    if not gains or gains[-1][1] <= 0:
        return None
    for (low, before), (high, after) in pairwise(gains):
        if before <= 0 < after:
            share = -before / (after - before)
            return math.exp(math.log(low) * (1 - share) + math.log(high) * share)
    return float(gains[0][0])


def break_even(cpu: Sequence[FitTime], gpu: Sequence[FitTime], region: str) -> list[dict[str, Any]]:
    """Return from how many rows an instance with this GPU is cheaper than one with as many vCPUs as were measured."""
    plain = [item for item in instances() if not item.gpu and cpu and item.vcpus == cpu[0].threads]
    with_gpu = [item for item in instances() if item.gpu and gpu and names_gpu(gpu[0].hardware, item.gpu)]
    found = []
    for other in with_gpu:
        for item in plain:
            prices = (_usd(item, region), _usd(other, region))
            if prices[0] and prices[1]:
                rows = pays_from(cpu, gpu, prices[1] / prices[0])
                found.append(
                    {"processor": item.instance_type, "gpu": other.instance_type, "region": region, "rows": rows}
                )
    return found


def _usd(item: Instance, region: str) -> float | None:
    price = instance_price("SageMaker Training", item.instance_type, region)
    return price.usd if price else None


def compare(cpu: Sequence[FitTime], gpu: Sequence[FitTime]) -> list[dict[str, Any]]:
    """Return the result's rows; the peer is the same fit on the processor, None of a GPU that is not there."""
    on_gpu = {fit.rows: fit.seconds for fit in gpu}
    return [
        {
            "measure": f"fit, {fit.rows:,} rows",
            "unit": "s",
            "ours": on_gpu.get(fit.rows),
            "peer": fit.seconds,
            "peer_name": f"{fit.hardware}, {fit.threads} threads",
            "ratio": round(fit.seconds / on_gpu[fit.rows], 2) if fit.rows in on_gpu else None,
        }
        for fit in cpu
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/gpu.json, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--dry-run", action="store_true", help="measure, and leave the record as it is")
    options = parser.parse_args(arguments)
    warn_of_load()
    gpu_name, here = find_gpu(), Hardware(processor(), "cpu", {})
    gpu: list[FitTime] = []
    failed = False
    # The GPU first: where it does not work, that is known before the processor's hour.
    if gpu_name:
        path = os.pathsep.join([str(install_peer()), str(ROOT)])
        there = Hardware(gpu_name, "cuda", {"PYTHONPATH": path})
        try:
            gpu = run(there, options.rows, [CANDIDATE], [options.threads], 1)
        except subprocess.CalledProcessError as error:
            failed = True
            say(f"{gpu_name}: a fit failed (exit status {error.returncode}, its reason stands above).")
    if not gpu:
        say("No fit ran on a GPU: only the processor is measured, and nothing of a GPU is recorded.")
    cpu = run(here, options.rows, [CANDIDATE], [options.threads], 1)
    if not options.dry_run:
        record([*cpu, *gpu])
    result = {
        "bench": "gpu",
        "rows": compare(cpu, gpu),
        "break_even": break_even(cpu, gpu, options.region),
        "machine": described() | {"gpu": gpu_name},
    }
    write_result(result)
    print(json.dumps(result))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
