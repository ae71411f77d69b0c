"""A model of three classes that is watched: flights that come early, on time or late, and what was recorded of them."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts import zones
from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.prediction import DECISION, PROBABILITIES, SCORE, prediction_columns
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from passerelle.domain.drift.reference import Reference, make_reference

from .watched import AIRPORTS, Rows, rows_of
from .world import ROOT, Aws

CLASSES = ("early", "late", "on time")
INPUTS: tuple[tuple[str, ColumnType], ...] = (
    ("distance", "number"), ("origin", "category"), ("time_hour", "datetime")
)  # fmt: skip
Array = npt.NDArray[Any]


def deploy_classes(aws: Aws, metric: str = "balanced_accuracy", **changes: Any) -> None:
    """Deploy flights as a project of several classes."""
    columns = yaml.safe_load((ROOT / "projects/flights/project.yaml").read_text())["data"]["columns"]
    for column in columns:
        if column["name"] == "arr_delay":
            column.update({"type": "category", "min": None, "max": None})
    data = {"columns": columns, "label": {"column": "arr_delay", "known_after": "PT6H"}}
    aws.deploy_project(data=data, task={"type": "multiclass", "metric": metric}, **changes)


def shares_of(random: np.random.Generator, count: int) -> Array:
    """Return probabilities as the model gives them: they mean what they say."""
    sure = np.exp(random.normal(0, 1.5, (count, 3)) + np.array([0.0, -0.5, 0.5]))
    return np.asarray(sure / sure.sum(axis=1, keepdims=True))


def labels_of(rows: Rows, *, wrong: bool = False, seed: int = 0) -> list[str]:
    """Return classes as often as the probabilities say, or whatever they say."""
    random = np.random.default_rng(seed)
    shares = np.array([row[PROBABILITIES] for row in rows])
    places = _drawn(random, shares[::-1] if wrong else shares)
    return [CLASSES[place] for place in places]


def classed(rows: Rows, *, seed: int = 0) -> Rows:
    """Return rows of predictions as of a model of several classes."""
    shares = shares_of(np.random.default_rng([seed, len(rows)]), len(rows))
    return [
        {**row, "score": float(share.max()), "decision": CLASSES[int(share.argmax())], PROBABILITIES: share.tolist()}
        for row, share in zip(rows, shares, strict=True)
    ]


def asked(count: int, moment: datetime, *, seed: int = 0, **changes: Any) -> Rows:
    """Return predictions from a moment on."""
    return [{**row, **changes} for row in classed(rows_of(count, moment, seed=seed), seed=seed)]


def class_reference() -> Reference:
    """Return what the model was trained on."""
    random = np.random.default_rng(7)
    shares = shares_of(random, 20_000)
    columns = {
        "distance": np.round(random.normal(1000, 300, 20_000)),
        "origin": np.array(AIRPORTS, object)[random.integers(3, size=20_000)],
        "time_hour": np.datetime64("2026-06-01T00", "s") + random.integers(0, 100 * 86_400, 20_000),
        SCORE: shares.max(axis=1),
        DECISION: np.array(CLASSES, object)[shares.argmax(axis=1)],
    }
    return make_reference(columns, {**dict(INPUTS), SCORE: "number", DECISION: "category"})


def class_performance() -> PerformanceReference:
    """Return what the model's errors were like."""
    random = np.random.default_rng(8)
    shares = shares_of(random, 6_000)
    columns = {
        "distance": np.round(random.normal(1000, 300, 6_000)),
        "origin": np.array(AIRPORTS, object)[random.integers(3, size=6_000)],
    }
    return make_performance_reference(
        "multiclass",
        shares,
        _drawn(random, shares),
        columns=columns,
        types={"distance": "number", "origin": "category"},
        blocks=np.arange(6_000) // 300,
        classes=CLASSES,
    )


def record_classes(aws: Aws, rows: Rows, *, name: str = "a", older: bool = False) -> None:
    """Put a file of predictions; an `older` one is of before records held all probabilities."""
    columns = prediction_columns(INPUTS, "regression" if older else "multiclass")
    rows = [{column: row[column] for column, _ in columns} for row in rows]
    key = f"{zones.prediction_records_prefix('flights')}/{rows[0]['event_time']:%Y-%m-%d}/{name}.parquet"
    with tempfile.TemporaryDirectory() as folder:
        body = write_parquet(Path(folder) / "part.parquet", columns, rows).read_bytes()
    aws.s3.put_object(Bucket=aws.buckets["predictions"], Key=key, Body=body)


def _drawn(random: np.random.Generator, shares: Array) -> Array:
    return np.asarray((random.random(len(shares))[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, 2))
