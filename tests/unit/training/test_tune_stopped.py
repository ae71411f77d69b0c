"""SIGTERM ends a search at the next stage of its trials, and loses the trials under way only."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import training.train.tune as module
from passerelle.contracts.study import TrialStage
from passerelle.domain.tuning.space import stages
from tests.unit.training.test_tune import _file, _plan, context
from training.stopping import Sigterm, StoppedError
from training.train.context import Context
from training.train.tune import tune

__all__ = ["context"]
TRIALS = 12


def test_a_stopped_search_tries_nothing_more_and_goes_on_as_if_it_had_not_been_stopped(
    context: Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[Any] = []
    strike_in, handler = 0, Sigterm()

    def scored(space: Any, params: Any, context: Any, encoded: Any) -> Any:
        begun.append(params)
        for rounds, step in stages(space).items():
            if len(begun) == strike_in and step == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                while not handler.asked:  # Python runs a handler in its main thread, when that next has its turn
                    time.sleep(0.001)
            yield TrialStage(step=step, rounds=rounds, score=rounds / 1_000 - abs(params["learning_rate"] - 0.1))

    monkeypatch.setattr(module, "scored_stages", scored)
    whole = tune(context, _plan(trials=TRIALS), _file(tmp_path / "whole"))
    begun.clear()
    strike_in = 5
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "SIGTERM", handler)
            with pytest.raises(StoppedError):
                tune(context, _plan(trials=TRIALS), _file(tmp_path / "cut"))
    finally:
        signal.signal(signal.SIGTERM, before)
    kept = _file(tmp_path / "cut").load()
    assert len(begun) == strike_in
    assert kept is not None
    assert len(kept.trials) == strike_in - 1
    cut = tune(context, _plan(trials=TRIALS), _file(tmp_path / "cut"))
    assert len(begun) == TRIALS + 1
    assert [(trial.params, trial.score, trial.state) for trial in cut.trials] == [
        (trial.params, trial.score, trial.state) for trial in whole.trials
    ]
