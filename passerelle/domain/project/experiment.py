"""The A/B test of project.yaml: who meets the challenger, what is measured, and what difference matters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from passerelle.domain.project.part import Part


class Experiment(Part):
    """A challenger answers `percent` of the entities until it is shown to be better, or not to be.

    `outcome` is what a prediction yields: the money of `why.value`, or 1 where the decision was right. `effect` is the
    least difference of its mean that matters, in the same unit. Without `entity`, an entity is `data.entity_id`.
    """

    percent: int = Field(default=10, ge=5, le=50)
    outcome: Literal["value", "right"] = "value"
    effect: float = Field(gt=0)
    least_days: int = Field(default=7, ge=1, le=90)
    most_days: int = Field(default=28, ge=1, le=90)
    entity: tuple[str, ...] = ()

    @field_validator("entity", mode="before")
    @classmethod
    def _one_column_may_be_a_plain_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _days_are_in_order(self) -> Experiment:
        if self.least_days > self.most_days:
            raise ValueError(f"least_days {self.least_days} is greater than most_days {self.most_days}")
        return self

    @property
    def share(self) -> float:
        """The challenger's share of the entities."""
        return self.percent / 100
