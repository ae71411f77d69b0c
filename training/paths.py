"""Where SageMaker puts things: /opt/ml, or what SAGEMAKER_BASE_DIR says instead."""

from __future__ import annotations

import json
import os
from pathlib import Path

from passerelle.contracts.naming import BASE_DIR_VARIABLE


def base_dir() -> Path:
    """Return the folder that is /opt/ml in the container."""
    return Path(os.environ.get(BASE_DIR_VARIABLE, "/opt/ml"))


def processing(part: str) -> Path:
    """Return a folder below /opt/ml/processing."""
    return base_dir() / "processing" / part


def channel(name: str) -> Path:
    """Return the folder of a training channel."""
    return base_dir() / "input" / "data" / name


def hyperparameters() -> dict[str, str]:
    """Return the training job's hyperparameters; every value is a string (SageMaker's contract)."""
    path = base_dir() / "input" / "config" / "hyperparameters.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    return {str(key): str(value) for key, value in document.items()}
