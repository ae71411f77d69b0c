"""On which device candidates are fitted."""

from __future__ import annotations

from pathlib import Path

from passerelle.domain import machine
from training.progress import tell


def device(gpu: Path = machine.GPU) -> str:
    """Return "cuda" when the instance has an NVIDIA GPU and XGBoost can use it; one that it cannot use is told."""
    found = machine.device(gpu)
    if found == "cpu" and gpu.exists():
        why = "this image's XGBoost is built for processors only (xgboost-cpu)"
        tell("gpu_not_used", why=f"{why}: the job pays for a GPU that it does not use")
    return found
