"""No file can fill the job's memory, disk or record: it is stopped at a limit that its message names."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.contracts.container import DropFile, PrepareResult, Problem
from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, as_json_lines, as_parquet, make_project, only_problem, quarantined, run
from training.prepare import limits, parquet_rows
from training.prepare.fetch import Validation
from training.prepare.source import open_source

HEADER = as_csv(ROWS).splitlines()[0]
LINE = as_csv(ROWS).splitlines()[1]


def stopped(result: PrepareResult, code: str, limit: int) -> Problem:
    """Return the problem of a stopped file: it names file, limit and remedy."""
    problem = only_problem(result, code)
    assert (result.status, result.rows_accepted, problem.severity) == ("rejected", 0, "error")
    assert problem.file is not None
    assert f"{limit:,}" in problem.message
    assert problem.remedy
    return problem


LONG_LINE = LINE.replace(b"c00000", b"x" * 10_000) + b"\n"


@pytest.mark.parametrize("unit", [b"0", b"x" * 10_000 + b"\n", LONG_LINE], ids=["one-row", "ragged", "rows"])
def test_a_gzip_bomb_is_stopped_while_it_expands(tmp_path: Path, unit: bytes) -> None:
    body = gzip.compress(HEADER + b"\n" + unit * (90 * 1024**2 // len(unit)))
    assert len(body) < 1024**2
    result, _ = run(tmp_path, {"p-x/a.csv.gz": body})
    if unit == b"0":  # a row without end is noticed before the stream's limit
        stopped(result, "row_too_long", limits.MAX_ROW_CHARS)
    else:
        problem = stopped(result, "gzip_bomb", max(limits.TEXT_FLOOR, 200 * len(body)))
        assert "parts" in problem.remedy


def test_a_gzip_file_that_expands_as_data_does_is_read(tmp_path: Path) -> None:
    body = gzip.compress(HEADER + b"\n" + (LINE + b"\n") * 100_000)
    result, _ = run(tmp_path, {"p-x/a.csv.gz": body})
    assert result.rows_accepted == 100_000


def test_a_zip_bomb_is_never_unpacked(tmp_path: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 50 * 1024**2)
    result, _ = run(tmp_path, {"p-x/a.zip": body.getvalue()})
    assert "Unpack it" in only_problem(result, "zip_file").remedy


def test_a_parquet_file_that_declares_too_many_rows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    group = pa.table({name: pa.nulls(20_000_000) for name in ROWS[0]})
    path = tmp_path / "bomb.parquet"
    with pq.ParquetWriter(path, group.schema) as writer:
        for _ in range(4):
            writer.write_table(group, row_group_size=20_000_000)
    result, _ = run(tmp_path, {"p-x/a.parquet": path.read_bytes()})
    problem = stopped(result, "parquet_bomb", limits.PARQUET_FLOOR)
    assert "80,000,000 rows" in problem.message


def test_a_parquet_dictionary_that_expands_too_far_is_stopped_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "PARQUET_FLOOR", 100 * 1024**2)
    rows = [{**row, "customer": "x" * 500_000} for row in ROWS]
    body = as_parquet(rows)
    assert len(body) < 1024**2
    problem = stopped(run(tmp_path, {"p-x/a.parquet": body})[0], "parquet_bomb", 100 * 1024**2)
    assert "rows take" in problem.message


def test_a_large_row_group_is_refused_from_the_footer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "MAX_ROW_GROUP_BYTES", 1000)
    stopped(run(tmp_path, {"p-x/a.parquet": as_parquet(ROWS)})[0], "large_row_group", 1000)


def test_long_texts_in_parquet_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "BATCH_CHARS", 10 * 1024**2)
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet([{**row, "customer": "x" * 500_000} for row in ROWS]))
    batches = list(open_source(path, make_project(), key="k").batches())
    assert sum(batch.num_rows for batch in batches) == 400
    assert max(batch.nbytes for batch in batches) < 12 * 1024**2


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_of_10_000_columns_is_refused_by_its_width(tmp_path: Path, suffix: str) -> None:
    rows = [row | {f"x{index}": 1 for index in range(10_000)} for row in ROWS[:3]]
    body = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}[suffix](rows)
    result, _ = run(tmp_path, {f"p-x/a.{suffix}": body}, format=suffix)
    problem = stopped(result, "too_wide", limits.MAX_COLUMNS)
    assert "10,0" in problem.message


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_cell_that_no_table_should_hold_is_refused_with_its_row(tmp_path: Path, suffix: str) -> None:
    rows = [dict(row) for row in ROWS]
    rows[5]["customer"] = "x" * (limits.MAX_CELL_CHARS + 1)
    result, _ = run(tmp_path, {"p-x/a": {"csv": as_csv, "parquet": as_parquet}[suffix](rows)})
    assert stopped(result, "cell_too_long", limits.MAX_CELL_CHARS).row == {"csv": 7, "parquet": 5}[suffix]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_row_without_end_is_refused_with_its_line(tmp_path: Path, suffix: str) -> None:
    lines = {"csv": as_csv, "jsonl": as_json_lines}[suffix](ROWS).splitlines()
    long = b"x" * (limits.MAX_ROW_CHARS + 1) if suffix == "jsonl" else b'"a\n",' * (limits.MAX_ROW_CHARS // 4)
    result, _ = run(tmp_path, {"p-x/a": b"\n".join([*lines[:7], long])}, format=suffix)
    problem = stopped(result, "row_too_long", limits.MAX_ROW_CHARS)
    assert problem.row is not None
    assert problem.row >= 8


def test_a_file_beyond_the_disks_size_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    file = DropFile(bucket="raw", key="p-x/a.csv", version_id=None, size=limits.MAX_FILE_BYTES + 1, sha256="0" * 64)
    validation = Validation(make_project(), None, None, tmp_path)  # type: ignore[arg-type]
    outcome = validation.file(file, 0).outcome
    (problem,) = outcome.problems
    assert (outcome.status, problem.code, problem.file) == ("rejected", "file_too_large", "p-x/a.csv")
    assert f"{limits.MAX_FILE_BYTES:,}" in problem.message


@pytest.mark.parametrize("bad", [b"only,two", LINE.replace(b"free", b"gratis").replace(b"pro", b"gratis")])
def test_bad_rows_pass_through_in_batches_and_all_reach_the_quarantine(tmp_path: Path, bad: bytes) -> None:
    count = 3 * limits.BATCH_ROWS + 7
    path = tmp_path / "bad.csv"
    path.write_bytes(HEADER + b"\n" + (bad + b"\n") * count)
    sizes = [batch.num_rows for batch in open_source(path, make_project(), key="k").batches()]
    assert sizes == [limits.BATCH_ROWS] * 3 + [7]
    thresholds = {"rejected_rows": 1.0, "missing_labels": 1.0}
    _, folders = run(tmp_path, {"p-x/a.csv": path.read_bytes()}, thresholds=thresholds)
    assert [row["_line"] for row in quarantined(folders)] == list(range(2, count + 2))


def test_many_lost_columns_are_told_in_a_few_problems_and_quickly(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns += [{"name": f"declared{index}", "type": "text"} for index in range(600)]
    rows = [row | {f"other{index}": 1 for index in range(600)} for row in ROWS[:2]]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(rows)}, columns=columns)
    missing = [problem for problem in result.problems if problem.code == "missing_column"]
    assert (result.status, len(missing), sum(problem.count for problem in missing)) == ("rejected", 20, 600)


def test_batches_of_wide_rows_are_cut_by_cells(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns += [{"name": f"x{index}", "type": "text"} for index in range(992)]
    rows = [row | {f"x{index}": "" for index in range(992)} for row in ROWS]
    lines = as_csv(rows).splitlines(keepends=True)
    path = tmp_path / "wide.csv"
    path.write_bytes(lines[0] + b"".join(lines[1:]) * 6)
    project = make_project(columns=columns)
    sizes = [batch.num_rows for batch in open_source(path, project, key="k").batches()]
    assert sizes == [limits.BATCH_CELLS // 1_000, 400]


def test_batches_are_cut_by_characters_too(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    long = b"x" * 1_000_000
    path.write_bytes(HEADER + b"\n" + (LINE.replace(b"c00000", long) + b"\n") * 150)
    sizes = [batch.nbytes for batch in open_source(path, make_project(), key="k").batches()]
    assert len(sizes) == 3
    assert max(sizes) < 2.1 * limits.BATCH_CHARS  # the cell, and the row as it came


def test_many_kinds_of_problems_are_summed_up_so_that_the_runs_record_holds_them(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns += [{"name": f"x{index}", "type": "number", "role": "ignored"} for index in range(100)]
    rows = [
        row | {f"x{index}": "y" * 200 for index in range(100)} | {f"z{index}": 1 for index in range(100)}
        for row in ROWS[:60]
    ]
    files = {f"p-x/{index}.csv": as_csv(rows) + b"\n" * index for index in range(3)}
    result, folders = run(tmp_path, files, columns=columns, thresholds={"rejected_rows": 1.0, "missing_labels": 1.0})
    assert len(result.problems) == 100
    assert len(json.dumps([problem.model_dump() for problem in result.problems])) < 200_000
    assert {"more_reasons", "more_problems"} <= {problem.code for problem in result.problems} | {"more_problems"}
    extra = [problem for problem in result.files[0].problems if problem.code == "extra_column"]
    assert sum(problem.count for problem in extra) == 100
    reasons = [problem for problem in result.files[0].problems if problem.code in ("type", "more_reasons")]
    assert sum(problem.count for problem in reasons) == 100 * 60
    report = json.loads((folders.quarantine / "report.json").read_text())
    assert sum(len(file["problems"]) for file in report["files"]) > 100
    assert re.search(r"\d+ more problems", result.problems[-1].message)


def test_examples_are_cut(tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    rows[5]["plan"] = "x" * 100_000
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    assert len(only_problem(result, "allowed").model_dump_json()) < 1_000
    assert quarantined(folders)[0]["plan"] == "x" * 100_000
