"""Inputs that tell nothing are left out of the served model, and those that tell something stay."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from passerelle.contracts.container import TrainResult
from passerelle.domain.dataset.schema import LABEL, TIME
from tests.e2e.projects import project_document
from tests.unit.training.test_train import train
from training.bundle import load_bundle

NOISE = 6


def _job(tmp_path: Path, *, reduce: bool = True, told_by: tuple[str, ...] = ("a", "b")) -> Path:
    """Lay out a training job whose label depends on some columns only, beside columns of noise."""
    base = tmp_path / "ml"
    names = ["a", "b", *(f"noise_{number}" for number in range(NOISE))]
    generator = np.random.default_rng(3)
    for part, rows in {"train": 4_000, "validation": 2_000}.items():
        columns = {name: generator.normal(size=rows) for name in names}
        signal = sum(columns[name] for name in told_by) + generator.normal(scale=0.5, size=rows)
        times = np.datetime64("2026-01-01", "us") + np.arange(rows)
        table = pa.table({**columns, LABEL: (signal > 0).astype(np.int64), TIME: times})
        folder = base / "input" / "data" / part
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part-0.parquet")
    document = project_document("p-x", "binary")
    kept = [column for column in document["data"]["columns"] if column["name"] in _needed(document)]
    document["data"]["columns"] = [*kept, *({"name": name, "type": "number"} for name in names)]
    document["task"].pop("segments", None)
    document["training"] |= {"candidates": ["baseline", "logistic"], "reduce_features": reduce, "time_features": []}
    (base / "input" / "data" / "project").mkdir()
    with zipfile.ZipFile(base / "input" / "data" / "project" / "p.zip", "w") as archive:
        archive.writestr("project.yaml", yaml.safe_dump(document))
    (base / "input" / "config").mkdir()
    parameters = {"run_id": "r", "dataset_id": "d", "contract_hash": "c", "seed": "7"}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(parameters))
    return base


def _needed(document: dict[str, object]) -> set[str]:
    data = document["data"]
    assert isinstance(data, dict)
    entity = data["entity_id"]
    return {data["event_time"], data["label"]["column"], *([entity] if isinstance(entity, str) else entity)}


def _trained(base: Path) -> TrainResult:
    return train(base)[0]


def test_columns_of_noise_are_left_out_and_the_curve_shows_where_it_begins_to_cost(tmp_path: Path) -> None:
    base = _job(tmp_path)
    result = _trained(base)
    assert {"a", "b"} <= {column.name for column in load_bundle(base / "model").signature.inputs}
    kept = next(item for item in result.candidates if item.name == result.chosen).features
    assert len(kept) < NOISE
    assert f"It sees {len(kept)} of" in result.why
    last = result.curve[-1]
    assert len(last.features) == 1
    assert not last.as_good
    assert last.behind_best > 0.05


def test_a_project_may_keep_all_its_features(tmp_path: Path) -> None:
    base = _job(tmp_path, reduce=False)
    result = _trained(base)
    assert result.curve == ()
    assert [item.name for item in result.candidates] == ["baseline", "logistic"]
    assert len(load_bundle(base / "model").signature.inputs) >= NOISE + 2


def test_a_run_that_was_killed_after_its_reduction_goes_on_to_the_same_model(tmp_path: Path) -> None:
    whole, cut = _job(tmp_path / "whole"), _job(tmp_path / "cut")
    expected = _trained(whole)
    _trained(cut)
    shutil.rmtree(cut / "model")
    shutil.rmtree(cut / "output")
    again = _trained(cut)
    assert expected.chosen in again.resumed
    assert (again.chosen, again.why) == (expected.chosen, expected.why)
    assert [point.features for point in again.curve] == [point.features for point in expected.curve]
    assert load_bundle(cut / "model").signature == load_bundle(whole / "model").signature
