"""Say on standard output what a job is doing: one JSON object per line, and SageMaker's metric lines."""

from __future__ import annotations

import json
from typing import Any


def tell(event: str, **fields: Any) -> None:
    """Print one progress event; the command line shows it live from the job's log."""
    print(json.dumps({"event": event, **fields}, default=str), flush=True)


def metric(name: str, value: float) -> None:
    """Print a metric line that SageMaker's MetricDefinitions match."""
    print(f"{name}={value:.6f}", flush=True)
