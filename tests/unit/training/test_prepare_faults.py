"""The fault catalogue's rows that concern dropped files, each by its number: what a user is promised, on real files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.e2e.projects import Row, as_csv
from tests.unit.training.prepared import (
    ROWS,
    accepted,
    as_parquet,
    make_project,
    only_problem,
    parts,
    quarantined,
    run,
    run_project,
)

PLAIN = as_csv(ROWS)


def changed(index: int, **cells: Any) -> list[Row]:
    return [{**row, **cells} if place == index else row for place, row in enumerate(ROWS)]


def declared(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [*make_project().model_dump(mode="json")["data"]["columns"], *more]


def test_f1_a_ragged_row_is_quarantined_alone_and_an_open_quote_or_wrong_delimiter_loads_nothing(
    tmp_path: Path,
) -> None:
    lines = PLAIN.splitlines()
    result, _ = run(tmp_path, {"p-x/a.csv": b"\n".join([*lines[:9], b"one,two", *lines[9:]])})
    assert (result.status, result.rows_accepted, only_problem(result, "ragged_row").row) == ("accepted", 400, 10)
    for body, code in (
        (b"\n".join([*lines[:9], b'"' + lines[9], *lines[10:]]), "malformed_csv"),
        (as_csv(ROWS, delimiter=";"), "wrong_delimiter"),
    ):
        result, folders = run(tmp_path, {"p-x/a.csv": body})
        assert (result.status, result.rows_accepted, accepted(folders)) == ("rejected", 0, [])
        assert only_problem(result, code).row is not None


@pytest.mark.parametrize(
    "body",
    [PLAIN.decode().encode("utf-16"), as_csv(changed(3, customer="é")).replace("é".encode(), b"\xe9"),
     as_csv(changed(3, customer="é")) + as_csv(changed(3, customer="é")).replace("é".encode(), b"\xe9")],
    ids=["utf-16", "latin-1", "mixed"],
)  # fmt: skip
def test_f2_another_or_a_mixed_encoding_never_becomes_wrong_letters(tmp_path: Path, body: bytes) -> None:
    result, folders = run(tmp_path, {"p-x/a.csv": body})
    problem = only_problem(result, "wrong_encoding")
    assert (result.status, accepted(folders)) == ("rejected", [])
    assert "data.csv.encoding" in problem.remedy or "UTF-8" in problem.remedy


def test_f3_mark_line_ends_and_header_spaces_give_the_rows_of_the_clean_file(tmp_path: Path) -> None:
    clean, folders = run(tmp_path, {"p-x/a.csv": PLAIN})
    expected = accepted(folders)
    body = b"\xef\xbb\xbf" + PLAIN.replace(b"customer,seen_at", b" customer ,seen_at  ", 1).replace(b"\n", b"\r\n")
    result, folders = run(tmp_path, {"p-x/a.csv": body})
    assert (result.contract_hash, result.problems) == (clean.contract_hash, ())
    assert accepted(folders) == expected


def test_f4_a_header_without_rows_is_told_and_trains_nothing(tmp_path: Path) -> None:
    result, folders = run(tmp_path, {"p-x/a.csv": PLAIN.splitlines()[0] + b"\n"})
    assert [problem.code for problem in result.problems] == ["no_rows"]
    assert (result.status, result.dataset_id) == ("rejected", None)
    assert (folders.quarantine / "report.json").exists()


def test_f5_columns_may_be_reordered_or_added_but_not_lost_or_renamed(tmp_path: Path) -> None:
    reordered = [dict(reversed(row.items())) | {"more": 1} for row in ROWS]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(reordered)})
    assert (result.status, only_problem(result, "extra_column").severity) == ("accepted", "warning")
    renamed = [{("Visits" if name == "visits" else name): cell for name, cell in row.items()} for row in ROWS]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(renamed)})
    assert result.status == "rejected"
    assert "did you mean 'Visits'?" in only_problem(result, "missing_column").message
    lost = [{name: cell for name, cell in row.items() if name != "age"} for row in ROWS]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(lost)})
    assert only_problem(result, "missing_column").column == "age"


def test_f6_a_column_that_changes_its_type_blocks_the_file_with_samples(tmp_path: Path) -> None:
    rows = [
        {**row, "spend": f"{1000 + index:,}", "seen_at": f"{index % 28 + 1:02d}/01/2024"}
        for index, row in enumerate(ROWS)
    ]
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    assert (result.status, result.rows_accepted, accepted(folders)) == ("rejected", 0, [])
    found = {problem.column: problem for problem in result.problems if problem.code == "type"}
    assert found["spend"].examples[:2] == ("1,000", "1,001")
    assert found["seen_at"].examples[0] == "01/01/2024"
    assert {problem.count for problem in found.values()} == {400}


def test_f7_odd_names_are_kept_and_a_repeated_name_is_refused(tmp_path: Path) -> None:
    names = ["😀", "proto__", "très long " + "x" * 300, 'with "quotes", commas', "'; DROP TABLE texts; --", "select"]
    columns = declared(*({"name": name, "type": "category", "nullable": True} for name in names))
    rows = [row | dict.fromkeys(names, f"v{index % 9}") for index, row in enumerate(ROWS)]
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)}, columns=columns)
    assert result.status == "accepted", result.problems
    assert {name: parts(result, folders)["train"][3][name] for name in names} == dict.fromkeys(names, "v3")
    body = PLAIN.replace(b"age,", b"plan,", 1)
    assert only_problem(run(tmp_path, {"p-x/a.csv": body})[0], "duplicate_column").column == "plan"


def test_f8_empty_labels_are_counted_and_infinite_ones_never_reach_training(tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    for index, text in enumerate(["", "NaN", "NA", "inf", "-inf", "1e999"]):
        rows[index]["spend"] = text
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)}, "regression")
    assert (result.status, result.rows_without_label, result.rows_rejected) == ("accepted", 3, 3)
    labels = [row["__label"] for rows in parts(result, folders).values() for row in rows]
    assert len(labels) == 394
    assert all(abs(label) < 10_000 for label in labels)
    empty = [{**row, "spend": "" if index < 150 else row["spend"]} for index, row in enumerate(ROWS)]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(empty)}, "regression")
    assert only_problem(result, "missing_labels").count == 150


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([{**row, "churned": 1} for row in ROWS], "single_class"),
        (ROWS[:2], "too_few_rows"),
        ([{**row, "churned": int(index == 200)} for index, row in enumerate(ROWS)], "rare_class"),
    ],
)
def test_f9_a_label_that_cannot_be_learnt_is_refused_in_words(tmp_path: Path, rows: list[Row], code: str) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(rows)})
    problem = only_problem(result, code)
    assert (result.status, problem.severity, problem.column) == ("rejected", "error", "churned")
    assert problem.remedy


def test_f10_constant_empty_and_id_like_columns_are_dropped_with_why(tmp_path: Path) -> None:
    columns = declared({"name": "id", "type": "integer"}, {"name": "ticket", "type": "category"})
    rows = [{**row, "visits": 3, "age": "", "id": index, "ticket": f"t{index}"} for index, row in enumerate(ROWS)]
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows)}, columns=columns)
    assert set(result.dropped_columns) == {"visits", "age", "id", "ticket"}
    assert not set(result.dropped_columns) & set(parts(result, folders)["train"][0])


def test_f11_repeated_rows_count_once_and_no_row_is_in_two_parts(tmp_path: Path) -> None:
    for by in ("time", "random", "entity"):
        project = make_project(training={"split": {"by": by}})
        result, folders = run_project(
            tmp_path, {"p-x/a.csv": as_csv([*ROWS, *ROWS[:100]]), "p-x/b.csv": PLAIN}, project
        )
        assert (result.status, result.duplicate_rows) == ("accepted", 500)
        entities = [row["__entity"] for rows in parts(result, folders).values() for row in rows]
        assert sorted(entities) == sorted(str(row["customer"]) for row in ROWS)


def test_f13_texts_that_all_differ_are_bounded_and_dropped_and_a_wide_file_is_refused(tmp_path: Path) -> None:
    columns = declared({"name": "notes", "type": "text"})
    rows = [{**row, "notes": f"{index} " + "words " * 2_000} for index, row in enumerate(ROWS)]
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(rows)}, columns=columns)
    assert set(result.dropped_columns) == {"notes"}
    wide = [row | {f"x{index}": "" for index in range(10_000)} for row in ROWS[:2]]
    problem = only_problem(run(tmp_path, {"p-x/a.csv": as_csv(wide)})[0], "too_wide")
    assert "10,008 columns; the limit is 5,000" in problem.message


def test_f14_bombs_nested_columns_and_corrupt_footers_are_told_and_a_wrong_extension_does_not_matter(
    tmp_path: Path,
) -> None:
    nested = pa.Table.from_pylist([{**row, "age": [1]} for row in ROWS])
    bomb = gzip.compress(PLAIN + (b"x" * 9_999 + b"\n") * 7_000)
    for body, code in (
        (bomb, "gzip_bomb"),
        (as_parquet(nested), "nested_column"),
        (as_parquet(ROWS)[:-3] + b"xyz", "corrupt_parquet"),
    ):
        result, folders = run(tmp_path, {"p-x/a.csv": body})
        assert (result.status, only_problem(result, code).file) == ("rejected", "p-x/a.csv")
        assert (folders.quarantine / "report.json").exists()
    for name, body in (("a.csv", as_parquet(ROWS)), ("a.parquet", gzip.compress(PLAIN)), ("a.gz", PLAIN)):
        result, _ = run(tmp_path, {f"p-x/{name}": body})
        assert (result.status, result.rows_accepted) == ("accepted", 400)


def test_a_mixed_drop_quarantines_each_files_rows_under_its_own_name(tmp_path: Path) -> None:
    files = {"p-x/été 1.csv": as_csv(changed(2, plan="gratis")), "p-x/b.parquet": as_parquet(changed(5, visits=-1))}
    result, folders = run(tmp_path, files)
    kept = {(row["_file"], row["_line"], *row["_reasons"]) for row in quarantined(folders)}
    assert kept == {("p-x/été 1.csv", 4, "allowed:plan"), ("p-x/b.parquet", 5, "min:visits")}
    assert result.quarantine_uri
