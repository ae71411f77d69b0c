"""A fit goes on where an interruption stopped it, to the very model that it would have become."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.pipelines import make_candidate
from training.stopping import Sigterm, StoppedError
from training.train import fit_checkpoint, pace
from training.train.fit_checkpoint import FitCheckpoint, fit_resumably
from training.train.predict import predict
from training.train.stages import LEG, fit_whole, rounds_of

INPUTS = (SignatureColumn(name="a", type="number"), SignatureColumn(name="place", type="category"))
ROUNDS = 6 * LEG
BOOSTED = [("xgboost", "binary"), ("xgboost", "multiclass"), ("hist_gradient_boosting", "regression"),
           ("random_forest", "binary")]  # fmt: skip
Told = list[tuple[str, int]]


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def data(task: str) -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(11)
    frame = pd.DataFrame({"a": generator.normal(size=300), "place": generator.choice(["north", "south"], size=300)})
    signal_ = (frame["a"] + (frame["place"] == "south") + generator.normal(size=300)).to_numpy()
    if task == "regression":
        return frame, signal_
    return frame, (signal_ > 0).astype(int) if task == "binary" else np.digitize(signal_, [-0.5, 1.0]).astype(str)


def candidate(name: str, task: str) -> Pipeline:
    rounds = {"hist_gradient_boosting": "max_iter", "logistic": "max_iter"}.get(name, "n_estimators")
    return make_candidate(name, task=task, inputs=INPUTS, time_parts=(), seed=3, threads=1, params={rounds: ROUNDS})


def answers(pipeline: Pipeline, task: str) -> Any:
    found = predict(pipeline, data(task)[0], task)
    return found.predictions if found.probabilities is None else found.probabilities


@pytest.fixture
def sigterm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Give a fresh handler to each attempt, as each is a process of its own."""
    before = signal.getsignal(signal.SIGTERM)

    def fresh() -> None:
        handler = Sigterm()
        monkeypatch.setattr(fit_checkpoint, "SIGTERM", handler)
        signal.signal(signal.SIGTERM, handler)

    fresh()
    yield fresh
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return the events of the fits, as (event, rounds)."""
    events: Told = []
    monkeypatch.setattr(
        fit_checkpoint, "tell", lambda event, **fields: events.append((event, int(fields.get("rounds", 0))))
    )
    return events


def strike(monkeypatch: pytest.MonkeyPatch, told: Told, at: int, blow: Callable[[], None]) -> None:
    """Let `blow` fall when a fit has so many rounds."""

    def tell(event: str, **fields: Any) -> None:
        told.append((event, int(fields.get("rounds", 0))))
        if event == "rounds_fitted" and fields["rounds"] >= at:
            blow()

    monkeypatch.setattr(fit_checkpoint, "tell", tell)


def kill() -> None:
    raise Killed


def attempt(name: str, task: str, path: Path, every_seconds: float = 0.0) -> Pipeline:
    pipeline = candidate(name, task)
    fit_resumably(pipeline, *data(task), FitCheckpoint(path, name, "key", every_seconds))
    return pipeline


@pytest.mark.parametrize(("name", "task"), BOOSTED)
def test_three_interruptions_leave_the_model_as_it_would_have_been_and_lose_no_finished_stage(
    name: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told, sigterm: Callable[[], None]
) -> None:
    whole = candidate(name, task)
    fit_whole(whole, *data(task))
    monkeypatch.setattr(pace, "LONGEST_STAGE_SECONDS", 0.0)  # short stages, long interval
    for at in sorted(random.Random(4).sample(range(1, ROUNDS - LEG), 3)):
        strike(monkeypatch, told, at, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(StoppedError):
            attempt(name, task, tmp_path / "x.fit", every_seconds=3600)
        reached = max(rounds for event, rounds in told if event == "rounds_fitted")
        assert told[-1] == ("fit_checkpointed", reached)
        assert told.count(("fit_checkpointed", reached)) == 1
        sigterm()
    strike(monkeypatch, told, ROUNDS + 1, kill)
    saved = attempt(name, task, tmp_path / "x.fit")
    assert [event for event, _ in told].count("fit_resumed") == 3
    np.testing.assert_array_equal(answers(saved, task), answers(whole, task))


@pytest.mark.parametrize(("name", "task"), BOOSTED)
def test_a_kill_without_warning_loses_only_what_came_after_the_last_checkpoint(
    name: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    whole = candidate(name, task)
    fit_whole(whole, *data(task))
    monkeypatch.setattr(pace, "COST_SHARE", float("inf"))  # a checkpoint after every stage
    strike(monkeypatch, told, 3 * LEG, kill)
    with pytest.raises(Killed):
        attempt(name, task, tmp_path / "x.fit")
    strike(monkeypatch, told, ROUNDS + 1, kill)
    saved = attempt(name, task, tmp_path / "x.fit")
    killed_at = next(rounds for event, rounds in told if event == "rounds_fitted" and rounds >= 3 * LEG)
    (resumed_at,) = [rounds for event, rounds in told if event == "fit_resumed"]
    assert killed_at - resumed_at == (LEG if name == "xgboost" else 1)
    np.testing.assert_array_equal(answers(saved, task), answers(whole, task))


def test_a_fit_shorter_than_the_interval_writes_nothing(tmp_path: Path, told: Told) -> None:
    attempt("xgboost", "binary", tmp_path / "x.fit", every_seconds=3600)
    assert {event for event, _ in told} == {"rounds_fitted"}
    assert list(tmp_path.iterdir()) == []


def test_a_finished_fit_is_taken_as_it_is(tmp_path: Path, told: Told) -> None:
    first = attempt("logistic", "binary", tmp_path / "x.fit")
    again = attempt("logistic", "binary", tmp_path / "x.fit")
    assert told[-1] == ("fit_resumed", 1)
    np.testing.assert_array_equal(answers(again, "binary"), answers(first, "binary"))


@pytest.mark.parametrize("damage", ["another key", "a changed byte", "cut off"])
def test_a_checkpoint_that_does_not_fit_is_told_and_passed_over(
    damage: str, tmp_path: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.fit"
    attempt("random_forest", "binary", path)
    raw = path.read_bytes()
    changes = {"another key": raw.replace(b'"key": "key"', b'"key": "old"'), "a changed byte": raw[:-1] + b"?",
               "cut off": raw[:40]}  # fmt: skip
    path.write_bytes(changes[damage])
    told.clear()
    saved = attempt("random_forest", "binary", path)
    assert rounds_of(saved) == ROUNDS
    assert told[0][0] != "fit_resumed"
    assert "random_forest is not used" in capsys.readouterr().out


def test_a_write_that_fails_leaves_the_last_state_and_the_fit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    path = tmp_path / "x.fit"
    monkeypatch.setattr(pace, "COST_SHARE", float("inf"))
    strike(monkeypatch, told, 2 * LEG, kill)
    with pytest.raises(Killed):
        attempt("xgboost", "binary", path)
    strike(monkeypatch, told, ROUNDS + 1, kill)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert rounds_of(attempt("xgboost", "binary", path)) == ROUNDS
    assert "fit_not_checkpointed" in {event for event, _ in told}
    assert path.read_bytes() == before


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    path, written = tmp_path / "x.fit", 0
    whole = candidate("xgboost", "binary")
    fit_whole(whole, *data("binary"))
    monkeypatch.setattr(pace, "COST_SHARE", float("inf"))

    def fsync(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(Killed):
            attempt("xgboost", "binary", path)
    assert len(list(tmp_path.iterdir())) == 2  # the whole one, and what was being written
    saved = attempt("xgboost", "binary", path)
    assert ("fit_resumed", 2 * LEG) in told
    np.testing.assert_array_equal(answers(saved, "binary"), answers(whole, "binary"))
