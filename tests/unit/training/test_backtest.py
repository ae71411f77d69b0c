"""The real entry on small datasets: a world that turns is seen in the ages of models, one that stays is not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.contracts.backtest import BACKTEST_FIGURE, BacktestQuestion, BacktestResult
from passerelle.contracts.container import RESULT_FILE
from tests.e2e.projects import PLANS, START, Row, as_csv, project_document
from tests.unit.training.prepared import make_project, run_project
from tests.unit.training.test_evaluate import pack
from tests.unit.training.test_train import train
from training.backtest.periods import cut, learnt_from

DAYS = 360
#: While its file is there, it learns once, and the next time never ends.
ENDLESS = b"""
import time
from pathlib import Path
from sklearn.naive_bayes import GaussianNB

class Endless(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        mark = Path("MARK")
        while mark.exists() and mark.read_text():
            time.sleep(0.05)
        if mark.exists():
            mark.write_text("once")
        return super().fit(X[["visits"]].to_numpy(), y)

    def predict_proba(self, X):
        return super().predict_proba(X[["visits"]].to_numpy())

def make_model(*, task, columns, seed, threads):
    return Endless()
"""


def turning_rows(count: int, *, turns: float, seed: int = 1) -> list[Row]:
    """Return a year of rows; what makes a customer leave, or spend, goes over from visits to age by so many turns."""
    generator, rows = random.Random(seed), []
    for index in range(count):
        angle = 2 * np.pi * turns * index / count
        visits, age = generator.randint(0, 40), generator.gauss(40, 12)
        risk = np.cos(angle) * (visits - 20) / 12 + np.sin(angle) * (age - 40) / 12 + generator.gauss(0, 0.3)
        spend = round(200 + 60 * risk, 2)
        rows.append(
            {
                "customer": f"c{index:05d}",
                "seen_at": (START + timedelta(days=DAYS * index / count)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "plan": generator.choice(PLANS),
                "visits": visits,
                "age": round(age, 1),
                "churned": int(risk > 0),
                "tier": "gold" if risk > 0.5 else "silver" if risk > -0.5 else "bronze",
                "spend": spend,
            }
        )
    return rows


def asked(folder: Path, task: str, rows: list[Row], *, model: bytes | None = None, **changes: Any) -> Path:
    """Prepare rows, train on them, and lay out a back-test of the model beside the job; returns its /opt/ml."""
    document = project_document("p-x", task)
    document["why"]["value"] = {"true_positive": 5, "false_positive": -5, "false_negative": -5}
    if task == "regression":
        document["why"]["value"] = {"per_error_unit": -0.1}
    if model is not None:
        document["training"] |= {"candidates": ["baseline"], "model": "model.py"}
    prepared, folders = run_project(folder / "prepare", {"p-x/a.csv": as_csv(rows)}, make_project(task))
    dataset = folders.curated / "datasets" / str(prepared.dataset_id)
    base, inputs = folder / "ml", folder / "ml" / "processing" / "input"
    for target in (base / "input" / "data" / "project", inputs / "project"):
        target.mkdir(parents=True)
        with zipfile.ZipFile(target / "p.zip", "w") as archive:
            archive.writestr("project.yaml", yaml.safe_dump(document))
            if model is not None:
                archive.writestr("model.py", model)
    for part in ("train", "validation", "test"):
        (base / "input" / "data" / part).symlink_to(dataset / part)
    (inputs / "dataset").symlink_to(dataset)
    (base / "input" / "config").mkdir()
    parameters = {"run_id": "r", "dataset_id": "d", "contract_hash": "c", "seed": "7"}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(parameters))
    train(base)
    pack(base / "model", inputs / "model" / "model.tar.gz")
    pack(base / "output" / "data", inputs / "training" / "output.tar.gz")
    (inputs / "question").mkdir()
    question = BacktestQuestion(project="p-x", run_id="r", dataset_id="d", **changes)
    (inputs / "question" / "question.json").write_text(question.model_dump_json())
    return base


def start(base: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "training", "backtest"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def answered(base: Path) -> tuple[BacktestResult, list[dict[str, Any]]]:
    process = start(base)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    result = BacktestResult.model_validate_json((base / "processing" / "output" / "result" / RESULT_FILE).read_text())
    return result, [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_a_world_that_turns_makes_models_old_and_a_cadence_follows_from_loss_and_from_cost(tmp_path: Path) -> None:
    rows = turning_rows(3_600, turns=0.4)
    base = asked(tmp_path, "binary", rows, period="30d", window=2, limit=0.05, training_usd=20.0)
    result, events = answered(base)
    found = result.staleness
    assert (result.candidate, result.metric, len(result.periods)) == ("logistic", "roc_auc", 12)
    assert found.verdict == "found", found.words
    assert [point.loss for point in found.curve] == sorted(point.loss for point in found.curve)
    assert found.cadence is not None
    assert found.cadence.periods < found.cadence.seen
    # A turn of so many degrees a period costs what its cosine says: five periods are past the limit.
    assert 1 <= found.cadence.lower <= found.cadence.periods <= 5
    assert found.cheapest is not None
    assert found.cheapest.costs[found.cheapest.periods - 1] == min(found.cheapest.costs)
    assert found.cheapest.currency == "USD"
    assert {cell.trained_rows for cell in result.cells} <= set(range(550, 651)), "two periods of about 300 rows"
    written = base / "processing" / "output" / "result" / BACKTEST_FIGURE
    assert result.figures == (BACKTEST_FIGURE,)
    assert written.read_bytes().startswith(b"\x89PNG")
    aged = [event for event in events if event["event"] == "model_aged"]
    assert [event["done"] for event in aged] == list(range(1, aged[0]["of"] + 1))
    assert aged[0]["trained"] > aged[-1]["trained"], "the newest past comes first"
    assert events[-1] == {"event": "staleness_judged", "verdict": "found", "words": found.words}


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_world_that_stays_alarms_nobody(tmp_path: Path, task: str) -> None:
    cut_off = {**turning_rows(1, turns=0)[0], "customer": "late", "seen_at": "2025-01-01T00:00:00Z"}
    # With all rows before, an older model has learnt from fewer: that alone makes it a little worse.
    result, _ = answered(asked(tmp_path, task, [*turning_rows(2_400, turns=0), cut_off], window=3))
    assert result.staleness.verdict == "none", result.staleness.words
    assert (result.periods[-1], result.notes) == ("2025-01", ()), "the first day of a month is no month"
    assert {cell.age for cell in result.cells} == set(range(1, 8))
    assert {cell.trained_rows for cell in result.cells} <= set(range(550, 651)), "three months of some 200 rows"
    if task == "regression":
        assert result.staleness.limit == pytest.approx(
            0.01 * np.mean([cell.score for cell in result.cells if cell.age == 1]), rel=0.02
        )
        assert all(cell.worth is not None and cell.worth < 0 for cell in result.cells)


def test_a_short_history_is_told_what_is_needed_and_no_time_left_what_was_left_out(tmp_path: Path) -> None:
    base = asked(tmp_path, "binary", turning_rows(800, turns=0), period="90d")
    result, _ = answered(base)
    assert (result.staleness.verdict, result.figures) == ("too_few", ())
    assert "at least 4" in result.staleness.words
    question = BacktestQuestion(project="p-x", run_id="r", dataset_id="d", seconds=1e-9)
    (base / "processing" / "input" / "question" / "question.json").write_text(question.model_dump_json())
    hurried, _ = answered(base)
    assert not hurried.cells
    assert "time ran out" in hurried.notes[0]


def test_the_projects_own_model_is_trained_by_its_code_and_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    mark = tmp_path / "fits"
    base = asked(tmp_path, "binary", turning_rows(2_400, turns=0), model=ENDLESS.replace(b"MARK", f"{mark}".encode()))
    mark.write_text("")
    process = start(base)
    assert process.stdout is not None
    first = next((json.loads(line) for line in process.stdout if "model_aged" in line), None)
    assert first is not None
    assert first["scored"] == 1, first
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert not (base / "processing" / "output" / "result" / RESULT_FILE).exists(), "nothing half done"


def test_periods_are_those_of_the_calendar_or_end_with_the_newest_row() -> None:
    times = np.asarray(["2026-01-31T23:59", "2026-02-01T00:00", "2026-04-15T12:00"], dtype="datetime64[us]")
    months = cut(times, "month")
    assert months.names == ("2026-01", "2026-02", "2026-03", "2026-04")
    assert months.of_row.tolist() == [0, 1, 3], "a month without rows is one, too"
    assert cut(times, "week").names[0] == "2026-01-26"
    days = cut(times, "30d")
    assert str(days.ends[-1]) == "2026-04-16 00:00:00+00:00"
    assert days.of_row.tolist() == [0, 0, 2]
    assert cut(times, "day").of_row.tolist() == [0, 1, 74]


def test_a_label_that_was_not_known_yet_teaches_nothing() -> None:
    times = np.arange("2026-01-01", "2026-05-01", dtype="datetime64[D]").astype("datetime64[us]")
    months = cut(times, "month")
    assert learnt_from(times, months, 1, window=None, known_after=None).sum() == 31 + 28
    assert learnt_from(times, months, 1, window=None, known_after="P10D").sum() == 31 + 28 - 9
    assert learnt_from(times, months, 2, window=2, known_after="P10D").sum() == 28 + 31 - 9
