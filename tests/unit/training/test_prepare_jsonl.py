"""JSON Lines are held to the same contract as CSV: keys are columns, lines are rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from passerelle.contracts.container import PrepareResult
from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, accepted, as_json_lines, only_problem, quarantined, run
from training.prepare.main import Folders

LINES = as_json_lines(ROWS).splitlines()


def run_lines(tmp_path: Path, lines: list[bytes], **data: Any) -> tuple[PrepareResult, Folders]:
    return run(tmp_path, {"p-x/a.jsonl": b"\n".join(lines)}, format="jsonl", **data)


def changed(index: int, **cells: Any) -> list[bytes]:
    lines = list(LINES)
    lines[index] = json.dumps(json.loads(lines[index]) | cells).encode()
    return lines


def test_json_lines_read_as_the_csv_of_the_same_rows(tmp_path: Path) -> None:
    _, of_csv = run(tmp_path / "csv", {"p-x/a.csv": as_csv(ROWS)})
    result, folders = run_lines(tmp_path / "jsonl", LINES)
    assert (result.status, result.rows_accepted, result.problems) == ("accepted", 400, ())
    same = [{**row, "_line": row["_line"] + 1} for row in accepted(folders)]
    assert same == accepted(of_csv)


@pytest.mark.parametrize(
    "wrap", [lambda body: b"\xef\xbb\xbf" + body, gzip.compress, lambda b: b.replace(b"\n", b"\r\n")]
)
def test_marks_gzip_and_line_ends_do_not_matter(tmp_path: Path, wrap: Any) -> None:
    result, _ = run(tmp_path, {"p-x/a.jsonl": wrap(b"\n".join([*LINES, b"", b"  "]))}, format="jsonl")
    assert (result.status, result.rows_accepted) == ("accepted", 400), result.problems


def test_a_key_that_no_line_has_is_a_missing_column_with_a_hint(tmp_path: Path) -> None:
    lines = [line.replace(b'"age"', b'"agee"') for line in LINES]
    result, _ = run_lines(tmp_path, lines)
    assert (result.status, result.rows_read, result.rows_accepted) == ("rejected", 400, 0)
    problem = only_problem(result, "missing_column")
    assert (problem.column, problem.file, problem.row) == ("age", "p-x/a.jsonl", None)
    assert "did you mean 'agee'?" in problem.message


def test_a_key_that_one_line_lacks_is_an_empty_cell(tmp_path: Path) -> None:
    lines = list(LINES)
    for index, name in ((2, "age"), (3, "visits")):
        document = json.loads(lines[index])
        del document[name]
        lines[index] = json.dumps(document).encode()
    result, folders = run_lines(tmp_path, lines)
    assert result.rows_accepted == 399
    assert accepted(folders)[2]["age"] is None
    (row,) = quarantined(folders)
    assert (row["_line"], row["_reasons"], row["_raw"]) == (4, ["null:visits"], lines[3].decode())


def test_an_undeclared_key_is_told_with_its_first_line_and_rejects_where_the_contract_says_so(tmp_path: Path) -> None:
    lines = changed(9, note="hello")
    result, _ = run_lines(tmp_path, lines)
    problem = only_problem(result, "extra_column")
    assert (result.status, problem.severity, problem.column, problem.row) == ("accepted", "warning", "note", 10)
    result, _ = run_lines(tmp_path, lines, extra_columns="reject")
    problem = only_problem(result, "extra_column")
    assert (result.status, problem.severity, problem.row) == ("rejected", "error", 10)
    assert (result.rows_read, result.rows_accepted, result.rows_rejected) == (400, 0, 400)


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (b"not json", ["not_json:"]),
        (b'{"customer": "c", }', ["not_json:"]),
        (b'["a", 1]', ["not_json:"]),
        (b"42", ["not_json:"]),
        (b"[" * 100_000, ["not_json:"]),
        (LINES[5][:-1] + b', "plan": "pro"}', ["repeated_key:"]),
        (LINES[5].replace(b'"c00005"', b'"a\\u0000b"'), ["nul:customer"]),
        (LINES[5].replace(b'"c00005"', b'"a\\ud800b"'), ["surrogate:customer"]),
        (LINES[5].replace(b'"c00005"', b'{"id": 5}'), ["nested_value:customer"]),
        (LINES[5].replace(b'"c00005"', b"[5]"), ["nested_value:customer"]),
    ],
)
def test_a_line_that_is_no_flat_object_is_kept_whole_with_its_number(
    tmp_path: Path, line: bytes, reasons: list[str]
) -> None:
    lines = [*LINES[:5], line, *LINES[6:]]
    result, folders = run_lines(tmp_path, lines)
    assert (result.rows_read, result.rows_accepted) == (400, 399)
    (row,) = quarantined(folders)
    assert (row["_line"], row["_reasons"], row["_raw"]) == (6, reasons, line.decode())
    problem = only_problem(result, reasons[0].partition(":")[0])
    assert (problem.file, problem.row) == ("p-x/a.jsonl", 6)
    assert problem.remedy


def test_a_nested_value_and_the_broken_rules_of_its_row_are_told_together(tmp_path: Path) -> None:
    _, folders = run_lines(tmp_path, changed(5, customer=[1], visits="many", plan="gratis"))
    (row,) = quarantined(folders)
    assert set(row["_reasons"]) == {"nested_value:customer", "type:visits", "allowed:plan"}


def test_a_nested_value_of_an_undeclared_key_is_ignored_with_it(tmp_path: Path) -> None:
    result, _ = run_lines(tmp_path, changed(5, note={"a": [1]}))
    assert (result.status, result.rows_accepted) == ("accepted", 400)


def test_numbers_keep_the_digits_they_are_written_with(tmp_path: Path) -> None:
    lines = list(LINES)
    lines[0] = lines[0].replace(b'"c00000"', b"1.10")
    lines[1] = lines[1].replace(b'"c00001"', b"12345678901234567890123")
    lines[2] = lines[2].replace(b'"churned": ', b'"churned": 9007199254740993, "x": ')
    lines[3] = lines[3].replace(b'"churned": ', b'"churned": ' + b"9" * 5000 + b', "x": ')
    lines[4] = lines[4].replace(b'"age": ', b'"age": Infinity, "y": ')
    _, folders = run_lines(tmp_path, lines)
    rows = accepted(folders)
    assert [row["customer"] for row in rows[:2]] == ["1.10", "12345678901234567890123"]
    assert rows[2]["churned"] == 2**53 + 1
    assert {tuple(row["_reasons"]) for row in quarantined(folders)} == {("type:churned",), ("type:age",)}


def test_a_json_array_is_refused_with_how_to_turn_it_into_lines(tmp_path: Path) -> None:
    result, _ = run_lines(tmp_path, [json.dumps([json.loads(line) for line in LINES], indent=1).encode()])
    problem = only_problem(result, "json_array")
    assert (result.status, problem.row) == ("rejected", 1)
    assert "jq" in problem.remedy


def test_a_file_of_another_format_is_rejected_with_every_line_in_quarantine(tmp_path: Path) -> None:
    result, folders = run(tmp_path, {"p-x/a.jsonl": as_csv(ROWS)}, format="jsonl")
    assert (result.status, result.rows_read, result.rows_rejected) == ("rejected", 401, 401)
    assert len(quarantined(folders)) == 401
    assert only_problem(result, "not_json").count == 401
    assert only_problem(result, "too_many_rejected").file == "p-x/a.jsonl"


@pytest.mark.parametrize("body", [b"\n \n", b"\xef\xbb\xbf"])
def test_no_lines_are_no_rows(tmp_path: Path, body: bytes) -> None:
    result, _ = run(tmp_path, {"p-x/a.jsonl": body}, format="jsonl")
    assert [problem.code for problem in result.problems] == ["no_rows"]
