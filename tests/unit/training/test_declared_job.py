"""A whole training job of a project that declares all it may: rule, model.py, weights, constraint, calibration."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from tests.unit.training.test_evaluate import evaluate, evaluation
from tests.unit.training.test_own_model import SOURCE
from tests.unit.training.test_train import job, train
from training.bundle import load_bundle

MODEL = SOURCE.replace(b'"dose"', b'"visits"').replace(b'== "number"', b'== "integer"')


def test_every_declared_candidate_competes_and_one_that_cannot_keep_its_word_is_left_out(tmp_path: Path) -> None:
    base = job(tmp_path, "binary")
    archive = base / "input" / "data" / "project" / "p.zip"
    with zipfile.ZipFile(archive) as opened:
        document = yaml.safe_load(opened.read("project.yaml"))
    for path in (base / "input" / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.append_column("__weight", [[1.0 + row % 2 for row in range(len(table))]]), path)
    weight = {"name": "w", "type": "number", "min": 0}
    document["data"]["columns"].append(weight)
    document["training"] |= {
        "candidates": ["baseline", "logistic"],
        "rule": ["visits < 12 -> 0.9", "otherwise -> 0.1"],
        "model": "model.py",
        "class_weight": {"positive": 2},
        "weight_column": "w",
        "monotone": {"visits": "decreasing"},
        "reduce_features": True,
    }
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("project.yaml", yaml.safe_dump(document))
        opened.writestr("model.py", MODEL)
    result, output = train(base)
    found = {item.name: item for item in result.candidates}
    assert list(found)[:4] == ["baseline", "rule", "logistic", "own"]
    assert found["rule"].features == ("visits",)
    assert found["rule"].status == "trained"
    # The model of the project says more visits, more risk.
    assert found["own"].status == "left_out", output
    assert "training.monotone: its answer is not decreasing in visits" in str(found["own"].error)
    assert "too few" in found["logistic"].notes[0]
    assert result.chosen != "own"
    assert load_bundle(base / "model").metadata.candidate == result.chosen
    verdict, _ = evaluate(evaluation(base, tmp_path / "evaluate"))
    assert ("beats_rule" in {check.name for check in verdict.checks}) is (result.chosen != "rule")
