"""The gate's verdict on real bundles: what passes, what is refused with a reason, what must not break evaluation."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from passerelle.contracts.archive import unpack
from passerelle.contracts.container import EvaluateResult
from passerelle.contracts.explain import Explanations
from passerelle.errors import BundleError
from tests.unit.training.test_train import job, train


def pack(folder: Path, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for item in sorted(folder.iterdir()):
            tar.add(item, arcname=item.name)


def evaluation(base: Path, tmp_path: Path, *, champion: Path | None = None) -> Path:
    """Lay out a processing job from a finished training job."""
    inputs = tmp_path / "processing" / "input"
    pack(base / "model", inputs / "model" / "model.tar.gz")
    pack(base / "output" / "data", inputs / "training" / "output.tar.gz")
    shutil.copytree(base / "input" / "data" / "test", inputs / "test")
    shutil.copytree(base / "input" / "data" / "project", inputs / "project")
    if champion is not None:
        pack(champion, inputs / "champion" / "model.tar.gz")
    return tmp_path


def evaluate(base: Path) -> tuple[EvaluateResult, str]:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "training", "evaluate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    document = (base / "processing" / "output" / "result" / "result.json").read_text()
    return EvaluateResult.model_validate_json(document), done.stdout


def change_test_rows(base: Path, change: Any) -> None:
    for path in sorted((base / "processing" / "input" / "test").rglob("*.parquet")):
        pq.write_table(change(pq.read_table(path)), path)


#: Of Mitchell et al. 2019, with the reasons for the choice and the explanations.
SECTIONS = (
    "Model details",
    "Why this model",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Explanations",
    "Ethical considerations",
    "Caveats and recommendations",
    "Gate",
)


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    base = job(tmp_path_factory.mktemp(request.param), request.param, None)
    train(base)
    return request.param, base


def test_a_good_model_passes_with_figures_and_a_card(trained: tuple[str, Path], tmp_path: Path) -> None:
    _, base = trained
    folder = evaluation(base, tmp_path, champion=base / "model")
    change_training(folder / "processing" / "input" / "project" / "p.zip", explain={"lime": True})
    result, output = evaluate(folder)
    assert result.status == "passed", result.reasons
    assert result.resampled is not None
    assert len(result.resampled.scores) == 1_000
    assert result.champion_metrics == {name: result.test_metrics[name] for name in result.champion_metrics}
    written = folder / "processing" / "output" / "result"
    assert {path.name for path in (written / "figures").glob("*.png")} == set(result.figures) != set()
    assert {"shap_importance.png", "shap_beeswarm.png", "partial_dependence.png"} < set(result.figures)
    explained = Explanations.model_validate_json((written / "explanations.json").read_text())
    assert set(explained.shapley.importance) == {item.column for item in explained.permutation}
    for example in explained.examples:
        assert example.base + sum(example.contributions.values()) == pytest.approx(example.total)
        assert example.lime is not None
        assert set(example.lime.weights) == set(example.inputs)
        assert -1 <= example.lime.fit <= 1
    points = json.loads((written / "figures" / "figures.json").read_text())
    assert {f"{name}.png" for name in points} < set(result.figures)
    card = (written / "model_card.md").read_text()
    assert "**Verdict of the gate: passed.**" in card
    sections = dict(part.split("\n", 1) for part in card.split("\n## ")[1:])
    assert set(SECTIONS) <= set(sections)
    assert all(sections[name].strip() for name in SECTIONS)
    assert all(f"| {name} |" in sections["Explanations"] for name in list(explained.shapley.importance)[:3])
    for name, (low, high) in result.intervals.items():
        assert low <= result.test_metrics[name] <= high
        assert f"| {low:.4f} to {high:.4f} |" in sections["Metrics"]
    assert result.verdict.startswith("Passed: all ")
    assert "champion" in result.segments[0].adjusted or result.segments[0].not_judged
    assert {segment.column for segment in result.segments} == {"plan"}
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert lines[-1]["event"] == "gate_checked"


def test_the_baseline_itself_is_refused_as_no_better_than_itself(tmp_path: Path) -> None:
    base = job(tmp_path, "regression", ["baseline"])
    project = base / "input" / "data" / "project" / "p.zip"
    change_training(project, gate={"beats_baseline_by": 0.05})
    train(base)
    result, _ = evaluate(evaluation(base, tmp_path / "evaluate"))
    assert result.status == "refused"
    assert "required" in result.reasons[0]


def change_training(archive: Path, **changes: Any) -> None:
    with zipfile.ZipFile(archive) as old:
        document = yaml.safe_load(old.read("project.yaml"))
    document["training"] |= changes
    with zipfile.ZipFile(archive, "w") as new:
        new.writestr("project.yaml", yaml.safe_dump(document))


def test_a_class_that_first_appears_in_the_test_period_counts_as_an_error_not_a_crash(tmp_path: Path) -> None:
    base = job(tmp_path, "multiclass", ["baseline", "logistic"])
    train(base)
    folder = evaluation(base, tmp_path / "evaluate")

    def rename(table: pa.Table) -> pa.Table:
        labels = table["__label"].to_pylist()
        labels[0] = "platinum"
        return table.set_column(table.column_names.index("__label"), "__label", pa.array(labels))

    change_test_rows(folder, rename)
    result, _ = evaluate(folder)
    assert "log_loss" not in result.test_metrics
    assert result.test_metrics["accuracy"] < 1


def test_a_class_that_first_appears_in_validation_does_not_fail_the_candidates(tmp_path: Path) -> None:
    base = job(tmp_path, "multiclass", ["baseline", "logistic"])
    path = next((base / "input" / "data" / "validation").rglob("*.parquet"))
    table = pq.read_table(path)
    labels = table["__label"].to_pylist()
    labels[0] = "platinum"
    pq.write_table(table.set_column(table.column_names.index("__label"), "__label", pa.array(labels)), path)
    result, output = train(base)
    assert [item.status for item in result.candidates] == ["trained", "trained"], output


def test_a_corrupt_champion_does_not_block_its_successor(tmp_path: Path) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic"])
    train(base)
    folder = evaluation(base, tmp_path / "evaluate", champion=base / "model")
    archive = folder / "processing" / "input" / "champion" / "model.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-200])
    result, output = evaluate(folder)
    assert result.champion_metrics == {}
    assert "the champion, which cannot be loaded" in result.not_judged[0]
    assert "Not judged: the champion, which cannot be loaded" in output


@pytest.mark.parametrize("name", ["../outside", "/outside", "inner/../../outside"])
def test_an_archive_that_points_outside_writes_nothing_there(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with contextlib.suppress(BundleError):
        unpack(tmp_path / "a.tar.gz", tmp_path / "inside")
    assert not (tmp_path / "outside").exists()
    assert not Path("/outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("x")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(BundleError, match="neither file nor folder"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "inside")


def test_an_archive_damaged_anywhere_is_refused_or_unpacked_but_never_another_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "good.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("x")
        body = b"".join(b"%d," % number for number in range(60_000))
        member.size = len(body)
        tar.addfile(member, io.BytesIO(body))
    good = (tmp_path / "good.tar.gz").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        bad = bytearray(good)
        bad[int(generator.integers(20, len(bad)))] ^= 0xFF
        (tmp_path / "bad.tar.gz").write_bytes(bad)
        try:
            unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
        except BundleError:
            refused += 1
    assert refused > 0


def test_a_model_of_fewer_features_is_judged_on_all_segments_and_against_a_champion_of_all(tmp_path: Path) -> None:
    base = job(tmp_path / "job", "binary", ["baseline", "logistic"], reduce=True)
    training, _ = train(base)
    assert training.chosen.endswith("-features"), training.why
    folder = evaluation(base, tmp_path / "evaluation", champion=base / "checkpoints" / "logistic" / "bundle")
    result, _ = evaluate(folder)
    assert result.champion_metrics
    assert {segment.column for segment in result.segments} == {"plan"}
    assert "features.png" in result.figures
    assert "## Features" in (folder / "processing" / "output" / "result" / "model_card.md").read_text()
