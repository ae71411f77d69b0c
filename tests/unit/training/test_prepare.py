"""Validation loses no row: each is accepted, rejected with a reason, a duplicate, or set aside for its label."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, as_parquet, quarantined, run


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_clean_file_is_split_by_time_without_a_moment_in_two_parts(tmp_path: Path, task: str) -> None:
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(ROWS)}, task)
    assert result.status == "accepted", result.problems
    parts = [
        pq.read_table(folders.curated / "datasets" / str(result.dataset_id) / name)
        for name in ("train", "validation", "test")
    ]
    assert [part.num_rows for part in parts] == [part.rows for part in result.split.values()]
    ends = [(min(part["__event_time"].to_pylist()), max(part["__event_time"].to_pylist())) for part in parts]
    assert ends[0][1] < ends[1][0] <= ends[1][1] < ends[2][0]
    hidden = {"churned", "tier", "spend"} & set(parts[0].column_names)
    assert hidden == set()


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + as_csv(ROWS),
        as_csv(ROWS, newline="\r\n"),
        gzip.compress(as_csv(ROWS)),
        as_csv(ROWS).replace(b"customer,seen_at", b" customer , seen_at ", 1),
        as_csv([dict(reversed(row.items())) for row in ROWS]),
    ],
    ids=["bom", "crlf", "gzip", "spaces", "reordered"],
)
def test_harmless_differences_are_accepted(tmp_path: Path, body: bytes) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": body})
    assert (result.status, result.rows_rejected) == ("accepted", 0), result.problems


def test_a_parquet_file_reads_as_its_csv_does(tmp_path: Path) -> None:
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(ROWS)})
    assert (result.status, result.rows_accepted) == ("accepted", 400), result.problems


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("visits", "1,234", "type"),
        ("visits", "1.5", "type"),
        ("visits", "-1", "min"),
        ("visits", "1001", "max"),
        ("visits", "", "null"),
        ("visits", "inf", "type"),
        ("age", "forty", "type"),
        ("age", "inf", "type"),
        ("plan", "gratis", "allowed"),
        ("seen_at", "31/01/2024", "type"),
        ("seen_at", "2024-02-30", "type"),
    ],
)
def test_a_bad_cell_rejects_its_row_and_says_why(tmp_path: Path, column: str, value: str, code: str) -> None:
    rows = [dict(row) for row in ROWS]
    rows[7][column] = value
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    assert (result.status, result.rows_rejected) == ("accepted", 1)
    kept = quarantined(folders)
    assert [(row["_line"], row["_reasons"]) for row in kept] == [(9, [f"{code}:{column}"])]
    assert kept[0][column] == value
    problem = next(item for item in result.problems if item.column == column)
    assert (problem.code, problem.row, problem.file) == (code, 9, "p-x/a.csv")


def test_the_same_rows_in_two_files_count_once(tmp_path: Path) -> None:
    body = as_csv(ROWS)
    result, _ = run(tmp_path, {"p-x/a.csv": body, "p-x/b.csv": body + b"\n"})
    assert result.status == "accepted"
    assert result.duplicate_rows == 400
    assert sum(part.rows for part in result.split.values()) == 400


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(ROWS), "p-x/b.csv": b""})
    assert result.status == "accepted"
    assert [file.status for file in result.files] == ["accepted", "rejected"]


def test_rows_without_a_label_are_set_aside_up_to_the_threshold(tmp_path: Path) -> None:
    rows = [{**row, "churned": "" if index < 20 else row["churned"]} for index, row in enumerate(ROWS)]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    assert (result.status, result.rows_without_label) == ("accepted", 20)
    rows = [{**row, "churned": "" if index < 200 else row["churned"]} for index, row in enumerate(ROWS)]
    result, _ = run(tmp_path, {"p-x/b.csv": as_csv(rows)})
    assert result.status == "rejected"
    assert "missing_labels" in {problem.code for problem in result.problems}


def test_columns_that_teach_nothing_are_dropped_and_named(tmp_path: Path) -> None:
    rows = [{**row, "visits": 3, "age": ""} for row in ROWS]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    assert result.dropped_columns == {"visits": "constant", "age": "empty in every row"}


_CELL = st.one_of(
    # A bare carriage return outside quotes ends a line, so it is another row and not this cell.
    st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), max_size=6),
    st.sampled_from(["", "NaN", "inf", "-1", "1e9", "é", "😀", "__proto__", '"', "\x00", "2024-01-01", "pro", "TRUE"]),
)
_HARM = st.tuples(st.integers(0, 119), st.sampled_from(sorted(ROWS[0])), _CELL)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(harms=st.lists(_HARM, max_size=12))
def test_random_damage_never_crashes_and_never_loses_a_row(tmp_path: Path, harms: list[tuple[int, str, str]]) -> None:
    rows = [dict(row) for row in ROWS[:120]]
    for index, column, value in harms:
        rows[index][column] = value
    shutil.rmtree(tmp_path / "quarantine", ignore_errors=True)
    result, folders = run(
        tmp_path, {"p-x/a.csv": as_csv(rows)}, thresholds={"rejected_rows": 1.0, "missing_labels": 1.0}
    )
    outcome = result.files[0]
    if outcome.rows_read:
        assert outcome.rows_read == 120
        assert outcome.rows_accepted + outcome.rows_rejected == 120
        kept = quarantined(folders)
        assert len(kept) == outcome.rows_rejected
        assert all(row["_reasons"] for row in kept)
    if result.status == "accepted":
        used = sum(part.rows for part in result.split.values())
        assert used + result.rows_without_label + result.duplicate_rows == outcome.rows_accepted
