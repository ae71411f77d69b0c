"""When a model is trained anew, and why: a schedule, lasting drift, a loss, new labels, and a time to cool down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from passerelle.domain.drift.signal import SEVERITIES, Severity
from passerelle.domain.monitoring.incidents import Cause, Incident
from passerelle.domain.project.monitoring import Retrain

Trigger = Literal["schedule", "drift", "estimated", "realised", "labels"]
#: Values that are broken or stay away are to be mended, not learnt from: where they do so in many rows. A few, or those
#: of one segment, may be so for good, and a model that is never trained for them loses more than one that is.
_FAULTS: tuple[Cause, ...] = ("absent", "broken")
#: A run begins minutes after the look that asks for it: at the look a week later it is not yet seven days old.
_SLACK: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class RetrainRule:
    """When to train anew; None never does for that reason. Never without new labelled rows, or on a major fault.

    `every` is a schedule; `drift` the severity from which lasting drift does; `loss` how much of the metric may be
    lost, estimated or realised, before it does; `labels` how many new labels do, as a share of the rows that the
    model was trained on. After a run began, `cool_down` passes before another one begins by itself.
    """

    every: timedelta | None = None
    drift: Severity | None = None
    loss: float | None = None
    labels: float | None = None
    cool_down: timedelta = timedelta(days=1)

    @classmethod
    def of(cls, declared: Retrain) -> Self:
        """Return the rule that a project.yaml declares."""
        return cls(
            every=None if declared.every_days is None else timedelta(days=declared.every_days),
            drift=declared.drift,
            loss=declared.loss,
            labels=declared.labels,
            cool_down=timedelta(hours=declared.cool_down_hours),
        )


@dataclass(frozen=True, kw_only=True)
class Loss:
    """How much worse a metric is than when the model was accepted, above 0 for worse, with its 95 % interval.

    `windows` are those it is of, together.
    """

    value: float
    lower: float
    upper: float
    windows: int = 1

    def is_sure(self, limit: float) -> bool:
        """Whether its whole interval lies above nought and its value above the limit."""
        return self.value >= limit and self.lower > 0


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known when it is asked: `began` is when a run last trained, whatever became of its model.

    `new_labels` are the labelled rows that were accepted since then, which no model has seen.
    """

    now: datetime
    began: datetime
    incidents: Sequence[Incident] = ()
    estimated: Loss | None = None
    realised: Loss | None = None
    new_labels: int = 0
    trained_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether to train anew: the triggers that ask for it with their reasons, and what holds it back, if anything."""

    retrain: bool
    triggers: tuple[tuple[Trigger, str], ...]
    held_back: str = ""


def decide(rule: RetrainRule, state: State) -> Verdict:
    """Return whether to train anew now.

    A loss counts when its whole interval lies above nought and its value above the limit; realised loss is asked
    before estimated, which guesses at the same.
    """
    triggers = tuple(_triggers(rule, state))
    held_back = _held_back(rule, state) if triggers else ""
    return Verdict(retrain=bool(triggers) and not held_back, triggers=triggers, held_back=held_back)


def _triggers(rule: RetrainRule, state: State) -> Iterator[tuple[Trigger, str]]:
    since = state.now - state.began
    if rule.every is not None and since >= rule.every - _SLACK:
        yield "schedule", f"a model was last trained {since.days} days ago (every {rule.every.days} days)"
    if rule.drift is not None:
        for incident in state.incidents:
            grave = SEVERITIES.index(incident.severity) >= SEVERITIES.index(rule.drift)
            if incident.cause in ("drift", "answers") and grave:
                yield "drift", f"{incident.words} ({incident.severity}, since {incident.since})"
                break
    told: tuple[tuple[Trigger, Loss | None], ...] = (("realised", state.realised), ("estimated", state.estimated))
    for kind, loss in told:
        if rule.loss is not None and loss is not None:
            if loss.is_sure(rule.loss):
                over = f" over {loss.windows} windows together" if loss.windows > 1 else ""
                yield kind, f"the metric is worse by {loss.value:.4f} ({loss.lower:.4f} to {loss.upper:.4f}){over}"
            break  # what is known is not guessed at
    if rule.labels is not None and state.trained_rows and state.new_labels >= rule.labels * state.trained_rows:
        share = state.new_labels / state.trained_rows
        yield "labels", f"{state.new_labels:,} new labels, {share:.0%} of the {state.trained_rows:,} rows trained on"


def _held_back(rule: RetrainRule, state: State) -> str:
    if not state.new_labels:
        return "no labelled rows came since a model was last trained: it would learn nothing new"
    since = state.now - state.began
    if since < rule.cool_down:
        return f"a run began {_hours(since)} ago; the next one may after {_hours(rule.cool_down)}"
    fault = next((one for one in state.incidents if one.cause in _FAULTS and one.everywhere == "major"), None)
    if fault:
        return f"the data has a fault that would be learnt: {fault.words}"
    return ""


def _hours(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
