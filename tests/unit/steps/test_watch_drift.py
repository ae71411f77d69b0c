"""Windows of predictions are judged once they are over: each once, what comes late again, and people told once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passerelle.contracts.container import COUNT_INPUTS, COUNT_OUTPUTS, RESULT_FILE
from passerelle.contracts.monitoring import MODEL_MONITOR_FILES, PAGE_FILE, PROFILE_FILE, WATCH
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import TransientError
from passerelle.steps import project_watch
from passerelle.steps import watch_drift as step
from passerelle.steps.project_watch import ProjectWatch
from passerelle.steps.watch_drift import watch_drift
from training.count.main import main as count_entry

from .watched import FIRST, Rows, Watched, day, performance, reference, rows_of
from .world import Aws

LATE = timedelta(minutes=20)


@pytest.fixture
def world(aws: Aws) -> Watched:
    made = Watched(aws)
    made.serve()
    return made


def _watch(world: Watched, now: datetime, **request: Any) -> dict[str, Any]:
    return watch_drift({"project": "flights", "now": now.isoformat(), **request}, world.settings)


def _days(world: Watched, first: int, last: int, *, shift: float = 0.0, count: int = 400) -> None:
    for number in range(first, last + 1):
        world.record(rows_of(count, day(number), shift=shift), name=f"day-{number}")


def test_nothing_is_watched_before_a_model_serves(aws: Aws) -> None:
    answer = _watch(Watched(aws), day(3))
    assert (answer["status"], answer["windows"], answer["line"]) == ("done", 0, "no model is served yet")


def test_a_day_is_judged_when_it_is_over_and_its_records_have_had_time_to_come(world: Watched) -> None:
    _days(world, 0, 0)
    assert _watch(world, day(1))["windows"] == 0
    answer = _watch(world, day(1) + LATE)
    assert (answer["status"], answer["windows"]) == ("done", 1)
    assert answer["line"] == "Sunday, 2026-11-01 (UTC): Nothing alarms: the rows are like the training data."
    assert _watch(world, day(1) + LATE)["windows"] == 0


def test_a_window_leaves_what_machines_and_people_read(world: Watched) -> None:
    _days(world, 0, 0)
    _watch(world, day(1) + LATE)
    record = world.window(FIRST)
    assert (record.status, record.rows, record.delivered, record.version, record.run_id) == (
        "judged", 400, 400, "4", "r1",
    )  # fmt: skip
    assert set(record.moved) == {"distance", "origin", "__score", "__decision"}
    assert (record.severity, record.alarms, record.severities) == ("none", 0, {})
    assert b"is the data still what the model knows?" in world.file(FIRST, PAGE_FILE)
    assert json.loads(world.file(FIRST, PROFILE_FILE))["rows"] == 400
    statistics, constraints, violations = (json.loads(world.file(FIRST, name)) for name in MODEL_MONITOR_FILES)
    assert statistics["dataset"]["item_count"] == 400
    assert [feature["name"] for feature in constraints["features"]][:2] == ["distance", "origin"]
    assert violations == {"violations": []}


def test_lasting_drift_is_told_once_with_what_since_when_and_what_to_do_and_once_when_it_is_over(
    world: Watched,
) -> None:
    _days(world, 0, 1)
    _days(world, 2, 5, shift=0.35, count=1_000)
    _days(world, 6, 8)
    for number in range(1, 4):
        _watch(world, day(number) + LATE)
    assert world.told() == []  # one day of moderate drift may be chance
    _watch(world, day(4) + LATE)
    ((title, text),) = world.told()
    assert title.startswith("flights (laptop): distance:")
    assert title.endswith("[moderate]")
    assert "Since: 2026-11-03T00:00Z; last seen in the window of 2026-11-04T00:00Z" in text
    assert f"Page: s3://{world.aws.buckets['reports']}/flights/monitoring/2026-11-04T00:00Z/page.html" in text
    _watch(world, day(7) + LATE)
    assert world.told() == []
    _watch(world, day(9) + LATE)
    ((title, text),) = world.told()
    assert title.endswith("[over]")
    assert world.window(day(3)).severities == {"distance": "moderate"}


def test_metrics_say_how_severe_each_kind_is_and_that_somebody_watches(
    world: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    _days(world, 0, 0, shift=0.4)
    capsys.readouterr()
    _watch(world, day(1) + LATE)
    line, end = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert end["WindowsWatched"] == [1.0]
    (kind,) = line["_aws"]["CloudWatchMetrics"]
    assert (kind["Namespace"], kind["Dimensions"]) == ("Passerelle", [["Environment", "Project"]])
    assert (line["Environment"], line["Project"]) == ("laptop", "flights")
    shown = {metric["Name"]: line[metric["Name"]] for metric in kind["Metrics"]}
    assert shown == {
        "WindowRows": [400.0],
        "ArrivalsSeverity": [0.0],
        "DataQualitySeverity": [0.0],
        "DataDriftSeverity": [2.0],
        "AnswersSeverity": [0.0],
        "PerformanceSeverity": [0.0],
    }


def test_what_comes_late_makes_its_window_be_judged_again_and_nobody_be_told_again(world: Watched) -> None:
    _days(world, 0, 1, shift=0.8)
    _watch(world, day(2) + LATE)
    assert len(world.told()) == 1
    world.record(rows_of(100, day(1), seed=1, shift=0.8), name="late")
    assert _watch(world, day(2) + LATE)["windows"] == 1
    assert world.window(day(1)).rows == 500
    assert world.told() == []


def test_a_prediction_delivered_twice_counts_once_and_other_models_predictions_are_counted_apart(
    world: Watched,
) -> None:
    rows = rows_of(300, FIRST)
    world.record(rows, name="a")
    world.record(rows, name="again")
    world.record(rows_of(50, FIRST, seed=1, version="3"), name="before")
    world.record(rows_of(7, FIRST, seed=2, version=None), name="nobody")
    world.record(rows_of(60, FIRST, seed=3, variant="challenger"), name="shadow")
    _watch(world, day(1) + LATE)
    record = world.window(FIRST)
    assert (record.rows, record.delivered, record.others) == (300, 657, {"3": 50, "unknown": 7})
    assert "57 predictions of other models are not compared (3, unknown)." in record.line


def test_a_broken_file_costs_no_other_and_is_named(world: Watched) -> None:
    _days(world, 0, 0)
    for name, body in {"torn": b"PAR1 no more", "empty": b""}.items():
        key = f"flights/records/2026-11-01/{name}.parquet"
        world.aws.s3.put_object(Bucket=world.aws.buckets["predictions"], Key=key, Body=body)
    _watch(world, day(1) + LATE)
    record = world.window(FIRST)
    assert (record.status, record.rows, record.broken) == ("judged", 400, 2)
    assert "2 files could not be read, first" in record.line
    assert "empty.parquet" in record.line


def test_a_file_of_other_columns_is_named_and_one_without_a_column_counts_it_as_missing(world: Watched) -> None:
    _days(world, 0, 0)
    bare = [{**row, "input_origin": None} for row in rows_of(400, FIRST, seed=1)]
    world.record(bare, name="bare")
    _watch(world, day(1) + LATE)
    drift = json.loads(world.file(FIRST, "drift.json"))["drift"]
    missing = next(one for one in drift["signals"] if one["kind"] == "missing" and one["column"] == "origin")
    assert (missing["alarm"], missing["severity"], missing["current"]) == (True, "major", 0.5)


def test_a_day_on_which_nobody_asks_is_told_as_such(world: Watched) -> None:
    _days(world, 0, 0)
    _watch(world, day(3) + LATE)
    assert world.window(day(1)).status == "empty"
    last = world.window(day(2))
    assert (last.severities, last.alarms) == ({}, 1)
    assert last.line.startswith("No rows came")
    assert world.told() == []
    _watch(world, day(4) + LATE)
    ((title, _),) = world.told()
    assert "the newest row is of 2026-11-02" in title


def test_a_day_on_which_nobody_usually_asks_is_no_incident(world: Watched) -> None:
    for week in range(6):
        _days(world, 7 * week + 1, 7 * week + 5, count=60)
    _watch(world, day(7 * 6) + LATE)
    saturday = world.window(day(41))
    assert (saturday.status, saturday.alarms) == ("empty", 0)


def test_a_model_without_a_reference_that_can_be_read_says_what_to_do(aws: Aws) -> None:
    world = Watched(aws)
    world.serve('{"format": 1}')
    _days(world, 0, 0)
    answer = _watch(world, day(1) + LATE)
    assert world.window(FIRST).status == "unjudged"
    assert "Train the model again" in answer["line"]


def test_a_bundle_without_a_reference_says_what_to_do(aws: Aws) -> None:
    world = Watched(aws)
    world.serve(b"")
    _days(world, 0, 0)
    assert "holds no profile.json" in _watch(world, day(1) + LATE)["line"]


def test_each_window_is_compared_with_the_model_that_served_at_its_end(world: Watched) -> None:
    world.serve(run_id="r2", version="5", at=day(1) + timedelta(hours=12))
    _days(world, 0, 0)
    world.record(rows_of(200, day(1)), name="before")
    world.record(rows_of(300, day(1), seed=5, version="5"), name="after")
    _watch(world, day(2) + LATE)
    assert (world.window(day(0)).version, world.window(day(1)).version) == ("4", "5")
    assert (world.window(day(1)).rows, world.window(day(1)).others) == (300, {"4": 200})


def test_a_quiet_day_is_probably_as_good_as_the_test_period_and_the_metric_says_so(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Watched(aws)
    world.serve(errors=performance())
    _days(world, 0, 0, count=2_000)
    capsys.readouterr()
    _watch(world, day(1) + LATE)
    figure = world.window(FIRST).estimated["roc_auc"]
    assert figure.before is not None
    assert figure.lower < figure.before < figure.upper
    assert {"log_loss", "brier", "accuracy"} <= set(world.window(FIRST).estimated)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert lines[0]["EstimatedPerformance"] == [figure.value]
    assert lines[0]["EstimatedGain"] == [world.window(FIRST).estimated["value"].value * 2_000]
    assert lines[0]["PerformanceSeverity"] == [0.0]


def test_rows_that_the_model_is_weak_on_are_told_before_any_label_comes(aws: Aws) -> None:
    world = Watched(aws)
    world.serve(errors=performance())
    rows = rows_of(2_000, FIRST)
    # All scores near 0.3: nothing ranks them.
    world.record([{**row, "score": 0.28 + row["score"] * 0.05} for row in rows])
    _watch(world, day(1) + LATE)
    record = world.window(FIRST)
    figure = record.estimated["roc_auc"]
    assert figure.before is not None
    assert figure.upper < figure.before - 0.06
    ((title, text),) = world.told()
    # Scores that moved are the cause; the loss follows from it, and is told with it.
    assert "the model's score" in title or "__score" in title
    assert "estimated" in text


def test_a_performance_reference_of_another_form_costs_the_estimate_only(aws: Aws) -> None:
    world = Watched(aws)
    world.serve(errors=performance())
    key = "flights/runs/r1/1/evaluate/performance.json"
    aws.s3.put_object(Bucket=aws.buckets["curated"], Key=key, Body=b'{"format": 0}')
    _days(world, 0, 0)
    _watch(world, day(1) + LATE)
    assert (world.window(FIRST).status, world.window(FIRST).estimated) == ("judged", {})


def test_a_project_that_is_gone_is_watched_no_more(world: Watched) -> None:
    answer = watch_drift({"project": "gone", "now": day(1).isoformat()}, world.settings)
    assert (answer["status"], answer["windows"]) == ("done", 0)
    assert "is not deployed" in answer["line"]


def test_hours_are_judged_hour_by_hour(aws: Aws) -> None:
    world = Watched(aws)
    aws.deploy_project(monitoring={"schedule": "hourly"})
    world.serve()
    world.record([*rows_of(200, FIRST), *rows_of(100, FIRST + timedelta(hours=1))])
    answer = _watch(world, FIRST + timedelta(hours=2) + LATE)
    assert answer["windows"] == 2
    assert [world.window(FIRST + timedelta(hours=hour)).rows for hour in range(2)] == [200, 100]


def _run_job(world: Watched, job: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what SageMaker does with a processing job: bring its inputs, run it, take its outputs."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    s3 = world.aws.s3
    for item in job["ProcessingInputs"]:
        source = item["S3Input"]
        folder = tmp_path / "processing" / COUNT_INPUTS[item["InputName"]]
        folder.mkdir(parents=True)
        bucket, key = split_s3_uri(source["S3Uri"])
        if source["S3DataType"] == "ManifestFile":
            first, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            bucket, prefix = split_s3_uri(first["prefix"])
            keys = [(f"{prefix}{name}", name) for name in names]
        else:
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
            keys = [(found["Key"], found["Key"].removeprefix(f"{key}/")) for found in listed]
        for found, name in keys:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(s3.get_object(Bucket=bucket, Key=found)["Body"].read())
    assert count_entry() == 0
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    bucket, key = split_s3_uri(output["S3Output"]["S3Uri"])
    body = (tmp_path / "processing" / COUNT_OUTPUTS["result"] / RESULT_FILE).read_bytes()
    s3.put_object(Bucket=bucket, Key=f"{key}/{RESULT_FILE}", Body=body)


def test_a_window_too_large_for_a_function_is_counted_by_a_job_with_the_same_result(
    world: Watched, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.serve(errors=performance())
    _days(world, 0, 0, shift=0.4)
    _watch(world, day(1) + LATE)
    inline = world.window(FIRST)
    large = Watched(Aws("large"), job_from_mib=0)
    large.serve(errors=performance())
    _days(large, 0, 1, shift=0.4)
    answer = _watch(large, day(1) + LATE)
    assert (answer["status"], answer["window"]) == ("count", "2026-11-01T00:00Z")
    assert answer["count_job"]["AppSpecification"]["ContainerArguments"] == ["count"]
    assert len(answer["count_job"]["ProcessingJobName"]) <= 63
    _run_job(large, answer["count_job"], tmp_path, monkeypatch)
    assert _watch(large, day(1) + LATE)["status"] == "done"
    kept = ("rows", "delivered", "severity", "alarms", "line", "moved", "severities", "estimated")
    assert {name: getattr(large.window(FIRST), name) for name in kept} == {name: getattr(inline, name) for name in kept}


def test_a_window_whose_job_failed_says_so_and_the_next_one_is_judged(world: Watched) -> None:
    large = Watched(Aws("large"), job_from_mib=0)
    large.serve()
    _days(large, 0, 0)
    answer = _watch(large, day(1) + LATE)
    failed = {"window": answer["window"], "error": "States.TaskFailed", "cause": '{"FailureReason": "no capacity"}'}
    answer = _watch(large, day(1) + LATE, uncounted=failed)
    assert (answer["status"], large.window(FIRST).status) == ("done", "unjudged")
    assert "the job that was to count it failed: no capacity" in large.window(FIRST).line


def test_a_call_that_takes_long_asks_to_be_called_again(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _days(world, 0, 3)
    with monkeypatch.context() as patched:
        patched.setattr(step, "_BEGIN_WITHIN_SECONDS", 0.0)
        assert _watch(world, day(4) + LATE)["status"] == "more"
    assert _watch(world, day(4) + LATE)["windows"] == 4


def test_what_was_not_sent_is_sent_by_the_next_call(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _days(world, 0, 1, shift=0.8)

    def down(*_: Any) -> None:
        raise TransientError("SNS does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(project_watch, "tell", down)
        with pytest.raises(TransientError):
            _watch(world, day(2) + LATE)
    assert world.told() == []
    assert _watch(world, day(2) + LATE)["windows"] == 0
    assert len(world.told()) == 1
    _watch(world, day(2) + LATE)
    assert world.told() == []


def test_a_call_that_ends_before_a_window_is_taken_into_account_leaves_it_to_the_next(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    _days(world, 0, 1, shift=0.8)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ProjectWatch, "follow", killed)
        with pytest.raises(KeyboardInterrupt):
            _watch(world, day(2) + LATE)
    assert _watch(world, day(2) + LATE)["windows"] == 2
    assert len(world.told()) == 1


def test_two_who_judge_at_once_do_not_tell_twice(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _days(world, 0, 0, shift=0.8)
    real, once = ProjectWatch._emit, [True]

    def meanwhile(self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        if once.pop() if once else False:
            _watch(world, day(1) + LATE)

    with monkeypatch.context() as patched:
        patched.setattr(ProjectWatch, "_emit", meanwhile)
        with pytest.raises(TransientError, match="somebody else"):
            _watch(world, day(1) + LATE)
    assert _watch(world, day(1) + LATE)["windows"] == 0
    assert len(world.told()) == 1


def test_clocks_that_run_ahead_put_no_row_into_a_window_that_is_not_over(world: Watched) -> None:
    world.record(rows_of(100, day(0)), name="a")
    world.record(rows_of(100, day(5)), name="ahead")
    _watch(world, day(1) + LATE)
    assert world.window(FIRST).rows == 100
    assert world.aws.table.item("flights", WATCH)


def test_the_reference_of_the_tests_is_what_quiet_days_are_like() -> None:
    rows: Rows = rows_of(10, FIRST)
    assert rows[0]["event_time"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert set(reference().layout.columns) == {"distance", "origin", "time_hour", "__score", "__decision"}
