"""Fit one candidate once, in a process of its own, as the training job does.

    python -m bench.fit_once FOLDER CANDIDATE DEVICE THREADS

Prints one JSON object. The seconds are those of `Pipeline.fit`, its encoders included; the memory is the most that the
process had at any time, the interpreter and reading the Parquet included.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.flights import INPUTS
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.machine import device_of, gpu_problem
from training.train.data import read_rows


def main(folder: str, name: str, device: str, threads: str) -> None:
    """Read, fit, tell."""
    rows = read_rows(Path(folder), INPUTS, "binary")
    pipeline = make_candidate(
        name, task="binary", inputs=INPUTS, time_parts=("weekday",), seed=2013, threads=int(threads), device=device
    )
    started, before = time.perf_counter(), time.process_time()
    pipeline.fit(rows.frame, rows.labels)
    seconds, processor = time.perf_counter() - started, time.process_time() - before
    if device == "cuda" and device_of(pipeline.named_steps["model"].get_booster()) != "cuda":
        # XGBoost only warns: the processor's time would stand in the record as the GPU's.
        sys.exit(f"The fit did not run on the GPU: {gpu_problem() or 'XGBoost does not say why'}.")
    print(json.dumps({"wall": seconds, "processor": processor, "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """Return the most memory that this process has had; getrusage would also count what its parent had (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
