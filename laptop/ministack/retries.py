"""Retry as Step Functions documents it: MaxDelaySeconds, JitterStrategy, and States.Runtime that nothing catches.

MiniStack computes IntervalSeconds * BackoffRate ** attempt from the retrier that its lookup returns, so the lookup
returns one whose interval is already computed (Step Functions developer guide, "Handling errors").
"""

from __future__ import annotations

import random
from typing import Any

#: A laptop's clock is worth more than AWS's patience: no single delay is longer.
LONGEST_DELAY_SECONDS = 60.0


def install_retries() -> None:
    """Patch MiniStack's lookup of retriers and its matching of error names."""
    from ministack.services import stepfunctions as sfn

    find, matches = sfn._find_matching_retrier, sfn._error_matches

    def find_retrier(retriers: Any, error: str, counts: dict[int, int]) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, -1
        return {**retrier, "IntervalSeconds": delay(retrier, counts.get(index, 0)), "BackoffRate": 1.0}, index

    def error_matches(names: list[str], error: str) -> bool:
        """States.ALL and States.TaskFailed do not catch States.Runtime (same page, "Error names")."""
        return bool(matches(names, error)) and (error != "States.Runtime" or error in names)

    sfn._find_matching_retrier, sfn._error_matches = find_retrier, error_matches


def delay(retrier: dict[str, Any], attempt: int) -> float:
    """Return the seconds before the next attempt."""
    seconds = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** attempt
    seconds = min(seconds, float(retrier.get("MaxDelaySeconds", seconds)), LONGEST_DELAY_SECONDS)
    return random.uniform(0, seconds) if retrier.get("JitterStrategy") == "FULL" else seconds
