"""The training section of project.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from passerelle.domain.project.gpu_types import has_gpu
from passerelle.domain.project.part import Part
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.rule import RuleError, parse_rule


class Split(Part):
    """Shares of the newest rows for validation and test; by time unless said otherwise."""

    by: Literal["time", "random", "entity"] = "time"
    validation: float = Field(default=0.15, gt=0, lt=0.5)
    test: float = Field(default=0.15, gt=0, lt=0.5)


Severity = Literal["required", "advisory"]


class SegmentGate(Part):
    """When a segment counts as worse: by more than `worse_by`, and not by chance alone.

    `worse_by` is in units of the metric (of one in the label's unit, a share of it); `false_discovery_rate` is the
    share of false alarms among the alarms over all segments.
    """

    worse_by: float = Field(default=0.02, ge=0)
    false_discovery_rate: float = Field(default=0.05, gt=0, lt=1)
    severity: Severity = "required"


class CalibrationGate(Part):
    """How far probabilities may be from what happens (a regression: the mean error, in standard deviations)."""

    tolerance: float = Field(default=0.05, ge=0)
    severity: Severity = "advisory"


class ValueGate(Part):
    """How much less a decision may be worth than the champion's, than never acting and than always acting."""

    worse_by: float = Field(default=0.0, ge=0)
    severity: Severity = "required"


class Gate(Part):
    """What a challenger must show on the test period, in units of the metric.

    `confidence` is how sure it must be that the baseline is beaten and that the champion is not undercut: 0.95 asks for
    proof, 0.5 for the better guess, 0.05 refuses only what is proven to be worse.
    """

    beats_baseline_by: float = Field(default=0.0, ge=0)
    not_worse_than_champion_by: float = Field(default=0.01, ge=0)
    confidence: float = Field(default=0.8, gt=0, lt=1)
    segments: SegmentGate = SegmentGate()
    calibration: CalibrationGate = CalibrationGate()
    value: ValueGate = ValueGate()


class Explain(Part):
    """What `evaluate` explains beyond Shapley values, permutation importance and partial dependence."""

    lime: bool = False


class Training(Part):
    """How models are trained and chosen.

    When AWS has no `instance_type`, the next of `fallback_instance_types` is tried; a spot job that lost its instance
    `on_demand_after_interruptions` times goes on without spot. `keep_alive_minutes` keeps the instance for the next
    job (a warm pool, billed); SageMaker has none for spot. `reduce_features` looks for a model with fewer inputs that
    is as good. `class_weight` is by class (binary: `positive`, `negative`), `weight_column` by row; `calibration: auto`
    calibrates where classes are weighted, which makes a model's probabilities wrong. `model` is a file beside
    project.yaml whose `make_model` competes as candidate `own`.
    A fit under way is kept each `checkpoint_seconds`: an interruption loses at most so much of it.
    `resample_by` says which rows vary together, for every interval of the choice and the gate.
    With `on_drop: keep` a drop trains the first model only; later ones are validated and kept, and `monitoring.retrain`
    (or `passerelle retrain`) says when they are learnt from.
    """

    on_drop: Literal["train", "keep"] = "train"
    candidates: tuple[str, ...] = ()
    reduce_features: bool = True
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    weight_column: str | None = None
    monotone: dict[str, Literal["increasing", "decreasing"]] = {}
    calibration: Literal["auto", "none", "sigmoid", "isotonic"] = "auto"
    model: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.py$")
    rule: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    time_features: tuple[Literal["weekday", "hour", "month", "day_of_year"], ...] = ()
    split: Split = Split()
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    spot: bool = True
    max_runtime_minutes: int = Field(default=60, ge=1, le=40_320)
    max_wait_minutes: int | None = Field(default=None, ge=1)
    checkpoint_seconds: int = Field(default=30, ge=0, le=3600)
    fallback_instance_types: tuple[Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")], ...] = ()
    on_demand_after_interruptions: int | None = Field(default=None, ge=1, le=100)
    keep_alive_minutes: int = Field(default=0, ge=0, le=60)
    resample_by: Literal["auto", "day", "entity", "row"] = "auto"
    gate: Gate = Gate()
    tuning: Tuning | None = None
    explain: Explain = Explain()

    @property
    def instance_types(self) -> tuple[str, ...]:
        """Where training may run, in the order in which it is tried."""
        return (self.instance_type, *self.fallback_instance_types)

    @property
    def may_use_gpu(self) -> bool:
        """Whether one of them has a GPU."""
        return any(map(has_gpu, self.instance_types))

    @field_validator("rule")
    @classmethod
    def _rule_can_be_read(cls, rule: tuple[str, ...]) -> tuple[str, ...]:
        try:
            if rule:
                parse_rule(rule)
        except RuleError as error:
            raise ValueError(str(error)) from error
        return rule

    @field_validator("class_weight", mode="before")
    @classmethod
    def _classes_are_named_as_the_data_names_them(cls, value: Any) -> Any:
        """YAML reads a class 1 as a number and true as a truth value; in prepared data both are texts."""
        if not isinstance(value, dict):
            return value
        return {str(key).lower() if isinstance(key, bool) else str(key): item for key, item in value.items()}

    @model_validator(mode="after")
    def _spot_waits_longer_than_it_runs(self) -> Training:
        if self.max_wait_minutes is not None and self.max_wait_minutes < self.max_runtime_minutes:
            raise ValueError("max_wait_minutes must be at least max_runtime_minutes (SageMaker refuses the job)")
        return self

    @model_validator(mode="after")
    def _warm_pools_and_fallbacks_fit(self) -> Training:
        if self.spot and self.keep_alive_minutes:
            raise ValueError("keep_alive_minutes: SageMaker keeps no spot instance; set spot to false, or leave it out")
        if self.on_demand_after_interruptions and not self.spot:
            raise ValueError("on_demand_after_interruptions: training is on demand already (spot: false)")
        types = self.instance_types
        if len(set(types)) != len(types):
            raise ValueError(f"fallback_instance_types: a type is named twice in {', '.join(types)}")
        return self
