"""project.yaml as typed, frozen records: attribute names are the file's own."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from passerelle.contracts.bundle import ColumnType, TaskType
from passerelle.contracts.naming import PROJECT_PATTERN
from passerelle.contracts.words import NULL_WORDS
from passerelle.domain.project.metric_names import CANDIDATES, METRICS
from passerelle.domain.project.patterns import pattern_error

Role = Literal["feature", "ignored", "leakage"]
Share = Annotated[float, Field(ge=0, le=1)]

#: Counts changes in how a text is read, so that earlier files are read again (2: offsets of times, 64-bit integers).
RULES_VERSION: Final = 2

_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Part):
    """What one row is, over which period, how far ahead."""

    row: str
    period: str | int = ""
    horizon: str = ""


class Value(_Part):
    """Money per outcome of a binary decision, or per unit of error of a regression."""

    currency: str = "USD"
    true_positive: float = 0
    false_positive: float = 0
    true_negative: float = 0
    false_negative: float = 0
    per_error_unit: float = 0


class Why(_Part):
    """The framing that the report prints."""

    objective: str
    kpi: str
    owner: str
    scope: Scope
    value: Value | None = None


class Label(_Part):
    """The column to predict. `positive` makes it binary: a value, or a comparison such as `> 15`."""

    column: str
    positive: str | int | float | bool | None = None
    classes: tuple[str, ...] = ()
    known_after: str | None = Field(default=None, pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$")

    def comparison(self) -> tuple[str, float] | None:
        """Return (operator, number) when `positive` is a comparison, else None."""
        match = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?)\s*", str(self.positive))
        return (match[1], float(match[2])) if match else None


class Column(_Part):
    """One column of the contract. `nullable` false means that an empty cell rejects its row."""

    name: str = Field(min_length=1)
    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str | int | float | bool, ...] | None = None
    max_length: int | None = Field(default=None, ge=1)
    pattern: str | None = None
    role: Role = "feature"
    sensitivity: Literal["none", "personal", "sensitive"] = "none"
    description: str = ""

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        why = None if pattern is None else pattern_error(pattern)
        if why:
            raise ValueError(f"is no regular expression of RE2 (no look-around, no back-references): {why}")
        return pattern

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Column:
        problems = list(self._misfits())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _misfits(self) -> Iterator[str]:
        numeric = self.type in ("integer", "number")
        if not numeric and (self.min is not None or self.max is not None):
            yield f"min and max are for integer and number columns, not for {self.type}"
        if self.min is not None and self.max is not None and self.min > self.max:
            yield f"min {self.min:g} is greater than max {self.max:g}"
        kinds: tuple[type, ...] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}.get(self.type, (str,))
        wrong = [item for item in self.allowed or () if not isinstance(item, kinds)]
        if numeric:  # to Python, True is a number
            wrong += [item for item in self.allowed or () if isinstance(item, bool)]
        if wrong:
            yield f"allowed holds {wrong[0]!r}, which is no {self.type}"
        if self.type not in ("category", "text") and (self.max_length is not None or self.pattern is not None):
            yield f"max_length and pattern are for category and text columns, not for {self.type}"


class Csv(_Part):
    """How a CSV file is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, delimiter: str) -> str:
        if delimiter in '"\r\n\0':
            raise ValueError("a quote, line end or NUL cannot separate fields; use , ; | or a tab")
        return delimiter


class Thresholds(_Part):
    """Above these shares a drop is rejected as a whole."""

    rejected_rows: Share = 0.05
    missing_labels: Share = 0.2


class Data(_Part):
    """The data contract."""

    format: Literal["csv", "parquet", "jsonl"] = "csv"
    csv: Csv = Csv()
    entity_id: tuple[str, ...]
    event_time: str
    label: Label
    columns: tuple[Column, ...] = Field(min_length=1)
    extra_columns: Literal["ignore", "reject"] = "ignore"
    thresholds: Thresholds = Thresholds()
    null_values: tuple[str, ...] = NULL_WORDS

    @field_validator("entity_id", mode="before")
    @classmethod
    def _one_entity_column_may_be_a_plain_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Decision(_Part):
    """How a probability becomes a decision: a fixed threshold, or the one of greatest value on validation."""

    threshold: Literal["auto"] | Share = "auto"


class Task(_Part):
    """What is predicted and how it is judged."""

    type: TaskType
    metric: str
    segments: tuple[str, ...] = ()
    min_segment_rows: int = Field(default=200, ge=1)
    decision: Decision = Decision()


class Split(_Part):
    """Shares of the newest rows for validation and test; by time unless said otherwise."""

    by: Literal["time", "random", "entity"] = "time"
    validation: float = Field(default=0.15, gt=0, lt=0.5)
    test: float = Field(default=0.15, gt=0, lt=0.5)


class Gate(_Part):
    """What a challenger must show on the test period, in units of the metric."""

    beats_baseline_by: float = Field(default=0.0, ge=0)
    not_worse_than_champion_by: float = Field(default=0.01, ge=0)


class Training(_Part):
    """How models are trained and chosen.

    When AWS has no `instance_type`, the next of `fallback_instance_types` is tried; a spot job that lost its instance
    `on_demand_after_interruptions` times goes on without spot. `keep_alive_minutes` keeps the instance for the next
    job (a warm pool, billed); SageMaker has none for spot.
    """

    candidates: tuple[str, ...] = ()
    time_features: tuple[Literal["weekday", "hour", "month", "day_of_year"], ...] = ()
    split: Split = Split()
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    spot: bool = True
    max_runtime_minutes: int = Field(default=60, ge=1, le=40_320)
    max_wait_minutes: int | None = Field(default=None, ge=1)
    fallback_instance_types: tuple[Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")], ...] = ()
    on_demand_after_interruptions: int | None = Field(default=None, ge=1, le=100)
    keep_alive_minutes: int = Field(default=0, ge=0, le=60)
    gate: Gate = Gate()

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
        types = (self.instance_type, *self.fallback_instance_types)
        if len(set(types)) != len(types):
            raise ValueError(f"fallback_instance_types: a type is named twice in {', '.join(types)}")
        return self


class Serving(_Part):
    """How the model is served. Serverless has no data capture, shadow variant or VPC on SageMaker."""

    profile: Literal["serverless", "real-time"] = "serverless"
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(default=1, ge=1, le=100)
    memory_mb: int = Field(default=2048, ge=1024, le=6144, multiple_of=1024)
    max_concurrency: int = Field(default=10, ge=1, le=200)
    capture_percent: int | None = Field(default=None, ge=0, le=100)
    shadow_percent: int = Field(default=0, ge=0, le=100)

    @model_validator(mode="after")
    def _serverless_has_no_capture_nor_shadow(self) -> Serving:
        if self.profile == "serverless" and (self.capture_percent or self.shadow_percent):
            raise ValueError("a serverless endpoint has neither data capture nor a shadow variant; use real-time")
        return self


class Monitoring(_Part):
    """When drift is looked for, and what follows."""

    schedule: Literal["hourly", "daily", "weekly"] = "daily"
    retrain: Literal["never", "on_drift", "weekly", "monthly"] = "on_drift"


class Budget(_Part):
    """What the project may cost."""

    monthly_usd: float = Field(gt=0)
    cost_centre: str


class Project(_Part):
    """A whole project.yaml."""

    name: str = Field(pattern=f"^{PROJECT_PATTERN}$")
    why: Why
    data: Data
    task: Task
    training: Training = Training()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    budget: Budget
    tags: dict[str, str] = Field(default={}, max_length=40)

    def column(self, name: str) -> Column:
        """Return a column by its name; KeyError when there is none."""
        return {column.name: column for column in self.data.columns}[name]

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """Columns that a model may see: not the label, not the event time, not leaking, not ignored, not personal."""
        hidden = {self.data.label.column, self.data.event_time}
        return tuple(
            column
            for column in self.data.columns
            if column.role == "feature" and column.name not in hidden and column.sensitivity != "personal"
        )

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidates to train, all of the task's when the file names none."""
        return self.training.candidates or CANDIDATES[self.task.type]

    @property
    def greater_is_better(self) -> bool:
        return METRICS[self.task.type][self.task.metric]

    def contract_hash(self) -> str:
        """Return 12 hex digits over everything that changes what the prepared data means."""
        meaning = {
            "rules": RULES_VERSION,
            "data": self.data.model_dump(mode="json"),
            "task": self.task.type,
            "split": self.training.split.model_dump(mode="json"),
            "seed": self.training.seed,
            "time_features": self.training.time_features,
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def is_positive(label: Label, value: Any) -> bool:
    """Return whether a label's value counts as positive."""
    comparison = label.comparison()
    if comparison is None:
        return str(value) == str(label.positive)
    return bool(_COMPARISONS[comparison[0]](float(value), comparison[1]))
