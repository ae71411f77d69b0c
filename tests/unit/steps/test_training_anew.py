"""From what windows show to a run: begun once, for a reason, with rows that no model has seen."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from passerelle.contracts import zones
from passerelle.contracts.container import DropManifest
from passerelle.contracts.runs import RunFile, RunRecord, RunStatus
from passerelle.settings import CloseRunSettings, JoinLabelsSettings, LogWindowsSettings, RecordDatasetSettings
from passerelle.steps import log_windows
from passerelle.steps.close_run import close_run
from passerelle.steps.gather_drop import gather_drop
from passerelle.steps.record_dataset import record_dataset

from . import results
from .machine import Machine, Task, TaskError
from .test_log_windows import Log
from .test_watch_drift import LATE
from .watched import FIRST, Watched, day, rows_of
from .world import Aws

KEEP = {"on_drop": "keep"}


class Watching:
    """A project that keeps its drops, whose machine is walked through."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, **monitoring: Any) -> None:
        self.aws, self.started = aws, list[dict[str, Any]]()
        self.job_fails: TaskError | None = None
        aws.deploy_project(training=KEEP, monitoring=monitoring or {"retrain": "on_drift"})
        self.world = Watched(aws)
        self.world.serve()
        self.save("r1", "succeeded", FIRST - timedelta(days=2))
        aws.table.put("flights", "CHAMPION", run_id="r1", model_version="4", promoted_at=FIRST.isoformat())
        monkeypatch.setattr(log_windows, "WindowLog", Log)
        Log.told, Log.down, Log.knows = (), False, True
        joining = JoinLabelsSettings(**aws.shared, zones=aws.buckets)
        logging = LogWindowsSettings(**aws.shared, tracking_uri="http://mlflow")
        for name, value in {**joining.to_env(), **logging.to_env(), **self.world.settings.to_env()}.items():
            monkeypatch.setenv(name, value)

    def save(self, run_id: str, status: RunStatus, created: datetime, *, rows: int = 0) -> RunRecord:
        """Write what a run left; `rows` were accepted of its drop."""
        table = self.aws.table
        record = table.get("flights", run_id) or RunRecord(
            project="flights", run_id=run_id, attempt=1, status=status, created_at="", updated_at=""
        )
        file = RunFile(key="a.csv", version_id=None, size=1, sha256="0" * 64, outcome="accepted", rows_accepted=rows)
        changed = {"status": status, "created_at": created.isoformat(), "files": (file,) if rows else ()}
        return table.save(record.model_copy(update=changed))

    def walk(self, now: datetime) -> Machine:
        """Let the machine look at what is over."""
        arn = f"arn:execution:{now:%d%H%M}"
        tasks: dict[str, Task] = {"TrainAnew": self._start, "CountWindow": self._count}
        machine = Machine("watch_project.asl.json", tasks, {"Id": arn})
        machine.run({"project": "flights", "now": now.isoformat()})
        return machine

    def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        names = [started["Name"] for started in self.started]
        if arguments["Name"] in names:
            raise TaskError("Sfn.ExecutionAlreadyExistsException", "it has run")
        self.started.append(arguments)
        return {"ExecutionArn": "arn"}

    def _count(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments["ProcessingJobName"].startswith("flights-w2026110")
        raise TaskError("States.TaskFailed", '{"ExitMessage": "no space left"}')


@pytest.fixture
def drifting(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Watching:
    """Two days of moderate drift, and a drop that was kept since the model was trained."""
    made = Watching(aws, monkeypatch)
    for number in range(2):
        made.world.record(rows_of(1_000, day(number), shift=0.35), name=f"{number}")
    made.save("r2", "kept", day(1), rows=5_000)
    return made


def test_lasting_drift_begins_one_run_that_says_why(drifting: Watching) -> None:
    machine = drifting.walk(day(2) + LATE)
    assert machine.visited == ["JoinLabels", "WatchDrift", "IsAnythingLeft", "TrainAnew", "LogWindows", "Watched"]
    assert [identity for identity, _, _ in Log.told] == ["r1-1"]
    (started,) = drifting.started
    run = json.loads(started["Input"])
    assert started["StateMachineArn"] == "${TrainingPipeline}"
    assert started["Name"] == f"flights-{run['run_id']}-1"
    assert (run["project"], run["attempt"]) == ("flights", 1)
    assert run["why"].startswith("drift: distance:")
    drifting.walk(day(2) + LATE)
    assert len(drifting.started) == 1


def test_drift_beside_the_data_of_an_earlier_champion_begins_nothing(drifting: Watching) -> None:
    drifting.aws.table.put("flights", "CHAMPION", run_id="r1", model_version="5", promoted_at=day(2).isoformat())
    assert "TrainAnew" not in drifting.walk(day(2) + LATE).visited
    assert drifting.started == []


def test_nothing_is_begun_while_a_run_is_at_work_or_has_just_trained(drifting: Watching) -> None:
    drifting.save("r3", "running", day(2))
    assert "TrainAnew" not in drifting.walk(day(2) + LATE).visited
    record = drifting.save("r3", "refused", day(2))
    trained = drifting.aws.table.need("flights", "r1").stages
    drifting.aws.table.save(record.model_copy(update={"stages": trained}))
    machine = drifting.walk(day(2) + LATE)
    assert "TrainAnew" not in machine.visited


def test_a_model_is_not_trained_again_on_what_it_knows(drifting: Watching) -> None:
    drifting.save("r2", "duplicate", day(1))
    assert "TrainAnew" not in drifting.walk(day(2) + LATE).visited


def test_a_project_that_never_trains_anew_is_told_of_its_drift_all_the_same(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Watching(aws, monkeypatch, retrain="never")
    made.world.record(rows_of(1_000, FIRST, shift=0.8))
    made.save("r2", "kept", day(1), rows=5_000)
    assert "TrainAnew" not in made.walk(day(1) + LATE).visited
    assert len(made.world.told()) == 1


def test_a_schedule_and_new_labels_train_without_any_drift(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Watching(aws, monkeypatch, retrain={"every_days": 3, "cool_down_hours": 0})
    made.save("r2", "kept", day(1), rows=10)
    assert "TrainAnew" not in made.walk(day(0) + LATE).visited
    assert "TrainAnew" in made.walk(day(1) + LATE).visited


def test_a_window_that_no_job_could_count_does_not_stop_the_machine(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Watching(aws, monkeypatch)
    monkeypatch.setenv("PASSERELLE_JOB_FROM_MIB", "0")
    made.world.record(rows_of(100, FIRST))
    machine = made.walk(day(1) + LATE)
    assert machine.visited.count("CountWindow") == 1
    assert machine.visited[-1] == "Watched"
    assert "no space left" in made.world.window(FIRST).line


# The run itself


def _gather(aws: Aws, **request: Any) -> dict[str, Any]:
    return gather_drop({"project": "flights", "run_id": "r9", "attempt": 1, **request}, aws.gather_settings)


def _accept(aws: Aws) -> None:
    file = results.prepared().dataset_files[0]
    aws.table.put("flights", f"FILE#{file.key}", file=file.model_dump_json())


def test_a_run_without_a_drop_prepares_what_was_accepted_before(aws: Aws) -> None:
    _accept(aws)
    answer = _gather(aws, why="drift: distance moved")
    assert answer["status"] == "ready"
    key = zones.drop_manifest_key("flights", "r9", 1)
    body = aws.s3.get_object(Bucket=aws.buckets["curated"], Key=key)["Body"].read()
    manifest = DropManifest.model_validate_json(body)
    assert (manifest.new_files, len(manifest.earlier_files)) == ((), 1)
    record = aws.table.need("flights", "r9")
    assert (record.why_begun, record.status) == ("drift: distance moved", "running")


def test_a_run_without_a_drop_and_without_anything_accepted_says_what_is_missing(aws: Aws) -> None:
    assert _gather(aws, why="by hand")["status"] == "rejected"
    (problem,) = aws.table.need("flights", "r9").problems
    assert "there is nothing to learn from" in problem.message


def test_its_second_attempt_knows_why_it_was_begun(aws: Aws) -> None:
    _accept(aws)
    _gather(aws, why="drift")
    failed = aws.table.need("flights", "r9").model_copy(update={"status": "failed"})
    aws.table.save(failed)
    assert _gather(aws, attempt=2)["status"] == "ready"
    assert aws.table.need("flights", "r9").why_begun == "drift"


@pytest.mark.parametrize(("champion", "why", "status"), [
    (False, "", "accepted"),  # the first drop trains the first model
    (True, "", "kept"),
    (True, "drift", "accepted"),
])  # fmt: skip
def test_a_drop_is_kept_where_a_model_serves_and_nobody_asked(aws: Aws, champion: bool, why: str, status: str) -> None:
    aws.deploy_project(training=KEEP)
    aws.begin_run(why_begun=why)
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    if champion:
        aws.table.put("flights", "CHAMPION", run_id="r1", model_version="4", promoted_at=FIRST.isoformat())
    request = {**results.BASE, "job": results.processing_description("prepare")}
    answer = record_dataset(results.as_json(request), RecordDatasetSettings(**aws.jobs))
    assert answer["status"] == status
    assert ("training_job" in answer) == (status == "accepted")
    assert aws.table.accepted_files("flights")
    stages = [stage.stage for stage in aws.table.need("flights", "r1").stages]
    assert ("train" in stages) == (status == "accepted")


def test_a_kept_run_ends_as_such_and_frees_the_project(aws: Aws) -> None:
    aws.begin_run("r9")
    aws.table.create("flights", "LOCK", run_id="r9")
    request = {"project": "flights", "run_id": "r9", "attempt": 1, "status": "kept"}
    assert close_run(request, CloseRunSettings(**aws.shared))["status"] == "kept"
    assert aws.table.item("flights", "LOCK") is None
