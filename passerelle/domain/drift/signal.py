"""What may be wrong with a window: one signal for each way in which it differs from its reference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.effect import Effect

#: distribution: the mix of values. missing, unseen, tail, infinite, invalid: the share of rows that have no value, a
#: level the reference never held, a value beyond all but a thousandth of it, no finite number, no number at all.
#: constant, empty, lost, new: of the whole column. together: two columns' dependence on each other. volume, freshness:
#: of the whole window, without a column. estimated, realised: of the model's worth, before and after labels are known.
Kind = Literal[
    "distribution", "missing", "unseen", "tail", "infinite", "invalid",
    "constant", "empty", "lost", "new", "together", "volume", "freshness", "estimated", "realised",
]  # fmt: skip
Severity = Literal["none", "minor", "moderate", "major"]
SEVERITIES: Final[tuple[Severity, ...]] = ("none", "minor", "moderate", "major")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From which effect on a difference is minor, moderate, major; `false_alarms` is the share of quiet windows that
    may alarm.

    A shift by an eighth, a quarter and a half of the standard deviation of a normal column moves 5, 10 and 20 % of its
    rows; the population stability index (PSI) of the latter two is 0.06 and 0.25. The model's answers are held to less:
    whatever moves them matters, and where one of ten decisions is to act, two rows of a hundred are a fifth more.
    """

    distribution: tuple[float, float, float] = (0.05, 0.10, 0.20)
    answers: tuple[float, float, float] = (0.02, 0.05, 0.10)
    share: tuple[float, float, float] = (0.01, 0.05, 0.20)
    false_alarms: float = 0.05

    def of(self, kind: Kind, column: str) -> tuple[float, float, float]:
        """Return the limits of a kind of signal of a column."""
        if kind not in ("distribution", "together", "constant"):
            return self.share
        return self.answers if column in (SCORE, DECISION) else self.distribution


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One difference. It alarms when it is both material (`severity`) and significant (`adjusted_p_value`).

    `current` and `reference` are the shares of rows for kinds that are shares, else None. `usual` is what the column
    moves within the reference's own period. `words` say what moved, and where to. `segment` is the group of rows that
    it is about, as "origin = JFK", "" for all rows.
    """

    column: str
    kind: Kind
    effect: Effect
    p_value: float
    adjusted_p_value: float = 1.0
    severity: Severity = "none"
    alarm: bool = False
    current: float | None = None
    reference: float | None = None
    usual: float = 0.0
    words: str = ""
    segment: str = ""

    @property
    def where(self) -> str:
        """The segment and the column, "" where it is about the whole window."""
        return ": ".join(part for part in (self.segment, self.column) if part)

    @property
    def told(self) -> str:
        """What moved where, in words."""
        return f"{self.where}: {self.words}" if self.where else self.words

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return asdict(self)


def severity_of(value: float, limits: tuple[float, float, float]) -> Severity:
    """Return how severe an effect is."""
    return SEVERITIES[sum(value >= limit for limit in limits)]
