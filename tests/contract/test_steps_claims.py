"""Many functions claim and gather at once, on the embedded AWS: one run, and every file in exactly one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from passerelle.contracts import zones
from passerelle.contracts.runs import RunRecord
from passerelle.steps.claim_drop import claim_drop
from passerelle.steps.gather_drop import gather_drop
from tests.laptop_platform import LaptopPlatform, unique
from tests.unit.steps.world import Aws, embedded

AT_ONCE = 20


@pytest.fixture
def aws(embedded_aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with embedded(embedded_aws.settings, monkeypatch):
        yield Aws(unique("steps"), unique("claims"))


def _together(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run all calls, each in a thread of its own, from one starting signal."""
    gate = threading.Barrier(len(calls))

    def go(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(go, call) for call in calls]]


def _gather(aws: Aws, run_id: str) -> dict[str, Any]:
    return gather_drop({"project": "flights", "run_id": run_id, "attempt": 1}, aws.gather_settings)


def _gathered(aws: Aws, run_id: str) -> list[str]:
    key = zones.drop_manifest_key("flights", run_id, 1)
    body = aws.s3.get_object(Bucket=aws.buckets["curated"], Key=key)["Body"].read()
    return [file["key"] for file in json.loads(body)["new_files"]]


def test_f18_twenty_files_claimed_at_once_make_one_run_with_all_of_them(aws: Aws) -> None:
    keys = [f"flights/{number:02}.csv" for number in range(AT_ONCE)]
    events = [aws.drop(key, key.encode()) for key in keys]
    # Every event twice, as EventBridge may deliver it.
    answers = _together([lambda event=event: claim_drop(event, aws.claim_settings) for event in events * 2])
    (run_id,) = {answer["run_id"] for answer in answers}
    assert [answer["outcome"] for answer in answers].count("claimed") == AT_ONCE
    assert aws.executions() == [f"flights-{run_id}-1"]
    assert _gather(aws, run_id)["status"] == "ready"
    assert _gathered(aws, run_id) == keys


def test_f18_files_that_come_while_a_batch_is_gathered_are_each_in_exactly_one_run(aws: Aws) -> None:
    keys = [f"flights/{number:02}.csv" for number in range(AT_ONCE)]
    events = [aws.drop(key, key.encode()) for key in keys]
    first = claim_drop(events[0], aws.claim_settings)["run_id"]
    claims = [lambda event=event: claim_drop(event, aws.claim_settings) for event in events[1:]]
    answers = _together([lambda: _gather(aws, first), *claims])
    runs = {first, *(answer["run_id"] for answer in answers[1:])}
    gathered = _gathered(aws, first)
    for run_id in sorted(runs - {first}):
        aws.table.delete("flights", "LOCK")
        if _gather(aws, run_id)["status"] == "ready":
            gathered += _gathered(aws, run_id)
    assert sorted(gathered) == keys
    assert all("run_id" in item for item in aws.table.items("flights", "DROP#"))


def test_of_runs_that_want_the_lock_at_once_one_gets_it(aws: Aws) -> None:
    runs = [f"r{number}" for number in range(AT_ONCE)]
    for run_id in runs:
        arn = aws.execution_arn(run_id)
        aws.sfn.start_execution(stateMachineArn=aws.pipeline, name=arn.rsplit(":", 1)[1], input="{}")
    claim_drop(aws.drop("flights/a.csv", b"a"), aws.claim_settings)

    def gather(run_id: str) -> str:
        request = {"project": "flights", "run_id": run_id, "attempt": 1}
        return str(gather_drop(request, aws.gather_settings, execution_arn=aws.execution_arn(run_id))["status"])

    statuses = _together([lambda run_id=run_id: gather(run_id) for run_id in runs])
    assert (statuses.count("ready"), statuses.count("waiting")) == (1, AT_ONCE - 1)


def test_changes_of_one_run_by_many_functions_at_once_are_all_kept(aws: Aws) -> None:
    aws.begin_run("r1")

    def add(number: int) -> None:
        def mutate(record: RunRecord) -> RunRecord:
            return record.model_copy(update={"candidates": (*record.candidates, {"name": f"c{number:02}"})})

        aws.table.change("flights", "r1", mutate)

    _together([lambda number=number: add(number) for number in range(AT_ONCE)])
    names = sorted(item["name"] for item in aws.table.need("flights", "r1").candidates)
    assert names == [f"c{number:02}" for number in range(AT_ONCE)]


def test_a_change_that_was_read_before_a_new_attempt_does_not_overwrite_it(aws: Aws) -> None:
    stale = aws.begin_run("r1", attempt=1)
    seen: list[int] = []

    def mutate(record: RunRecord) -> RunRecord:
        seen.append(record.attempt)
        if len(seen) == 1:
            aws.table.save(stale.model_copy(update={"attempt": 2, "status": "collecting"}))
        return record.model_copy(update={"why": "late"})

    aws.table.change("flights", "r1", mutate)
    assert seen == [1, 2]
    assert aws.table.need("flights", "r1").attempt == 2
