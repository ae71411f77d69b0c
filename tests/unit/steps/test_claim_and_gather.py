"""Dropped files become runs: once, together, and never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passerelle.aws.clients import client
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.errors import InputError, TransientError
from passerelle.steps import project_source
from passerelle.steps.claim_drop import claim_drop
from passerelle.steps.gather_drop import gather_drop

from .world import Aws


def _table() -> RunsTable:
    return RunsTable(client("dynamodb"), "test-runs")


def _gather(aws: Aws, run_id: str, attempt: int = 1) -> dict[str, Any]:
    request = {"project": "flights", "run_id": run_id, "attempt": attempt}
    return gather_drop(request, aws.gather_settings)


def _files(aws: Aws, run_id: str, attempt: int = 1) -> list[str]:
    key = zones.drop_manifest_key("flights", run_id, attempt)
    body = aws.s3.get_object(Bucket=aws.buckets["curated"], Key=key)["Body"].read()
    return [file["key"] for file in json.loads(body)["new_files"]]


def test_f15_the_same_event_twenty_times_makes_one_run(aws: Aws) -> None:
    event = aws.drop("flights/a.csv", b"a")
    runs = {claim_drop(event, aws.claim_settings)["run_id"] for _ in range(20)}
    assert len(runs) == 1
    assert len(aws.executions()) == 1


def test_ten_files_dropped_together_make_one_run_with_all_of_them(aws: Aws) -> None:
    keys = [f"flights/{number}.csv" for number in range(10)]
    runs = {claim_drop(aws.drop(key, key.encode()), aws.claim_settings)["run_id"] for key in keys}
    assert len(runs) == 1
    run_id = runs.pop()
    assert _gather(aws, run_id)["status"] == "ready"
    assert _files(aws, run_id) == keys


@pytest.mark.parametrize("name", ["a b.csv", "été.csv", "a+b.csv", "100%.csv", "a%20b.csv"])
def test_a_file_name_is_taken_as_it_is(aws: Aws, name: str) -> None:
    run_id = claim_drop(aws.drop(f"flights/{name}", b"x"), aws.claim_settings)["run_id"]
    _gather(aws, run_id)
    assert _files(aws, run_id) == [f"flights/{name}"]


def test_a_file_with_the_longest_possible_name_is_taken_and_not_claimed_again(aws: Aws) -> None:
    key = "flights/" + "é" * 500 + "x" * 12 + ".csv"
    event = aws.drop(key, b"x")
    run_id = claim_drop(event, aws.claim_settings)["run_id"]
    _gather(aws, run_id)
    assert _files(aws, run_id) == [key]
    assert claim_drop(event, aws.claim_settings) == {
        "outcome": "claimed before",
        "project": "flights",
        "run_id": run_id,
    }


@pytest.mark.parametrize("key", ["lonely.csv", "trains/a.csv"])
def test_a_file_of_no_known_project_is_reported_with_the_known_ones(aws: Aws, key: str) -> None:
    answer = claim_drop(aws.drop(key, b"x"), aws.claim_settings)
    assert answer["outcome"] == "stray"
    report = aws.s3.get_object(Bucket=aws.buckets["reports"], Key=f"stray/{key}.json")["Body"].read()
    assert "deployed: flights" in json.loads(report)["message"]
    assert aws.executions() == []


def test_a_stray_file_with_the_longest_possible_name_is_reported_too(aws: Aws) -> None:
    answer = claim_drop(aws.drop("trains/" + "x" * 1017, b"x"), aws.claim_settings)
    bucket, _, key = answer["report"].removeprefix("s3://").partition("/")
    assert "xxx" in json.loads(aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read())["key"]


def test_many_files_of_a_project_ask_once_whether_it_is_deployed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = project_source.deployed_projects
    monkeypatch.setattr(project_source, "deployed_projects", lambda name: asked.append(name) or real(name))
    monkeypatch.setattr(project_source, "_SEEN", {})
    for number in range(3):
        claim_drop(aws.drop(f"flights/{number}.csv", b"x"), aws.claim_settings)
    assert len(asked) == 1
    claim_drop(aws.drop("trains/a.csv", b"x"), aws.claim_settings)
    assert len(asked) == 2, "what is not deployed is asked for each time: it may be by now"


def test_a_folder_marker_is_ignored(aws: Aws) -> None:
    assert claim_drop(aws.drop("flights/", b""), aws.claim_settings)["outcome"] == "ignored"
    assert aws.executions() == []


def test_an_object_that_is_gone_before_its_claim_is_ignored(aws: Aws) -> None:
    event = aws.drop("flights/a.csv", b"x")
    version = event["detail"]["object"]["version-id"]
    aws.s3.delete_object(Bucket=aws.buckets["raw"], Key="flights/a.csv", VersionId=version)
    assert claim_drop(event, aws.claim_settings)["outcome"] == "ignored"


def test_f19_an_object_deleted_before_gathering_is_a_problem_and_the_others_go_on(aws: Aws) -> None:
    event = aws.drop("flights/a.csv", b"a")
    run_id = claim_drop(event, aws.claim_settings)["run_id"]
    claim_drop(aws.drop("flights/b.csv", b"b"), aws.claim_settings)
    version = event["detail"]["object"]["version-id"]
    aws.s3.delete_object(Bucket=aws.buckets["raw"], Key="flights/a.csv", VersionId=version)
    assert _gather(aws, run_id)["status"] == "ready"
    assert _files(aws, run_id) == ["flights/b.csv"]
    assert [problem.file for problem in _table().need("flights", run_id).problems] == ["flights/a.csv"]


def test_f25_gathering_twice_gives_the_same_answer(aws: Aws) -> None:
    run_id = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    assert _gather(aws, run_id) == _gather(aws, run_id)


def test_files_younger_than_the_quiet_window_are_waited_for(aws: Aws) -> None:
    run_id = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    object.__setattr__(aws.gather_settings, "quiet_window_seconds", 60)
    answer = _gather(aws, run_id)
    assert answer["status"] == "waiting"
    assert 0 < answer["wait_seconds"] <= 61


def test_a_file_that_comes_after_the_batch_was_closed_opens_the_next_run(aws: Aws) -> None:
    first = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    _gather(aws, first)
    second = claim_drop(aws.drop("flights/b.csv", b"b"), aws.claim_settings)["run_id"]
    assert second != first
    # moto's executions stay RUNNING, and a lock without an execution's ARN is held until the run ends.
    assert _gather(aws, second)["status"] == "waiting"
    _table().delete("flights", "LOCK")
    assert _gather(aws, second)["status"] == "ready"
    assert _files(aws, second) == ["flights/b.csv"]


def test_the_lock_of_an_execution_that_is_gone_is_taken_over(aws: Aws) -> None:
    gone = aws.pipeline.replace(":stateMachine:", ":execution:") + ":gone"
    _table().create("flights", "LOCK", run_id="r0", attempt=1, execution_arn=gone)
    run_id = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    assert _gather(aws, run_id)["status"] == "ready"


def test_f15_the_same_bytes_again_are_a_duplicate_of_the_first_run(aws: Aws) -> None:
    first = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    _gather(aws, first)
    _table().delete("flights", "LOCK")
    second = claim_drop(aws.drop("flights/b.csv", b"a"), aws.claim_settings)["run_id"]
    assert _gather(aws, second)["status"] == "duplicate"
    assert _table().need("flights", second).duplicate_of == first


def test_f16_an_older_version_whose_event_comes_after_the_newer_ones_run_is_ignored(aws: Aws) -> None:
    older = aws.drop("flights/a.csv", b"old", sequencer="0A")
    newer = aws.drop("flights/a.csv", b"new", sequencer="0B")
    _gather(aws, claim_drop(newer, aws.claim_settings)["run_id"])
    _table().delete("flights", "LOCK")
    late = claim_drop(older, aws.claim_settings)["run_id"]
    assert _gather(aws, late)["status"] == "nothing"


def test_a_batch_whose_execution_was_stopped_while_it_waited_keeps_no_file(aws: Aws) -> None:
    first = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    aws.sfn.stop_execution(executionArn=aws.execution_arn(first))
    second = claim_drop(aws.drop("flights/b.csv", b"b"), aws.claim_settings)["run_id"]
    assert second != first
    assert _gather(aws, second)["status"] == "ready"
    assert _files(aws, second) == ["flights/a.csv", "flights/b.csv"]


def test_a_project_whose_batches_all_end_at_once_is_tried_again_later(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passerelle.steps.claim_drop.start_once", lambda *_: False)
    with pytest.raises(TransientError, match="ended as soon as they were opened"):
        claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)
    assert aws.table.item("flights", "OPEN") is None


def test_a_file_that_another_run_took_in_the_meantime_stays_there(aws: Aws) -> None:
    """A run that lost its lock while its function was still at work."""
    run_id = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    claim_drop(aws.drop("flights/b.csv", b"b"), aws.claim_settings)
    (late,) = [item for item in aws.table.items("flights", "DROP#") if item["key"] == "flights/a.csv"]
    taken = {name: value for name, value in late.items() if name not in ("pk", "sk")}
    seen = RunsTable.items

    def read_then_lose(table: RunsTable, project: str, prefix: str, **options: Any) -> list[dict[str, Any]]:
        found = seen(table, project, prefix, **options)
        if prefix == "DROP#" and table.item(project, "LOCK"):
            table.put(project, late["sk"], **taken, run_id="other")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunsTable, "items", read_then_lose)
        assert _gather(aws, run_id)["status"] == "ready"
    assert _files(aws, run_id) == ["flights/b.csv"]
    assert (aws.table.item("flights", late["sk"]) or {})["run_id"] == "other"


def test_a_retry_keeps_the_files_of_the_attempt_before(aws: Aws) -> None:
    run_id = claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)["run_id"]
    _gather(aws, run_id)
    later = claim_drop(aws.drop("flights/b.csv", b"b"), aws.claim_settings)["run_id"]
    assert later != run_id
    aws.table.change("flights", run_id, lambda record: record.model_copy(update={"status": "failed"}))
    aws.table.delete("flights", "LOCK")
    assert _gather(aws, run_id, attempt=2)["status"] == "ready"
    assert _files(aws, run_id, attempt=2) == ["flights/a.csv"]


@pytest.mark.parametrize(
    ("status", "kept"), [("succeeded", []), ("failed", ["flights/a.csv"]), ("rejected", ["flights/a.csv"])]
)
def test_a_retry_does_not_bring_back_a_version_that_another_run_has_replaced(
    aws: Aws, status: str, kept: list[str]
) -> None:
    first = claim_drop(aws.drop("flights/a.csv", b"old", sequencer="0A"), aws.claim_settings)["run_id"]
    _gather(aws, first)
    aws.table.change("flights", first, lambda run: run.model_copy(update={"status": "failed"}))
    aws.table.delete("flights", "LOCK")
    second = claim_drop(aws.drop("flights/a.csv", b"new", sequencer="0B"), aws.claim_settings)["run_id"]
    _gather(aws, second)
    aws.table.change("flights", second, lambda run: run.model_copy(update={"status": status}))
    aws.table.delete("flights", "LOCK")
    answer = _gather(aws, first, attempt=2)
    assert answer["status"] == ("ready" if kept else "nothing")
    assert not kept or _files(aws, first, attempt=2) == kept


def test_f25_a_function_killed_while_it_takes_files_takes_the_others_when_it_is_called_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"flights/{number}.csv" for number in range(4)]
    (run_id,) = {claim_drop(aws.drop(key, key.encode()), aws.claim_settings)["run_id"] for key in keys}
    replace, calls = RunsTable.replace, []

    def die_at_the_third(table: RunsTable, *arguments: Any, **options: Any) -> bool:
        calls.append(arguments)
        if len(calls) == 4:  # the lock, two files, and then
            raise SystemExit
        return replace(table, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RunsTable, "replace", die_at_the_third)
        with pytest.raises(SystemExit):
            _gather(aws, run_id)
    assert _gather(aws, run_id)["status"] == "ready"
    assert _files(aws, run_id) == keys


def test_a_retry_whose_files_went_elsewhere_says_so_and_frees_the_project(aws: Aws) -> None:
    aws.begin_run("r1")
    assert _gather(aws, "r1", attempt=2)["status"] == "nothing"
    record = aws.table.need("flights", "r1")
    assert record.status == "failed"
    assert record.error is not None
    assert "other runs" in record.error.message
    assert aws.table.item("flights", "LOCK") is None


def test_a_redriven_execution_of_an_earlier_attempt_is_refused(aws: Aws) -> None:
    aws.begin_run("r1", attempt=2)
    with pytest.raises(InputError, match="attempt 2 has begun"):
        _gather(aws, "r1", attempt=1)
    assert aws.table.item("flights", "LOCK") is None
