"""Rows and a context as a training job has them, for tests that fit candidates without a job."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import yaml

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.dataset.schema import signature_columns
from passerelle.domain.project import Project, load_project
from tests.e2e.projects import project_document
from training.train.context import Context
from training.train.data import Rows, make_signature

COLUMNS = [
    {"name": "id", "type": "category", "role": "ignored"},
    {"name": "seen_at", "type": "datetime"},
    {"name": "dose", "type": "number", "min": 0, "nullable": True},
    {"name": "visits", "type": "integer", "min": 0},
    {"name": "member", "type": "boolean", "nullable": True},
    {"name": "plan", "type": "category", "nullable": True},
    {"name": "weight", "type": "number", "min": 0, "role": "ignored"},
    {"name": "label", "type": "number", "nullable": True},
]


def make_project(task: str, **training: Any) -> Project:
    """Return a project of these columns."""
    document = project_document("p-x", task)
    label: dict[str, Any] = {"column": "label", **({"positive": 1} if task == "binary" else {})}
    document["data"] |= {"entity_id": "id", "label": label, "columns": COLUMNS}
    document["task"].pop("segments")
    document["training"] |= {"candidates": ["baseline"]} | training
    return load_project(yaml.safe_dump(document), source="p.yaml")


def make_rows(task: str, count: int, *, seed: int = 1, missing: float = 0.1) -> tuple[dict[str, list[Any]], Any]:
    """Return columns and labels; the risk rises with the dose, and one row in ten is positive."""
    random = np.random.default_rng(seed)
    dose, visits = random.uniform(0, 10, count), random.integers(0, 20, count)
    score = 0.8 * dose - 0.1 * visits + random.normal(0, 1.5, count)
    moments = np.datetime64("2026-01-01T00:00:00") + np.arange(count).astype("timedelta64[h]")
    columns: dict[str, list[Any]] = {
        "dose": [None if random.random() < missing else float(value) for value in dose],
        "visits": visits.tolist(),
        "member": [None if random.random() < missing else bool(value > 5) for value in dose],
        "plan": [None if random.random() < missing else str(random.choice(["a", "b", "ü"])) for _ in range(count)],
        "seen_at": [f"{moment}Z" for moment in moments],
    }
    if task == "regression":
        return columns, score
    if task == "binary":
        return columns, (score > 7.0).astype(np.int64)
    return columns, np.asarray(["low", "mid", "true"], dtype=object)[np.digitize(score, [2.0, 5.0])]


def make_context(project: Project, count: int = 1_500, *, missing: float = 0.1, weights: Any = None) -> Context:
    """Return what a job would read, with a third as many validation rows."""
    task = project.task.type
    inputs = signature_columns(project)
    train = rows_of(make_rows(task, count, missing=missing), inputs, weights)
    validation = rows_of(make_rows(task, count // 3, seed=2, missing=missing), inputs)
    return Context(
        project=project,
        signature=make_signature(project, inputs, train.labels),
        train=train,
        validation=validation,
        run_id="r",
        dataset_id="d",
        contract_hash="c",
        git_sha="g",
        lock_hash="l",
        created_at="2026-01-01T00:00:00Z",
        seed=7,
        threads=1,
        device="cpu",
    )


def rows_of(made: tuple[dict[str, list[Any]], Any], inputs: tuple[SignatureColumn, ...], weights: Any = None) -> Rows:
    """Return made rows as a part that was read."""
    columns, labels = made
    frame: pd.DataFrame = typed_frame(columns, inputs)
    return Rows(frame, labels, np.arange(len(labels)), weights)
