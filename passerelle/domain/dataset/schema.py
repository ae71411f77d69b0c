"""Columns of prepared data: `train`, `validation` and `test` Parquet files.

    <feature columns>   as declared, in the order of the contract, then those of features.py; without the dropped ones
    <event time column> only when the project derives time features; a UTC timestamp
    __label             binary: 0 or 1 (int8); multiclass: the class as text; regression: float64
    __event_time        UTC timestamp (the split and the monitors need it even when models do not)
    __entity            text: the entity's columns joined by "|"
    __weight            float64, only when the project weighs its rows (training.weight_column)
    __read_<column>     what features.py reads and no model sees: the server's way of deriving is proved on it

Time features are derived inside the fitted pipeline, so training and serving share one code path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from passerelle.contracts.bundle import DerivedFeature, SignatureColumn
from passerelle.domain.features.query import read_columns
from passerelle.domain.project import Project

LABEL: Final = "__label"
TIME: Final = "__event_time"
ENTITY: Final = "__entity"
WEIGHT: Final = "__weight"
READ: Final = "__read_"


def feature_names(project: Project, dropped: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the model's input columns in order: features, then the event time when features derive from it."""
    names = [column.name for column in project.feature_columns if column.name not in dropped]
    return (*names, *((project.data.event_time,) if project.training.time_features else ()))


def signature_columns(project: Project, dropped: frozenset[str] = frozenset()) -> tuple[SignatureColumn, ...]:
    """Return the model's inputs as callers must send them."""
    columns = (project.column(name) for name in feature_names(project, dropped))
    return tuple(
        SignatureColumn(name=column.name, type=column.type, nullable=column.nullable, min=column.min, max=column.max)
        for column in columns
    )


def sent_columns(inputs: Sequence[SignatureColumn], derived: Sequence[DerivedFeature]) -> tuple[SignatureColumn, ...]:
    """Return what callers send to a model that sees these inputs: its columns as they come, and what features read."""
    own = {feature.name for feature in derived}
    seen = tuple(column for column in inputs if column.name not in own)
    names = {column.name for column in seen}
    return (*seen, *(column for column in read_columns(derived) if column.name not in names))


def stored_name(column: str, present: Sequence[str]) -> str:
    """Return the name under which a dataset with these columns has one that is sent."""
    return column if column in present else f"{READ}{column}"
