"""Stages are so long, and checkpoints so often, that a kill at any moment loses at most the interval."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from training.train import pace as module
from training.train.pace import Pace
from training.train.stages import LEG, StageCosts

CHEAP, DEAR = StageCosts(LEG, extra=False), StageCosts(1, extra=True)


class Clock:
    """A time that passes only when something is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


def _most_lost(
    clock: Clock, pace: Pace, *, round_seconds: float, extra: float = 0.0, writing: float = 0.0
) -> tuple[float, int]:
    """Play a fit; return the most that a kill could have cost, while writing too, and the number of stages."""
    kept, most, stages = clock.now, 0.0, 0
    for stage in pace.stages():
        stages += 1
        clock.now += extra + (stage - pace.done) * round_seconds
        pace.reached(stage)
        most = max(most, clock.now - kept)
        if pace.due:
            clock.now += writing
            most = max(most, clock.now - kept)
            pace.saved(writing)
            kept = clock.now
    return most, stages


@pytest.mark.parametrize("round_seconds", [0.0001, 0.01, 0.5, 1.9])
@pytest.mark.parametrize("writing", [0.0, 0.2, 2.9])
def test_a_kill_at_any_moment_loses_at_most_the_interval(
    monkeypatch: pytest.MonkeyPatch, round_seconds: float, writing: float
) -> None:
    clock = Clock(monkeypatch)
    most, _ = _most_lost(clock, Pace(30.0, 2_000, 0, CHEAP), round_seconds=round_seconds, writing=writing)
    assert most <= 30.0


def test_what_a_checkpoint_costs_takes_a_tenth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace(1.0, 2_000, 0, CHEAP)
    _most_lost(clock, pace, round_seconds=0.1, writing=2.0)
    assert pace.interval == pytest.approx(20.0)


def test_stages_that_cost_extra_are_few_and_their_cost_is_part_of_a_checkpoint_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, pace = Clock(monkeypatch), Pace(1.0, 2_000, 0, DEAR)
    most, stages = _most_lost(clock, pace, round_seconds=0.05, extra=0.5)
    assert pace.interval == pytest.approx(5.5)
    assert most <= pace.interval
    assert stages * 0.5 < 0.25 * 2_000 * 0.05


def test_a_leg_that_is_longer_than_the_interval_is_lost_whole_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    most, _ = _most_lost(clock, Pace(10.0, 100, 0, CHEAP), round_seconds=4.0, writing=0.1)
    assert most == pytest.approx(LEG * 4.0 + 0.1)


def test_encoding_the_rows_is_no_work_that_a_checkpoint_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(10.0, 100, 0, CHEAP)
    clock.now += 1_000.0
    stages = pace.stages()
    clock.now += 1.0
    pace.reached(next(stages))
    assert not pace.due


def test_a_stage_ends_well_before_sagemaker_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace, longest = Pace(3_600.0, 100_000, 0, CHEAP), 0.0
    for stage in pace.stages():
        seconds = (stage - pace.done) * 0.5
        clock.now, longest = clock.now + seconds, max(longest, seconds)
        pace.reached(stage)
    assert longest <= 60.0


@pytest.mark.parametrize(("last_stage", "kept"), [(4.0, False), (6.0, True)])
def test_a_fit_that_ended_is_kept_when_more_than_half_an_interval_of_it_is_not(
    monkeypatch: pytest.MonkeyPatch, last_stage: float, kept: bool
) -> None:
    clock, pace = Clock(monkeypatch), Pace(10.0, LEG, 0, CHEAP)
    stages = pace.stages()
    done = next(stages)
    clock.now += last_stage
    pace.reached(done)
    assert pace.due is kept
