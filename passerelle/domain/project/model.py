"""project.yaml as typed, frozen records: attribute names are the file's own."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from passerelle.contracts.bundle import ColumnType, TaskType
from passerelle.contracts.naming import PROJECT_PATTERN
from passerelle.contracts.words import NULL_WORDS
from passerelle.domain.project.features import Features
from passerelle.domain.project.metric_names import CANDIDATES, METRICS, OWN, RULE, complexity
from passerelle.domain.project.monitoring import Monitoring
from passerelle.domain.project.part import Part
from passerelle.domain.project.patterns import pattern_error
from passerelle.domain.project.serving import Serving
from passerelle.domain.project.training import Training

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


class Scope(Part):
    """What one row is, over which period, how far ahead."""

    row: str
    period: str | int = ""
    horizon: str = ""


class Value(Part):
    """Money per outcome of a binary decision, or per unit of error of a regression."""

    currency: str = "USD"
    true_positive: float = 0
    false_positive: float = 0
    true_negative: float = 0
    false_negative: float = 0
    per_error_unit: float = 0

    @property
    def tells_decisions_apart(self) -> bool:
        """Whether acting is worth something else than not acting: a matrix of zeros, or of a regression, is silent."""
        return self.true_positive != self.false_negative or self.true_negative != self.false_positive


class Why(Part):
    """The framing that the report prints."""

    objective: str
    kpi: str
    owner: str
    scope: Scope
    value: Value | None = None


class Label(Part):
    """The column to predict. `positive` makes it binary: a value, or a comparison such as `> 15`."""

    column: str
    positive: str | int | float | bool | None = None
    classes: tuple[str, ...] = ()
    known_after: str | None = Field(default=None, pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$")

    def comparison(self) -> tuple[str, float] | None:
        """Return (operator, number) when `positive` is a comparison, else None."""
        match = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?)\s*", str(self.positive))
        return (match[1], float(match[2])) if match else None


class Column(Part):
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


class Csv(Part):
    """How a CSV file is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, delimiter: str) -> str:
        if delimiter in '"\r\n\0':
            raise ValueError("a quote, line end or NUL cannot separate fields; use , ; | or a tab")
        return delimiter


class Thresholds(Part):
    """Above these shares a drop is rejected as a whole."""

    rejected_rows: Share = 0.05
    missing_labels: Share = 0.2


class Data(Part):
    """The data contract, what features are derived of its columns, and what prepares data: `auto` chooses by size.

    `inference_id` is a column of drops that names the request by which a row's prediction was asked, for its label to
    find it (docs/drift.md); by default, labels find predictions by entity and time.
    """

    format: Literal["csv", "parquet", "jsonl"] = "csv"
    csv: Csv = Csv()
    entity_id: tuple[str, ...]
    event_time: str
    label: Label
    inference_id: str | None = None
    columns: tuple[Column, ...] = Field(min_length=1)
    features: Features | None = None
    extra_columns: Literal["ignore", "reject"] = "ignore"
    thresholds: Thresholds = Thresholds()
    null_values: tuple[str, ...] = NULL_WORDS
    engine: Literal["auto", "duckdb", "spark"] = "auto"

    @field_validator("entity_id", mode="before")
    @classmethod
    def _one_entity_column_may_be_a_plain_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Decision(Part):
    """How a probability becomes a decision: a fixed threshold, or the one of greatest value on validation."""

    threshold: Literal["auto"] | Share = "auto"


class Task(Part):
    """What is predicted and how it is judged."""

    type: TaskType
    metric: str
    segments: tuple[str, ...] = ()
    min_segment_rows: int = Field(default=200, ge=1)
    decision: Decision = Decision()


class Budget(Part):
    """What the project may cost."""

    monthly_usd: float = Field(gt=0)
    cost_centre: str


class Project(Part):
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
        """Return a column of the contract, or a derived one, by its name; KeyError when there is none."""
        return {column.name: column for column in (*self.data.columns, *self.derived_columns)}[name]

    @property
    def derived_columns(self) -> tuple[Column, ...]:
        """The columns that features.py adds to a row."""
        declared = self.data.features.columns if self.data.features else ()
        return tuple(Column(nullable=True, **column.model_dump()) for column in declared)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """Columns that a model may see: no label, event time or weight, none that leaks, is ignored or personal."""
        hidden = {self.data.label.column, self.data.event_time, self.training.weight_column}
        own = (
            column
            for column in self.data.columns
            if column.role == "feature" and column.name not in hidden and column.sensitivity != "personal"
        )
        return (*own, *self.derived_columns)

    @property
    def derivable_columns(self) -> tuple[Column, ...]:
        """Columns that features.py may read: known in time and sent by callers, whether or not a model sees them."""
        hidden = {self.data.label.column, self.training.weight_column}
        return tuple(
            column
            for column in self.data.columns
            if column.role != "leakage" and column.name not in hidden and column.sensitivity != "personal"
        )

    @property
    def personal_entity(self) -> bool:
        """Whether what a row is about tells who it is about."""
        return any(self.column(name).sensitivity == "personal" for name in self.data.entity_id)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidates to train, simplest first: all of the task's when the file names none, and what it declares."""
        declared = [*([RULE] if self.training.rule else []), *([OWN] if self.training.model else [])]
        named = {*(self.training.candidates or CANDIDATES[self.task.type]), *declared}
        return tuple(sorted(named, key=lambda name: complexity(self.task.type, name)))

    @property
    def greater_is_better(self) -> bool:
        return METRICS[self.task.type][self.task.metric]

    def contract_hash(self, features_sha256: str = "") -> str:
        """Return 12 hex digits over everything that changes what the prepared data means; features.py does, too."""
        meaning: dict[str, Any] = {
            "rules": RULES_VERSION,
            # The engine changes no row; nor does what names a request, which is no feature.
            "data": self.data.model_dump(mode="json", exclude={"engine", "features", "inference_id"}),
            "task": self.task.type,
            "split": self.training.split.model_dump(mode="json"),
            "seed": self.training.seed,
            "time_features": self.training.time_features,
        }
        if self.training.weight_column:  # a project without one keeps the hash that it had before there were any
            meaning["weight"] = self.training.weight_column
        if self.data.features:
            meaning["features"] = [self.data.features.model_dump(mode="json"), features_sha256]
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def is_positive(label: Label, value: Any) -> bool:
    """Return whether a label's value counts as positive."""
    comparison = label.comparison()
    if comparison is None:
        return str(value) == str(label.positive)
    return bool(_COMPARISONS[comparison[0]](float(value), comparison[1]))
