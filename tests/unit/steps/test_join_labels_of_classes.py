"""Of several classes, too: windows are estimated before labels come, and judged by them once they have."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile
from passerelle.settings import JoinLabelsSettings
from passerelle.steps.join_labels import join_labels
from passerelle.steps.watch_drift import watch_drift

from .watched import FIRST, Rows, Watched, day
from .watched_classes import (
    asked,
    class_performance,
    class_reference,
    deploy_classes,
    labels_of,
    record_classes,
)
from .world import Aws

LATE = timedelta(minutes=20)
MONITORING = {"retrain": {"loss": 0.02, "cool_down_hours": 0}}


def _world(aws: Aws, metric: str = "balanced_accuracy") -> Watched:
    deploy_classes(aws, metric, training={"on_drop": "keep"}, monitoring=MONITORING)
    world = Watched(aws)
    world.serve(class_reference().to_json(), errors=class_performance())
    return world


@pytest.fixture
def world(aws: Aws) -> Watched:
    return _world(aws)


def _asked(number: int, count: int = 1_500) -> Rows:
    """Return a day's predictions, each of a flight of its own."""
    moment = day(number) + timedelta(hours=10)
    rows = asked(count, day(number), seed=number, input_time_hour=moment)
    return [{**row, "entity_id": f"UA|{place}|EWR|{moment:%Y-%m-%d %H:%M:%S}"} for place, row in enumerate(rows)]


def _drop(world: Watched, rows: Rows, labels: list[Any], name: str = "a") -> None:
    """Accept a file that tells these rows' classes."""
    table = pa.table(
        {
            "carrier": ["UA"] * len(rows),
            "flight": [int(row["entity_id"].split("|")[1]) for row in rows],
            "origin": ["EWR"] * len(rows),
            "time_hour": pa.array([row["input_time_hour"].replace(tzinfo=None) for row in rows], pa.timestamp("us")),
            "arr_delay": pa.array(labels, pa.string()),
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body)
    key = f"{zones.curated_files_prefix('flights')}/{name:0<64}.parquet"
    world.aws.s3.put_object(Bucket=world.aws.buckets["curated"], Key=key, Body=body.getvalue())
    file = DatasetFile(
        key=f"flights/{name}.csv", version_id=None, sha256=f"{name:0<64}", rows=len(rows), curated_key=key
    )
    world.aws.table.put("flights", f"FILE#{file.key}", file=file.model_dump_json())


def _join(world: Watched) -> None:
    join_labels({"project": "flights"}, JoinLabelsSettings(**world.aws.shared, zones=world.aws.buckets))


def _watch(world: Watched, number: int) -> dict[str, Any]:
    now = day(number + 1) + LATE
    return watch_drift({"project": "flights", "now": now.isoformat()}, world.settings)


def test_a_day_is_estimated_before_its_labels_come_and_they_say_the_same_when_nothing_changed(world: Watched) -> None:
    rows = _asked(0)
    record_classes(world.aws, rows)
    _watch(world, 0)
    before = world.window(FIRST)
    assert set(before.estimated) == {"accuracy", "balanced_accuracy", "macro_f1", "log_loss"}
    assert before.unknown == {"realised": "no label is known yet"}
    assert before.alarms == 0
    _drop(world, rows, labels_of(rows))
    _join(world)
    _watch(world, 0)
    after = world.window(FIRST)
    assert (after.labelled, after.unknown, after.strangers, after.unshared) == (1_500, {}, 0, 0)
    assert after.estimated == before.estimated
    for name, figure in after.realised.items():
        assert figure.lower < before.estimated[name].value < figure.upper, name
    assert after.why != "concept"
    assert after.estimated_gain is None


def test_outcomes_that_changed_are_told_and_train_anew(world: Watched) -> None:
    table = world.aws.table
    trained = {"status": "succeeded", "created_at": (FIRST - timedelta(days=2)).isoformat()}
    table.save(table.need("flights", "r1").model_copy(update=trained))
    table.put("flights", "CHAMPION", run_id="r1", model_version="4", promoted_at=FIRST.isoformat())
    kept = world.aws.begin_run("r2", created_at=day(1).isoformat())
    file = {"key": "a", "version_id": None, "size": 1, "sha256": "a", "outcome": "accepted", "rows_accepted": 9}
    table.save(type(kept).model_validate({**kept.model_dump(), "status": "kept", "files": [file]}))
    for number in range(2):
        rows = _asked(number)
        record_classes(world.aws, rows, name=f"day-{number}")
        assert _watch(world, number)["status"] == "done"
        assert world.window(day(number)).alarms == 0  # nothing in the rows says so
        _drop(world, rows, labels_of(rows, wrong=True), name=f"{number}")
    _join(world)
    answer = _watch(world, 1)
    record = world.window(day(1))
    assert (record.severity, record.why) == ("major", "concept")
    ((title, text),) = world.told()
    assert title.endswith("[major]")
    assert "balanced_accuracy" in text
    assert "as the same inputs have other outcomes" in text
    assert answer["status"] == "retrain", answer
    assert answer["run"]["why"].startswith("realised: the metric is worse by")


def test_labels_of_a_class_that_the_model_does_not_know_count_as_wrong_and_are_named(world: Watched) -> None:
    rows = _asked(0, 1_500)
    record_classes(world.aws, rows)
    _watch(world, 0)
    _drop(world, rows, ["cancelled"] * 40 + ["diverted" + "!" * 90] * 2 + labels_of(rows)[42:])
    _join(world)
    _watch(world, 0)
    record = world.window(FIRST)
    assert (record.labelled, record.strangers) == (1_500, 42)
    assert "42 labels are of classes that the model does not know (cancelled, diverted" in record.line
    assert "!" * 40 not in record.line
    # One more class, none of which was found: a quarter of the mean over classes.
    known = record.estimated["balanced_accuracy"].value
    assert record.realised["balanced_accuracy"].value == pytest.approx(known * 3 / 4, abs=0.03)
    assert "concept" in record.why


def test_predictions_of_before_records_held_all_probabilities_are_compared_and_it_is_said(world: Watched) -> None:
    rows = _asked(0, 900)
    record_classes(world.aws, rows[:500], name="old", older=True)
    record_classes(world.aws, rows[500:], name="new")
    _drop(world, rows, labels_of(rows))
    _watch(world, 0)
    _join(world)
    _watch(world, 0)
    record = world.window(FIRST)
    assert (record.status, record.rows, record.unshared, record.labelled) == ("judged", 900, 500, 400)
    assert "500 of 900 predictions were recorded without the probability of each class" in record.line
    assert record.estimated.keys() == record.realised.keys() >= {"balanced_accuracy"}
    assert "__decision" in record.moved


def test_a_window_of_older_records_alone_says_why_nothing_is_known_of_its_worth(world: Watched) -> None:
    rows = _asked(0, 300)
    record_classes(world.aws, rows, older=True)
    _drop(world, rows, labels_of(rows))
    for _ in range(2):
        _watch(world, 0)
        _join(world)
    record = world.window(FIRST)
    assert (record.status, record.rows, record.labelled, record.realised) == ("judged", 300, 0, {})
    for how in ("estimated", "realised"):
        assert "300 of 300 predictions were recorded without" in record.unknown[how]


def test_a_metric_that_is_not_known_of_windows_says_which_are(aws: Aws) -> None:
    world = _world(aws, "roc_auc")
    rows = _asked(0, 300)
    record_classes(world.aws, rows)
    _watch(world, 0)
    record = world.window(FIRST)
    assert record.estimated["accuracy"].value > 0
    assert record.unknown["estimated"].startswith("roc_auc of windows is not known for this task: accuracy")
