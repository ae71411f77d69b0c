"""The monitoring section of project.yaml: which windows are looked at, what alarms, what trains anew."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from passerelle.domain.project.part import Part

Schedule = Literal["hourly", "daily", "weekly"]
RetrainWord = Literal["never", "on_drift", "weekly", "monthly"]
Effect = Annotated[float, Field(gt=0, le=1)]


class Severities(Part):
    """From which effect on a difference is minor, moderate, major: shares of rows (docs/drift.md).

    `distribution` is of columns, `answers` of the model's score and decision, `share` of missing, unseen and other
    values that should not be. `loss` is of the project's metric, as estimated or as labels show it: in points where it
    lies between 0 and 1, else as a share of what it was. `false_alarms` is the share of quiet windows that may alarm.
    """

    distribution: tuple[Effect, Effect, Effect] = (0.05, 0.10, 0.20)
    answers: tuple[Effect, Effect, Effect] = (0.02, 0.05, 0.10)
    share: tuple[Effect, Effect, Effect] = (0.01, 0.05, 0.20)
    loss: tuple[Effect, Effect, Effect] = (0.01, 0.03, 0.06)
    false_alarms: float = Field(default=0.05, gt=0, le=0.5)

    @field_validator("distribution", "answers", "share", "loss")
    @classmethod
    def _grows(cls, limits: tuple[float, float, float]) -> tuple[float, float, float]:
        if not limits[0] < limits[1] < limits[2]:
            raise ValueError(f"{list(limits)}: give minor, moderate and major in rising order")
        return limits


class Incidents(Part):
    """An incident opens when `opens` of the last `windows` windows alarmed, and is over after `closes` quiet ones."""

    opens: int = Field(default=2, ge=1, le=24)
    windows: int = Field(default=3, ge=1, le=24)
    closes: int = Field(default=2, ge=1, le=24)

    @model_validator(mode="after")
    def _can_open(self) -> Incidents:
        if self.opens > self.windows:
            raise ValueError(f"opens: {self.opens} of the last {self.windows} windows can never alarm")
        return self


class Retrain(Part):
    """What trains anew; what is not given never does.

    `every_days` counts from the last training, whatever became of its model. `loss` is in points of the metric, beyond
    what was promised when the model was accepted; `labels` a share of the rows that it was trained on. After a run
    began, `cool_down_hours` pass before another one begins by itself.
    """

    every_days: int | None = Field(default=None, ge=1, le=3_650)
    drift: Literal["minor", "moderate", "major"] | None = None
    loss: float | None = Field(default=None, gt=0)
    labels: float | None = Field(default=None, gt=0)
    cool_down_hours: float = Field(default=24, ge=0, le=8_760)


_WORDS: Final[dict[RetrainWord, Retrain]] = {
    "never": Retrain(),
    "on_drift": Retrain(drift="moderate"),
    "weekly": Retrain(every_days=7),
    "monthly": Retrain(every_days=30),
}


class Monitoring(Part):
    """When drift is looked for, and what follows.

    A window is an hour, a day or a week (from Monday), in UTC. It is looked at `grace_minutes` after its end, as
    records come with a delay; what comes later still is found, and the window counted again.
    """

    schedule: Schedule = "daily"
    grace_minutes: int = Field(default=20, ge=0, le=1_440)
    severities: Severities = Severities()
    incidents: Incidents = Incidents()
    retrain: RetrainWord | Retrain = "on_drift"

    @property
    def retraining(self) -> Retrain:
        """What a word, or the section, asks for."""
        return self.retrain if isinstance(self.retrain, Retrain) else _WORDS[self.retrain]
