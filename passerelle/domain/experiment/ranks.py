"""Between which percentiles a quantile lies, where only percentiles can be asked for. Standard library only."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

#: The usual answer, and the slowest that many users meet.
QUANTILES: Final = (0.5, 0.9, 0.99)


def quantile_bounds(count: int, share: float, level: float = 0.95) -> tuple[float | None, float | None]:
    """Return the shares of `count` values between which the quantile `share` lies; None where count is too small.

    Large-sample ranks (Conover 1999, Practical Nonparametric Statistics, section 3.2), rounded outwards.
    """
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(count * share * (1 - share))
    lower, upper = math.floor(count * share - half), math.ceil(count * share + half)
    return (lower / count if lower >= 1 else None), (upper / count if upper < count else None)
