"""A search ends with its budget, stops hopeless trials early, starts from what is known, and goes on after a kill."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import training.train.tune as module
from passerelle.contracts.bundle import BundleSignature, SignatureColumn
from passerelle.contracts.study import Study, TrialPoint, TrialStage
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.project import load_project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import Budget
from passerelle.domain.tuning.space import SPACES, stages
from tests.e2e.projects import project_document
from training.train.context import Context
from training.train.data import Rows
from training.train.study_file import StudyFile
from training.train.tune import Plan, tune

INPUTS = tuple(SignatureColumn(name=name, type="number") for name in ("a", "b", "c"))
XGBOOST, LOGISTIC = SPACES["xgboost"], SPACES["logistic"]


def _rows(seed: int, count: int) -> Rows:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=count) for name in ("a", "b", "c")}
    labels = (columns["a"] + columns["b"] * columns["c"] + generator.normal(size=count) > 0).astype(np.int64)
    times = np.datetime64("2026-01-01", "us") + np.arange(count)
    return Rows(typed_frame({name: list(values) for name, values in columns.items()}, INPUTS), labels, times)


@pytest.fixture
def context() -> Context:
    project = load_project(yaml.safe_dump(project_document("p-x", "binary")), source="project.yaml")
    words: Any = dict.fromkeys(("run_id", "dataset_id", "contract_hash", "git_sha", "lock_hash", "created_at"), "x")
    signature = BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"), positive_class="1")
    parts: dict[str, Any] = {"train": _rows(1, 300), "validation": _rows(2, 200)}
    return Context(project=project, signature=signature, seed=5, threads=1, device="cpu", **parts, **words)


def _plan(*spaces: Any, trials: int = 8, earlier: tuple[TrialPoint, ...] = (), **tuning: Any) -> Plan:
    budget = Budget(trials=trials)
    return Plan(tuning=Tuning(**tuning), spaces=spaces or (XGBOOST,), budget=budget, earlier=earlier)


def _file(folder: Path, key: str = "k") -> StudyFile:
    return StudyFile(folder / "study.json", key)


def _scripted(monkeypatch: pytest.MonkeyPatch, curve: Any) -> None:
    """Let trials score what `curve(params, rounds)` says, without a fit."""

    def scored(space: Any, params: Any, context: Any, encoded: Any) -> Any:
        for rounds, step in stages(space).items():
            yield TrialStage(step=step, rounds=rounds, score=curve(params, rounds))

    monkeypatch.setattr(module, "scored_stages", scored)


def test_the_first_trial_is_the_usual_model_and_the_best_of_all_is_told(context: Context, tmp_path: Path) -> None:
    study = tune(context, _plan(LOGISTIC, XGBOOST, trials=6), _file(tmp_path))
    assert [trial.origin for trial in study.trials[:2]] == ["usual", "usual"]
    assert {trial.candidate for trial in study.trials[:2]} == {"logistic", "xgboost"}
    assert study.trials[0].params == {"C": 0.5}
    assert study.ended_by == "trials"
    assert len(study.trials) == 6
    best = max(trial.score or 0.0 for trial in study.trials)
    assert study.trials[0].score is not None
    assert study.ranked()[0].score == best >= study.trials[0].score
    assert study.best == study.ranked()[0].number


def test_a_search_is_repeated_exactly_by_its_seed(context: Context, tmp_path: Path) -> None:
    first, second = (tune(context, _plan(trials=4), _file(tmp_path / name)) for name in ("a", "b"))
    assert [(trial.params, trial.score) for trial in first.trials] == [
        (trial.params, trial.score) for trial in second.trials
    ]


@pytest.mark.parametrize("pruner", ["asha", "hyperband"])
def test_a_pruner_saves_rounds_and_keeps_the_best_trial(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: str
) -> None:
    _scripted(monkeypatch, lambda params, rounds: rounds / 1_000 - abs(params["learning_rate"] - 0.1))
    pruned = tune(context, _plan(trials=40, pruner=pruner, sampler="random"), _file(tmp_path / "a"))
    whole = tune(context, _plan(trials=40, pruner="none", sampler="random"), _file(tmp_path / "b"))

    def rounds(study: Study) -> int:
        return sum(trial.stages[-1].rounds for trial in study.trials)

    assert rounds(whole) == 40 * XGBOOST.most
    assert rounds(pruned) < 0.6 * rounds(whole)
    assert all(trial.pruned_at == trial.stages[-1].rounds for trial in pruned.trials if trial.state == "pruned")
    assert {trial.state for trial in whole.trials} == {"finished"}
    close = [abs(float(trial.params["learning_rate"]) - 0.1) for trial in pruned.trials]
    assert abs(float(pruned.ranked()[0].params["learning_rate"]) - 0.1) <= sorted(close)[4]


def test_a_trial_keeps_the_rounds_that_scored_best_and_ends_when_more_only_overfit(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scripted(monkeypatch, lambda params, rounds: 0.7 - abs(rounds - 90) / 1_000)
    (trial,) = tune(context, _plan(trials=1), _file(tmp_path)).trials
    assert (trial.rounds, trial.score, trial.state) == (90, 0.7, "finished")
    assert [stage.rounds for stage in trial.stages] == [15, 45, 90, 135, 195]


def test_a_metric_that_is_better_when_smaller_is_searched_downwards(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = project_document("p-x", "binary")
    document["task"]["metric"] = "log_loss"
    smaller = load_project(yaml.safe_dump(document), source="project.yaml")
    _scripted(monkeypatch, lambda params, rounds: params["learning_rate"] + 1 / rounds)
    own = Context(**{**vars(context), "project": smaller})
    study = tune(own, _plan(trials=12), _file(tmp_path))
    assert study.ranked()[0].score == min(trial.score or 9.0 for trial in study.trials)
    assert study.ranked()[0].rounds == XGBOOST.most


def test_the_earlier_study_s_best_trials_are_tried_first_after_the_usual_one(context: Context, tmp_path: Path) -> None:
    params = XGBOOST.start() | {"max_depth": 3, "learning_rate": 0.2}
    outside = XGBOOST.start() | {"max_depth": 99}
    earlier = tuple(TrialPoint(candidate="xgboost", params=item) for item in (params, outside, {"gone": 1.0}))
    study = tune(context, _plan(trials=3, earlier=earlier), _file(tmp_path))
    assert [trial.origin for trial in study.trials] == ["usual", "earlier", "sampled"]
    assert study.trials[1].params == params


def test_a_search_that_was_killed_goes_on_with_what_it_had(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def interrupt(event: str, **fields: Any) -> None:
        ended.append(fields["number"])
        if len(ended) == 3:
            raise SystemExit(1)

    with monkeypatch.context() as patch:
        patch.setattr(module, "tell", interrupt)
        with pytest.raises(SystemExit):
            tune(context, _plan(trials=6), _file(tmp_path))
    kept = _file(tmp_path).load()
    assert kept is not None
    assert len(kept.trials) == 3
    study = tune(context, _plan(trials=6), _file(tmp_path))
    assert study.trials[:3] == kept.trials
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4, 5]
    assert [trial.origin for trial in study.trials].count("usual") == 1
    assert len({json.dumps(trial.params) for trial in study.trials}) == 6
    assert study.seconds > kept.seconds


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "asha"), ("random", "hyperband")])
def test_interrupted_three_times_a_search_on_one_core_tries_what_it_would_have_tried(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, pruner: str
) -> None:
    _scripted(monkeypatch, lambda params, rounds: rounds / 1_000 - abs(params["learning_rate"] - 0.1))
    plan = _plan(trials=30, sampler=sampler, pruner=pruner)
    whole = tune(context, plan, _file(tmp_path / "whole"))
    ended: list[int] = []
    moments = random.Random(5).sample(range(1, 30), 3)

    def interrupt(event: str, **fields: Any) -> None:
        ended.append(fields["number"])
        if len(ended) in moments:
            raise SystemExit(1)

    with monkeypatch.context() as patch:
        patch.setattr(module, "tell", interrupt)
        for _ in moments:
            with pytest.raises(SystemExit):
                tune(context, plan, _file(tmp_path / "cut"))
    cut = tune(context, plan, _file(tmp_path / "cut"))
    assert len(ended) == max(moments)  # none was tried twice
    assert [(trial.params, trial.score, trial.state) for trial in cut.trials] == [
        (trial.params, trial.score, trial.state) for trial in whole.trials
    ]
    assert cut.best == whole.best


def test_a_finished_search_is_not_begun_again(context: Context, tmp_path: Path) -> None:
    study = tune(context, _plan(trials=2), _file(tmp_path))
    assert tune(context, _plan(trials=2), _file(tmp_path)).trials == study.trials


@pytest.mark.parametrize("damage", ["{", json.dumps({"key": "k", "study": {"metric": 1}})])
def test_a_study_that_is_corrupt_or_of_other_data_is_begun_anew(context: Context, tmp_path: Path, damage: str) -> None:
    tune(context, _plan(trials=1), _file(tmp_path))
    assert _file(tmp_path, "other").load() is None
    (tmp_path / "study.json").write_text(damage)
    assert _file(tmp_path).load() is None


def test_a_trial_that_fails_is_told_and_the_search_goes_on(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(space: Any, params: Any, context: Any, encoded: Any) -> Any:
        if params == XGBOOST.start():
            raise ValueError("no such depth")
        yield TrialStage(step=27, rounds=405, score=0.6)

    monkeypatch.setattr(module, "scored_stages", broken)
    study = tune(context, _plan(trials=3), _file(tmp_path))
    assert [trial.state for trial in study.trials] == ["failed", "finished", "finished"]
    assert study.trials[0].error == "ValueError: no such depth"
    assert tune(context, _plan(trials=4), _file(tmp_path)).trials[:3] == study.trials


def test_a_time_that_is_over_ends_the_running_trial_too(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("training.train.tune.time.monotonic", lambda: float(next(clock)))
    _scripted(monkeypatch, lambda params, rounds: rounds / 1_000)
    plan = Plan(tuning=Tuning(), spaces=(XGBOOST,), budget=Budget(minutes=1, trials=50))
    study = tune(context, plan, _file(tmp_path))
    assert study.ended_by == "minutes"
    assert len(study.trials) == 1
    assert study.trials[0].state == "pruned"


def test_trials_run_side_by_side_on_several_cores(context: Context, tmp_path: Path) -> None:
    own = Context(**{**vars(context), "threads": 3})
    study = tune(own, _plan(LOGISTIC, XGBOOST, trials=7), _file(tmp_path))
    assert sorted(trial.number for trial in study.trials) == list(range(7))
    assert {trial.state for trial in study.trials} <= {"finished", "pruned"}
