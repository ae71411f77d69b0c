"""A reduction that is killed goes on with the sizes that it has tried, to the same curve."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.contracts.bundle import BundleSignature, SignatureColumn
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.project import load_project
from tests.e2e.projects import project_document
from training.train import reduce as module
from training.train.checkpoint import Checkpoints
from training.train.context import Context
from training.train.data import Rows
from training.train.kept import Kept, KeptNumbers
from training.train.reduce import Reduction, reduce_features

NAMES = tuple("abcdefgh")
INPUTS = tuple(SignatureColumn(name=name, type="number") for name in NAMES)
FITS = 5  # with 8, 5, 3, 2 and 1 features


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


class Work:
    """Counts fits and scores, and strikes at some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moments: tuple[int, ...] = ()) -> None:
        self.moments, self.units, self.fits, self.scores = moments, 0, 0, 0
        self._fit, self._score = vars(module)["fit_candidate"], vars(module)["predict"]
        monkeypatch.setattr(module, "fit_candidate", self.fit)
        monkeypatch.setattr(module, "predict", self.score)

    def unit(self) -> None:
        self.units += 1
        if self.units in self.moments:
            raise Killed

    def fit(self, *arguments: Any, **options: Any) -> Any:
        self.unit()
        self.fits += 1
        return self._fit(*arguments, **options)

    def score(self, *arguments: Any) -> Any:
        self.unit()
        self.scores += 1
        return self._score(*arguments)


def _rows(seed: int, count: int) -> Rows:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=count) for name in NAMES}
    labels = (columns["a"] + columns["b"] + generator.normal(size=count) > 0).astype(np.int64)
    times = np.datetime64("2026-01-01", "us") + np.arange(count)
    return Rows(typed_frame({name: list(values) for name, values in columns.items()}, INPUTS), labels, times)


@pytest.fixture
def context() -> Context:
    document = project_document("p-x", "binary")
    document["training"]["checkpoint_seconds"] = 0
    project = load_project(yaml.safe_dump(document), source="project.yaml")
    words: Any = dict.fromkeys(("run_id", "dataset_id", "contract_hash", "git_sha", "lock_hash", "created_at"), "x")
    signature = BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"), positive_class="1")
    parts: dict[str, Any] = {"train": _rows(1, 300), "validation": _rows(2, 200)}
    return Context(project=project, signature=signature, seed=5, threads=1, device="cpu", **parts, **words)


def _reduced(context: Context, folder: Path, key: str = "k") -> Reduction:
    return reduce_features("logistic", context, Checkpoints(folder, key))


def _told(found: Reduction) -> Any:
    return found.features, [(point.features, point.score, point.standard_error, point.as_good) for point in found.curve]


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_three_times_a_reduction_repeats_one_piece_of_work_each_and_finds_the_same(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with monkeypatch.context() as patch:
        whole = Work(patch)
        expected = _reduced(context, tmp_path / "whole")
    moments = tuple(sorted(random.Random(seed).sample(range(1, whole.units), 3)))
    with monkeypatch.context() as patch:
        cut = Work(patch, moments)
        for _ in moments:
            with pytest.raises(Killed):
                _reduced(context, tmp_path / "cut")
        found = _reduced(context, tmp_path / "cut")
    assert _told(found) == _told(expected)
    assert whole.fits == FITS
    assert cut.fits - whole.fits <= len(moments)
    assert cut.scores == whole.scores  # each is kept, with an interval of no seconds


def test_a_reduction_that_has_ended_fits_nothing_again(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, work = _reduced(context, tmp_path), Work(monkeypatch)
    assert _told(_reduced(context, tmp_path)) == _told(expected)
    assert work.units == 0
    assert [path.name for path in (tmp_path / "under-way").iterdir()] == ["logistic-reduction.json"]


@pytest.mark.parametrize("damage", ["cut off", "a changed digit", "another key"])
def test_a_reduction_of_other_data_or_with_a_damaged_file_is_told_and_begun_anew(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    expected, path = _reduced(context, tmp_path), tmp_path / "under-way" / "logistic-reduction.json"
    raw = path.read_text()
    if damage != "another key":
        path.write_text(raw[:-40] if damage == "cut off" else raw.replace("0.9", "0.8"))
    work = Work(monkeypatch)
    assert _told(_reduced(context, tmp_path, "other" if damage == "another key" else "k")) == _told(expected)
    assert work.fits == FITS
    assert "The reduction of logistic is not used" in capsys.readouterr().out


def test_a_disk_that_is_full_ends_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    Kept(tmp_path / "file" / "x.json", "k", "The search").save([1])
    assert "The search is not kept" in capsys.readouterr().out


def test_numbers_within_the_interval_are_not_written(tmp_path: Path) -> None:
    numbers = KeptNumbers(Kept(tmp_path / "x.json", "k", "The numbers"), every_seconds=3600)
    assert [numbers.next(lambda: 1.0), numbers.next(lambda: None)] == [1.0, None]
    assert list(tmp_path.iterdir()) == []
