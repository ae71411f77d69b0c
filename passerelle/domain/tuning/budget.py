"""How long a search may go on: trials, minutes and USD, whichever ends first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

End = Literal["trials", "minutes", "usd", "max_runtime_minutes"]
#: Of the job's time limit, so that an interrupted search does not cost the trained candidates.
RUNTIME_SHARE: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a search may use; None is no limit. `hourly_usd` is the price of the instance."""

    trials: int | None = None
    minutes: float | None = None
    usd: float | None = None
    hourly_usd: float | None = None
    max_runtime_minutes: float | None = None

    def ended(self, *, trials: int, seconds: float) -> End | None:
        """Return which limit is reached first, None while none is."""
        if self.trials is not None and trials >= self.trials:
            return "trials"
        reached = [(limit, name) for name, limit in self._seconds().items() if seconds >= limit]
        return min(reached)[1] if reached else None

    def cost(self, seconds: float) -> float | None:
        """Return what so many seconds cost, None when the price is unknown."""
        return None if self.hourly_usd is None else self.hourly_usd * seconds / 3600

    def _seconds(self) -> dict[End, float]:
        limits: dict[End, float] = {}
        if self.minutes is not None:
            limits["minutes"] = self.minutes * 60
        if self.usd is not None:
            # Without a price no second can be shown to be within a budget in USD.
            limits["usd"] = self.usd / self.hourly_usd * 3600 if self.hourly_usd else 0.0
        if self.max_runtime_minutes is not None:
            limits["max_runtime_minutes"] = RUNTIME_SHARE * self.max_runtime_minutes * 60
        return limits
