"""How a fit is divided: stages short enough that a kill at any moment loses at most an interval, and no shorter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from training.train.stages import StageCosts

#: What a checkpoint costs may take at most this share of the time: what costs much is done less often.
COST_SHARE: Final = 0.1
#: SIGTERM is heeded between stages, and SIGKILL follows after 120 s.
LONGEST_STAGE_SECONDS: Final = 60.0
#: Stages of an interval. A checkpoint is due one stage too early rather than too late, and the first stage of each
#: interval may take longer than foreseen by all the others.
STAGES: Final = 8
#: Where each stage costs extra, there are as few as may be: the second of them is the interval's rest.
DEAR_STAGES: Final = 2


class Pace:
    """How many rounds at a time, and when what is fitted must be kept.

    A kill loses at most `interval` seconds of fitting: `every_seconds`, or ten times what a checkpoint costs where that
    is more; the shortest stage that may be (`StageCosts.least` rounds) where that is longer than both.
    """

    def __init__(self, every_seconds: float, total: int, done: int, costs: StageCosts) -> None:
        self._every_seconds, self._total, self.done, self._costs = every_seconds, total, done, costs
        self._stage_rounds, self._stage_seconds = 0, 0.0
        self._writing_seconds, self._extra_seconds = 0.0, 0.0
        self._begun = self._reached_at = self._saved_at = time.monotonic()

    def stages(self) -> Iterator[int]:
        """Yield the rounds to have after each stage; how long the stages before took decides the next."""
        # Asked for the first stage when the rows are encoded: what every start has to do is no work that gets lost.
        self._reached_at = self._saved_at = time.monotonic()
        stage = self.done
        while stage < self._total:
            stage = min(self._total, self.done + self._step)
            yield stage

    def reached(self, done: int) -> None:
        """Take note that a stage has ended."""
        now = time.monotonic()
        if self._costs.extra and not self._stage_rounds:
            self._extra_seconds = now - self._reached_at
        self._stage_rounds, self._stage_seconds = done - self.done, now - self._reached_at
        self.done, self._reached_at = done, now

    def saved(self, writing_seconds: float) -> None:
        """Take note that the state is kept, and how long that took."""
        self._writing_seconds = writing_seconds
        self._saved_at = self._reached_at = time.monotonic()

    @property
    def interval(self) -> float:
        """Seconds of work that may be lost."""
        return max(self._every_seconds, (self._writing_seconds + self._extra_seconds) / COST_SHARE)

    @property
    def seconds(self) -> float:
        """How long this attempt has been at it."""
        return time.monotonic() - self._begun

    @property
    def due(self) -> bool:
        """Whether the state must be kept now: the next stage may end after the interval, or the fit has ended.

        What comes after a fit can be lost too; a fit that ends within half an interval of its last state is not kept.
        """
        unsaved = time.monotonic() - self._saved_at
        if self.done == self._total:
            return unsaved > self.interval / 2
        ahead = self._stage_seconds * min(self._step, self._total - self.done) / self._stage_rounds
        return unsaved + ahead + self._writing_seconds > self.interval * (1 - 1 / STAGES)

    @property
    def _step(self) -> int:
        if not self._stage_rounds:
            return self._costs.least - self.done % self._costs.least
        stages = DEAR_STAGES if self._costs.extra else STAGES
        seconds = min(self.interval / stages, LONGEST_STAGE_SECONDS)
        rounds = int(self._stage_rounds * seconds / max(self._stage_seconds, 1e-6))
        return max(self._costs.least, rounds // self._costs.least * self._costs.least)
