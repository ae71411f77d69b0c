"""The spot benchmark tells what every start costs from work that was lost, and sees a bound that is broken."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bench.spot import INTERRUPTIONS, drawn
from bench.spot_account import account, attempts

START = [(1.0, "imported"), (1.5, "read"), (2.0, "fitting")]


def _events(*moments: tuple[float, str], interval: float = 1.0) -> list[dict[str, Any]]:
    return [{"at": 0.0, "event": "begun"}, *({"at": at, "event": name, "interval": interval} for at, name in moments)]


def test_what_was_fitted_after_the_last_checkpoint_is_lost_and_the_start_is_no_part_of_it() -> None:
    fitted = [(2.5, "rounds_fitted"), (2.9, "rounds_fitted"), (3.0, "fit_checkpointed"), (3.4, "rounds_fitted")]
    found = account(_events(*START, *fitted, (3.75, "killed")), 1.0)
    assert (found.importing, found.reading, found.encoding, found.start) == (1.0, 0.5, 0.5, 2.0)
    assert found.fitting == pytest.approx(1.75)
    assert found.writing == pytest.approx(0.1)
    assert found.repeated == pytest.approx(0.75)
    assert found.repeated <= found.bound


def test_a_kill_before_the_first_checkpoint_loses_all_fitting_and_one_before_the_fit_none() -> None:
    assert account(_events(*START, (2.5, "rounds_fitted"), (3.25, "killed")), 1.0).repeated == pytest.approx(1.25)
    early = account(_events(START[0], (1.25, "killed")), 1.0)
    assert (early.start, early.fitting, early.repeated) == (1.25, 0.0, 0.0)


def test_a_loss_above_the_bound_shows_and_dear_checkpoints_widen_it() -> None:
    late = account(_events(*START, (2.5, "rounds_fitted"), (4.0, "killed")), 1.0)
    assert late.repeated > late.bound
    assert account(_events(*START, (2.5, "rounds_fitted"), (4.0, "killed"), interval=3.0), 1.0).bound == 3.0


def test_the_attempt_that_ends_loses_nothing_and_each_attempt_is_told_apart() -> None:
    killed, ended = _events(*START, (2.5, "killed")), _events(*START, (9.0, "fitted"), (9.1, "ended"))
    first, last = (account(part, 1.0) for part in attempts([*killed, *ended]))
    assert (first.killed, last.killed, last.repeated, last.fitting) == (True, False, 0.0, 7.0)


def test_kills_are_drawn_over_the_whole_run() -> None:
    lives = drawn(100.0, seed=1)
    assert len(lives) == INTERRUPTIONS
    assert min(lives) > 0
    assert all(0 < moment < 100 for moment in itertools.accumulate(lives))
    assert lives != drawn(100.0, seed=2)
