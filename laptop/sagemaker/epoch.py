"""How times look outside: epoch milliseconds in events, as SageMaker's EventBridge details have them."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """JSON fallback: a time as epoch milliseconds."""
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    raise TypeError(f"{type(value).__name__} is not JSON")
