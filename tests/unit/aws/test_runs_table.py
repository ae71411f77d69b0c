"""A run's record is kept whole as far as DynamoDB holds it, and says what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from passerelle.aws.record_size import MAX_BYTES
from passerelle.contracts.container import Problem
from passerelle.contracts.runs import RunFile, RunRecord
from passerelle.errors import NotFoundError
from tests.unit.steps.world import Aws


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Aws()


def _problems(count: int) -> tuple[Problem, ...]:
    return tuple(
        Problem(code="bad", file=f"flights/{number}.csv", rule="number", message="é" * 200, remedy="Write a number.")
        for number in range(count)
    )


def _files(count: int) -> tuple[RunFile, ...]:
    names = (f"flights/{number:05}.csv" for number in range(count))
    return tuple(RunFile(key=name, version_id="v" * 32, size=1, sha256="a" * 64) for name in names)


def _left_out(record: RunRecord) -> dict[str, int]:
    return {item.code: item.count for item in record.problems if item.code.endswith("_left_out")}


def test_a_record_that_fits_is_kept_as_it_is(aws: Aws) -> None:
    saved = aws.begin_run(problems=_problems(100), files=_files(500))
    assert aws.table.need("flights", "r1") == saved
    assert (len(saved.problems), len(saved.files)) == (100, 500)


@pytest.mark.parametrize(("problems", "files"), [(5_000, 10), (10, 5_000), (5_000, 5_000)])
def test_what_does_not_fit_into_one_item_is_counted(aws: Aws, problems: int, files: int) -> None:
    aws.begin_run(problems=_problems(problems), files=_files(files))
    record = aws.table.need("flights", "r1")
    assert len(record.model_dump_json().encode()) <= MAX_BYTES
    left_out = _left_out(record)
    listed = [item for item in record.problems if not item.code.endswith("_left_out")]
    assert len(listed) + left_out.get("problems_left_out", 0) == problems
    assert len(record.files) + left_out.get("files_left_out", 0) == files
    assert record.files[0].key == "flights/00000.csv"


def test_what_is_left_out_at_every_change_is_counted_together(aws: Aws) -> None:
    aws.begin_run(problems=_problems(3_000))

    def add(record: RunRecord) -> RunRecord:
        return record.model_copy(update={"problems": (*record.problems, *_problems(2_000))})

    aws.table.change("flights", "r1", add)
    record = aws.table.need("flights", "r1")
    listed = len(record.problems) - len(_left_out(record))
    assert listed + _left_out(record)["problems_left_out"] == 5_000


def test_a_change_of_a_run_that_does_not_exist_names_it(aws: Aws) -> None:
    with pytest.raises(NotFoundError, match="Project flights has no run r9"):
        aws.table.change("flights", "r9", lambda record: record)


def test_the_newest_runs_come_first_and_only_as_many_as_asked(aws: Aws) -> None:
    for number in range(5):
        aws.begin_run(f"r{number}")
    assert [record.run_id for record in aws.table.newest("flights", limit=2)] == ["r4", "r3"]


def test_an_item_that_another_run_holds_is_neither_replaced_nor_deleted(aws: Aws) -> None:
    table: Any = aws.table
    assert table.create("flights", "LOCK", run_id="r1")
    assert not table.create("flights", "LOCK", run_id="r2")
    assert not table.replace("flights", "LOCK", holder="r2", run_id="r2")
    assert not table.delete("flights", "LOCK", run_id="r2")
    assert table.replace("flights", "LOCK", holder="r1", run_id="r1", attempt=2)
    assert table.item("flights", "LOCK")["attempt"] == 2
    assert table.delete("flights", "LOCK", run_id="r1")
    assert table.delete("flights", "LOCK", run_id="r1"), "deleting what is gone is no error"
