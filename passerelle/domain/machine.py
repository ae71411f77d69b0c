"""What the numbers of a model may depend on besides data, code and seed: versions, processor, threads."""

from __future__ import annotations

import json
import os
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("scikit-learn", "xgboost-cpu", "xgboost", "numpy", "scipy", "pandas", "skops")

#: Where Linux shows the first NVIDIA GPU.
GPU: Final = Path("/dev/nvidia0")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device(gpu: Path = GPU) -> str:
    """Return "cuda" when the machine has an NVIDIA GPU and XGBoost can use it."""
    return "cuda" if gpu.exists() and not gpu_problem() else "cpu"


def gpu_problem() -> str | None:
    """Return why XGBoost does not compute on this machine's GPU, None when it does.

    It is tried: without a GPU that its CUDA build can use, XGBoost warns and goes on with the processor.
    """
    import xgboost

    found = xgboost.build_info()
    if not found.get("USE_CUDA"):
        return "this XGBoost is built for processors only (xgboost-cpu)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            rows = xgboost.DMatrix([[0.0], [1.0]], label=[0.0, 1.0])
            booster = xgboost.train({"device": "cuda", "tree_method": "hist"}, rows, 1)
        except xgboost.core.XGBoostError as error:
            return f"XGBoost cannot compute on it: {str(error).splitlines()[0]}"
    if device_of(booster) == "cuda":
        return None
    cuda = ".".join(map(str, found.get("CUDA_VERSION", ())))
    return f"XGBoost, which is built with CUDA {cuda}, finds none that it can use: the driver may be too old for it"


def device_of(booster: Any) -> str:
    """Return where a booster computes, "cuda" or "cpu"; what was asked for may be another."""
    told = str(json.loads(booster.save_config())["learner"]["generic_param"]["device"])
    return told.partition(":")[0]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(threads: int, device: str) -> dict[str, str]:
    """Return the processor, the device, and how many threads candidates, OpenMP and BLAS (once loaded) compute with.

    A sum over several threads is rounded by how it is divided among them: XGBoost and BLAS give other last bits with
    another number of threads.
    """
    from threadpoolctl import threadpool_info

    pools = {str(pool["user_api"]): int(pool["num_threads"]) for pool in threadpool_info()}
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "device": device,
        "threads": str(threads),
        **{f"{name}_threads": str(number) for name, number in sorted(pools.items())},
    }


def processor() -> str:
    """Return the processor's name, as Linux tells it: `platform.processor` says there only what `machine` says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
