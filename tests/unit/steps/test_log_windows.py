"""MLflow is told of windows with the run of the model that was asked: each once, and again when it is judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from passerelle.aws.mlflow_batches import Point
from passerelle.errors import TransientError
from passerelle.settings import LogWindowsSettings
from passerelle.steps import log_windows as step
from passerelle.steps.watch_drift import watch_drift

from .watched import FIRST, Watched, day, performance, rows_of
from .world import Aws

Told = tuple[str, tuple[Point, ...], Mapping[str, str]]


class Log:
    """Stands for MLflow; remembers what it was told."""

    told: tuple[Told, ...] = ()
    down, knows = False, True

    def __init__(self, uri: str, project: str, environment: str) -> None:
        assert (uri, project, environment) == ("http://mlflow", "flights", "laptop")

    def tell(self, identity: str, points: Sequence[Point], tags: Mapping[str, str]) -> bool:
        if Log.down:
            raise TransientError("MLflow does not answer")
        Log.told += ((identity, tuple(points), tags),)
        return Log.knows


@pytest.fixture
def world(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(step, "WindowLog", Log)
    Log.told, Log.down, Log.knows = (), False, True
    made = Watched(aws)
    made.serve(errors=performance())
    table = aws.table
    table.save(table.need("flights", "r1").model_copy(update={"created_at": (FIRST - timedelta(days=2)).isoformat()}))
    for number in range(2):
        made.record(rows_of(1_000, day(number), shift=0.8 * number), name=f"{number}")
    watch_drift({"project": "flights", "now": (day(2) + timedelta(minutes=20)).isoformat()}, made.settings)
    return made


def _log(world: Watched) -> tuple[Told, ...]:
    """Log, and return what MLflow was told."""
    Log.told, request = (), {"project": "flights", "status": "done"}
    settings = LogWindowsSettings(**world.aws.shared, tracking_uri="http://mlflow")
    assert step.log_windows(request, settings) == request
    return Log.told


def test_each_window_is_a_point_of_each_series_of_its_models_run(world: Watched) -> None:
    ((identity, points, tags),) = _log(world)
    assert identity == "r1-1"
    series = {name: [point for point in points if point.name == name] for name in {point.name for point in points}}
    assert [point.value for point in series["windows/rows"]] == [1_000.0, 1_000.0]
    assert [point.value for point in series["windows/severity"]] == [0.0, 3.0]
    # As many windows after the run was begun; at the window's end.
    assert [point.step for point in series["windows/rows"]] == [2, 3]
    assert [point.moment for point in series["windows/rows"]] == [int(day(n).timestamp() * 1_000) for n in (1, 2)]
    assert [point.step for point in series["windows/moved/distance"]] == [3]
    assert {"windows/estimated/roc_auc", "windows/labelled"} <= set(series)
    assert tags["passerelle.window"] == day(1).isoformat()
    assert "distance" in tags["passerelle.window.line"]


def test_a_window_is_told_once_and_again_when_it_was_judged_again(world: Watched) -> None:
    assert len(_log(world)) == 1
    assert _log(world) == ()
    world.record(rows_of(10, day(1), seed=9), name="late")
    watch_drift({"project": "flights", "now": (day(2) + timedelta(hours=1)).isoformat()}, world.settings)
    ((_, points, _),) = _log(world)
    assert [point.value for point in points if point.name == "windows/rows"] == [1_010.0]


def test_what_mlflow_did_not_hear_is_told_by_the_next_call(world: Watched) -> None:
    Log.down = True
    with pytest.raises(TransientError):
        _log(world)
    Log.down = False
    assert len(_log(world)) == 1


def test_a_run_that_mlflow_or_the_table_no_longer_has_stops_nothing(world: Watched) -> None:
    Log.knows = False
    assert len(_log(world)) == 1
    assert _log(world) == ()
    world.aws.table.delete("flights", "LOGGED")
    world.aws.table.delete("flights", "RUN#r1")
    assert _log(world) == ()
    settings = LogWindowsSettings(**world.aws.shared, tracking_uri="http://mlflow")
    assert step.log_windows({"project": "gone"}, settings) == {"project": "gone"}
