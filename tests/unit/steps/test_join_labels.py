"""Labels that drops tell are given to the predictions made of the same rows; their windows are judged again by them."""

from __future__ import annotations

import errno
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile
from passerelle.contracts.monitoring import DRIFT_FILE, JOINED, LABELS_FILE
from passerelle.errors import InputError
from passerelle.settings import JoinLabelsSettings
from passerelle.steps.join_labels import join_labels
from passerelle.steps.watch_drift import watch_drift

from .watched import FIRST, Rows, Watched, day, performance, rows_of
from .world import Aws

LATE = timedelta(minutes=20)


@pytest.fixture
def world(aws: Aws) -> Watched:
    made = Watched(aws)
    made.serve(errors=performance())
    return made


def _asked(number: int, count: int = 600, **changes: Any) -> Rows:
    """Return a day's predictions, each of a flight of its own."""
    moment = day(number) + timedelta(hours=10)
    rows = rows_of(count, day(number), **{"input_time_hour": moment, **changes})
    return [{**row, "entity_id": f"UA|{place}|EWR|{moment:%Y-%m-%d %H:%M:%S}"} for place, row in enumerate(rows)]


def _labels(rows: Rows, *, wrong: bool = False, seed: int = 0) -> list[float]:
    """Return delays: late as often as the scores say, or whatever they say."""
    random = np.random.default_rng(seed)
    scores = np.array([row["score"] for row in rows])
    late = random.random(len(rows)) < (scores[::-1] if wrong else scores)
    return [60.0 if each else -5.0 for each in late]


def _drop(world: Watched, rows: Rows, delays: list[float | None], *, name: str = "a", moment: int | None = None) -> str:
    """Accept a file that tells these rows' labels; returns its hash."""
    entity = [row["entity_id"].split("|") for row in rows]
    table = pa.table(
        {
            "carrier": [part[0] for part in entity],
            "flight": [int(part[1]) for part in entity],
            "origin": [part[2] for part in entity],
            "time_hour": pa.array(
                [
                    datetime.fromisoformat(part[3]) if moment is None else datetime(2026, 11, moment, 10)
                    for part in entity
                ],
                pa.timestamp("us"),
            ),
            "arr_delay": pa.array(delays, pa.float64()),
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body)
    sha256 = f"{name:0<64}"
    key = f"{zones.curated_files_prefix('flights')}/{sha256}.parquet"
    world.aws.s3.put_object(Bucket=world.aws.buckets["curated"], Key=key, Body=body.getvalue())
    file = DatasetFile(key=f"flights/{name}.csv", version_id=None, sha256=sha256, rows=len(rows), curated_key=key)
    world.aws.table.put("flights", f"FILE#{file.key}", file=file.model_dump_json())
    return sha256


def _join(world: Watched) -> None:
    settings = JoinLabelsSettings(**world.aws.shared, zones=world.aws.buckets)
    assert join_labels({"project": "flights", "now": "x"}, settings) == {"project": "flights", "now": "x"}


def _watch(world: Watched, now: datetime) -> dict[str, Any]:
    return watch_drift({"project": "flights", "now": now.isoformat()}, world.settings)


def _kept(world: Watched, number: int) -> list[dict[str, Any]]:
    key = f"{zones.labels_prefix('flights', f'{day(number):%Y-%m-%dT%H:%MZ}')}/{LABELS_FILE}"
    body = world.aws.s3.get_object(Bucket=world.aws.buckets["curated"], Key=key)["Body"].read()
    return list(pq.read_table(io.BytesIO(body)).to_pylist())


def test_labels_that_come_later_say_what_the_model_was_worth_on_an_earlier_day(
    world: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _asked(0, 2_000)
    world.record(rows)
    _watch(world, day(1) + LATE)
    assert (world.window(FIRST).labelled, world.window(FIRST).realised) == (0, {})
    _drop(world, rows, _labels(rows))
    _join(world)
    capsys.readouterr()
    assert _watch(world, day(5) + LATE)["status"] == "done"
    record = world.window(FIRST)
    figure, before = record.realised["roc_auc"], record.estimated["roc_auc"]
    assert record.labelled == 2_000
    assert figure.lower < before.value < figure.upper
    assert "concept" not in record.why
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [line["RealisedPerformance"] for line in lines if "RealisedPerformance" in line] == [[figure.value]]
    assert [line["RealisedGain"] for line in lines if "RealisedGain" in line] == [
        [record.realised["value"].value * 2_000]
    ]
    assert all({"WindowRows", "EstimatedGain"}.isdisjoint(line) for line in lines if "RealisedPerformance" in line)


def test_a_world_that_changed_is_told_from_labels_alone_and_why(world: Watched) -> None:
    for number in range(2):
        rows = _asked(number, 2_000, seed=3)
        world.record(rows, name=f"day-{number}")
        _watch(world, day(number + 1) + LATE)
        assert world.window(day(number)).alarms == 0  # nothing in the rows says so
        _drop(world, rows, _labels(rows, wrong=True), name=f"{number}")
    assert world.told() == []
    _join(world)
    _watch(world, day(2) + LATE)
    assert [world.window(day(number)).severity for number in range(2)] == ["major", "major"]
    assert "concept" in world.window(FIRST).why
    ((title, text),) = world.told()
    assert "as the same inputs have other outcomes" in text
    assert title.endswith("[major]")
    _watch(world, day(2) + LATE)
    assert world.told() == []


def test_a_file_is_joined_once_and_its_replacement_takes_its_labels_away(world: Watched) -> None:
    rows = _asked(0)
    world.record(rows)
    _watch(world, day(1) + LATE)
    _drop(world, rows, [60.0] * len(rows), name="a")
    _join(world)
    assert {row["label"] for row in _kept(world, 0)} == {1.0}
    _drop(world, rows[:300], [-5.0] * 300, name="b")
    world.aws.table.delete("flights", "FILE#flights/a.csv")
    _join(world)
    kept = _kept(world, 0)
    assert (len(kept), {row["label"] for row in kept}) == (300, {0.0})
    _watch(world, day(1) + LATE)
    assert world.window(FIRST).labelled == 300


def test_two_labels_of_one_thing_that_differ_are_of_no_use(world: Watched) -> None:
    rows = _asked(0)
    world.record(rows)
    _watch(world, day(1) + LATE)
    _drop(world, rows, [60.0] * len(rows), name="a")
    _drop(world, rows[:100], [-5.0] * 100, name="b")
    _join(world)
    kept = _kept(world, 0)
    assert (len(kept), sum(row["label"] is None for row in kept)) == (600, 100)
    _watch(world, day(1) + LATE)
    record = world.window(FIRST)
    assert (record.labelled, record.conflicts) == (500, 100)
    assert "100 predictions were told two labels that differ" in record.line


def test_labels_of_nothing_that_was_asked_and_empty_ones_change_nothing(world: Watched) -> None:
    rows = _asked(0)
    world.record(rows)
    _watch(world, day(1) + LATE)
    others = [{**row, "entity_id": row["entity_id"].replace("UA", "DL")} for row in rows]
    _drop(world, others, [60.0] * len(rows), name="a")
    _drop(world, rows, [None] * len(rows), name="b")
    _join(world)
    listed = world.aws.s3.list_objects_v2(Bucket=world.aws.buckets["curated"], Prefix="flights/monitoring/")
    assert listed["KeyCount"] == 0
    told = {item["key"]: (item["rows"], item["predictions"]) for item in world.aws.table.items("flights", JOINED)}
    assert told == {"flights/a.csv": (600, 0), "flights/b.csv": (600, 0)}
    assert _watch(world, day(1) + LATE)["windows"] == 0


def test_labels_are_joined_before_any_window_was_judged_and_with_a_project_that_is_gone(world: Watched) -> None:
    rows = _asked(0)
    _drop(world, rows, _labels(rows))
    _join(world)
    settings = JoinLabelsSettings(**world.aws.shared, zones=world.aws.buckets)
    assert join_labels({"project": "gone"}, settings) == {"project": "gone"}
    # A file that came before its window is joined once there is one.
    world.record(rows)
    _watch(world, day(1) + LATE)
    _join(world)
    assert len(_kept(world, 0)) == 600


def test_labels_that_come_before_their_window_is_judged_are_joined_once_it_is(world: Watched) -> None:
    world.record(_asked(0))
    _watch(world, day(1) + LATE)
    rows = _asked(1)
    world.record(rows)
    _drop(world, rows, _labels(rows))
    _join(world)
    _watch(world, day(2) + LATE)
    assert world.window(day(1)).labelled == 0
    _join(world)
    assert len(_kept(world, 1)) == 600
    assert _watch(world, day(2) + LATE)["windows"] == 1
    assert world.window(day(1)).labelled == 600
    _join(world)
    assert _watch(world, day(2) + LATE)["windows"] == 0


@pytest.fixture
def losing(aws: Aws) -> Watched:
    """A project that trains anew by a loss, and has new rows to learn from."""
    aws.deploy_project(training={"on_drop": "keep"}, monitoring={"retrain": {"loss": 0.02, "cool_down_hours": 0}})
    world = Watched(aws)
    world.serve(errors=performance())
    table = aws.table
    trained = {"status": "succeeded", "created_at": (FIRST - timedelta(days=2)).isoformat()}
    table.save(table.need("flights", "r1").model_copy(update=trained))
    table.put("flights", "CHAMPION", run_id="r1", model_version="4", promoted_at=FIRST.isoformat())
    kept = aws.begin_run("r2", created_at=day(1).isoformat())
    file = {"key": "a", "version_id": None, "size": 1, "sha256": "a", "outcome": "accepted", "rows_accepted": 9}
    table.save(type(kept).model_validate({**kept.model_dump(), "status": "kept", "files": [file]}))
    return world


def test_a_loss_that_labels_show_trains_anew(losing: Watched) -> None:
    world, table = losing, losing.aws.table
    rows = _asked(0, 2_000)
    world.record(rows)
    assert _watch(world, day(1) + LATE)["status"] == "done"
    _drop(world, rows, _labels(rows, wrong=True))
    _join(world)
    answer = _watch(world, day(1) + LATE)
    assert answer["status"] == "retrain", answer
    assert answer["run"]["why"].startswith("realised: the metric is worse by")
    # What the labels show is no loss of the model that it was trained anew for.
    table.put("flights", "CHAMPION", run_id="r1", model_version="5", promoted_at=day(1).isoformat())
    assert _watch(world, day(1) + LATE)["status"] == "done"


def test_a_small_loss_that_the_newest_day_is_not_sure_of_trains_anew_once_days_are_sure_together(
    losing: Watched,
) -> None:
    world, answer = losing, dict[str, Any]()
    for number in range(8):
        rows, seed = _asked(number, 120, seed=number + 30), number + 30
        world.record(rows, name=f"day-{number}")
        _watch(world, day(number + 1) + LATE)
        some = np.random.default_rng(seed).random(len(rows)) < 0.25
        told = zip(some, _labels(rows, wrong=True, seed=seed), _labels(rows, seed=seed), strict=True)
        _drop(world, rows, [bad if one else good for one, bad, good in told], name=f"{number}")
        _join(world)
        answer = _watch(world, day(number + 1) + LATE)
    newest = world.window(day(7)).realised["roc_auc"]
    assert newest.before is not None
    assert newest.lower < newest.before < newest.upper
    assert answer["status"] == "retrain"
    assert answer["run"]["why"].startswith("realised: the metric is worse by")
    assert answer["run"]["why"].endswith("over 8 windows together")
    # Days whose files are gone are left out; of one alone nothing can be added up.
    for number in range(7):
        gone = f"{zones.window_prefix('flights', f'{day(number):%Y-%m-%dT%H:%MZ}')}/{DRIFT_FILE}"
        world.aws.s3.delete_object(Bucket=world.aws.buckets["reports"], Key=gone)
    assert _watch(world, day(8) + LATE)["status"] == "done"


def test_a_file_of_labels_that_no_disk_holds_is_named(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _asked(0, 40)
    world.record(rows)
    _watch(world, day(1) + LATE)
    _drop(world, rows, _labels(rows), name="huge")

    def full(self: Objects, bucket: str, key: str, path: Path, version_id: str | None = None) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Objects, "download", full)
    with pytest.raises(InputError, match=r"flights/huge.csv \(40 rows\).*smaller files"):
        _join(world)
    monkeypatch.setattr(Objects, "download", _broken)
    with pytest.raises(OSError, match="disk"):
        _join(world)


def _broken(self: Objects, bucket: str, key: str, path: Path, version_id: str | None = None) -> Path:
    raise OSError(errno.EIO, "the disk is broken")
