"""Small projects and their data, one per task, with known structure: a model can learn them, the baseline cannot."""

from __future__ import annotations

import csv
import io
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
PLANS: Final = ("free", "basic", "pro")
ROWS: Final = 900
#: Recorded rows that a serverless challenger is asked before it serves: none failed shows that hardly any would.
REPLAYED_ROWS: Final = 500

Row = dict[str, Any]


def make_rows(count: int = ROWS, *, seed: int = 1, start: datetime = START) -> list[Row]:
    """Return rows of all three tasks: `churned` (0/1), `tier` (text), `spend` (number)."""
    generator = random.Random(seed)
    rows = []
    for index in range(count):
        plan, visits = generator.choice(PLANS), generator.randint(0, 40)
        age = generator.gauss(40, 12)
        risk = 1.5 - 0.12 * visits + (1.0 if plan == "free" else 0.0) + generator.gauss(0, 0.6)
        spend = 20 + 3 * visits + (60 if plan == "pro" else 0) + generator.gauss(0, 8)
        tier = "gold" if spend > 130 else ("silver" if spend > 70 else "bronze")
        rows.append(
            {
                "customer": f"c{index:05d}",
                "seen_at": (start + timedelta(hours=2 * index)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "plan": plan,
                "visits": visits,
                "age": round(age, 1) if generator.random() > 0.05 else "",
                "churned": int(1 / (1 + math.exp(-risk)) > 0.5),
                "tier": tier,
                "spend": round(spend, 2),
            }
        )
    return rows


def as_csv(rows: list[Row], *, delimiter: str = ",", newline: str = "\n") -> bytes:
    """Return rows as a CSV file in UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def project_document(name: str, task: str, **changes: Any) -> dict[str, Any]:
    """Return a project.yaml as a document."""
    label = {"binary": "churned", "multiclass": "tier", "regression": "spend"}[task]
    metric = {"binary": "roc_auc", "multiclass": "balanced_accuracy", "regression": "rmse"}[task]
    hidden = [column for column in ("churned", "tier", "spend") if column != label]
    columns: list[dict[str, Any]] = [
        {"name": "customer", "type": "category", "role": "ignored"},
        {"name": "seen_at", "type": "datetime"},
        {"name": "plan", "type": "category", "allowed": list(PLANS)},
        {"name": "visits", "type": "integer", "min": 0, "max": 1000},
        {"name": "age", "type": "number", "nullable": True},
        {"name": "churned", "type": "integer", "nullable": True},
        {"name": "tier", "type": "category", "nullable": True},
        {"name": "spend", "type": "number", "nullable": True},
    ]
    for column in columns:
        if column["name"] in hidden:
            column["role"] = "leakage"
    document = {
        "name": name,
        "why": {"objective": "Test", "kpi": "Test", "owner": "test@example.com", "scope": {"row": "a customer"}},
        "data": {
            "entity_id": "customer",
            "event_time": "seen_at",
            "label": {"column": label, **({"positive": 1} if task == "binary" else {})},
            "columns": columns,
            "thresholds": {"rejected_rows": 0.2, "missing_labels": 0.2},
        },
        "task": {"type": task, "metric": metric, "segments": ["plan"], "min_segment_rows": 20},
        "training": {"candidates": ["baseline", {"regression": "linear"}.get(task, "logistic")], "seed": 7,
                     "time_features": ["weekday"], "max_wait_minutes": 120, "reduce_features": False},
        "serving": {"profile": "real-time", "capture_percent": 100},
        "budget": {"monthly_usd": 10, "cost_centre": "TEST"},
    }  # fmt: skip
    document.update(changes)
    return document


#: A model that no plan and no tree explainer knows.
OWN_MODEL: Final = b'''
from sklearn.compose import make_column_transformer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make_model(*, task, columns, seed, threads):
    """Naive Bayes of the visits and the plan."""
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["plan"]), ("passthrough", ["visits"])
    )
    return make_pipeline(encode, GaussianNB())
'''


def write_own_project(folder: Path, name: str) -> None:
    """Write a project with a model.py of its own, explained by LIME, too."""
    document = project_document(name, "binary")
    document["training"] |= {"candidates": ["baseline"], "model": "model.py", "explain": {"lime": True}}
    write_project(folder, document)
    (folder / name / "model.py").write_bytes(OWN_MODEL)


def write_project(folder: Path, document: dict[str, Any]) -> None:
    """Write a project folder."""
    target = folder / document["name"] / "project.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
