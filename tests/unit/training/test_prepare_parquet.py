"""Parquet keeps its values: types, time zones, bytes and undeclared columns, or the file is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, accepted, as_parquet, make_project, only_problem, quarantined, run

TABLE = pa.Table.from_pylist([{key: None if value == "" else value for key, value in row.items()} for row in ROWS])


def replaced(name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    """Return the table with the first cells of a column replaced."""
    whole = [*values, *TABLE[name].to_pylist()[len(values) :]]
    return TABLE.set_column(TABLE.column_names.index(name), name, pa.array(whole, kind))


def test_parquet_gives_the_typed_rows_of_the_same_csv(tmp_path: Path) -> None:
    _, of_csv = run(tmp_path / "csv", {"p-x/a.csv": as_csv(ROWS)})
    result, folders = run(tmp_path / "parquet", {"p-x/a.parquet": as_parquet(ROWS)})
    assert (result.status, result.problems) == ("accepted", ())
    assert [{**row, "_line": row["_line"] + 2} for row in accepted(folders)] == accepted(of_csv)


@pytest.mark.parametrize(
    ("kind", "nested"),
    [
        (pa.struct([("a", pa.int64())]), {"a": 1}),
        (pa.list_(pa.int64()), [1]),
        (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    ],
    ids=["struct", "list", "map"],
)
@pytest.mark.parametrize("name", ["visits", "undeclared"])
def test_a_nested_column_is_refused_with_its_name_and_the_remedy(
    tmp_path: Path, kind: pa.DataType, nested: Any, name: str
) -> None:
    table = TABLE.drop_columns([name]) if name in TABLE.column_names else TABLE
    table = table.append_column(name, pa.array([nested] * 400, kind))
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    problem = only_problem(result, "nested_column")
    assert (result.status, problem.file, problem.column) == ("rejected", "p-x/a.parquet", name)
    assert "Flatten it" in problem.remedy


def test_binary_that_is_text_is_read_and_binary_that_is_not_is_quarantined_undamaged(tmp_path: Path) -> None:
    names = [f"c{index}".encode() for index in range(400)]
    names[3], names[4] = "Zoë".encode(), b"a\xff\xfeb"
    result, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(replaced("customer", names, pa.binary()))})
    assert accepted(folders)[3]["customer"] == "Zoë"
    (row,) = quarantined(folders)
    assert (row["_line"], row["_reasons"], row["customer"]) == (4, ["encoding:customer"], "a\\xff\\xfeb")
    problem = only_problem(result, "encoding")
    assert (problem.row, problem.column) == (4, "customer")


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}], ids=["dictionary", "plain"])
def test_a_column_that_is_said_to_be_text_and_is_not_is_quarantined_undamaged(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    names = ["Jos\u00e9!", *(f"c{index}" for index in range(1, 400))]
    body = as_parquet(replaced("customer", names), compression="none", **options)
    result, folders = run(tmp_path, {"p-x/a.parquet": body.replace("\u00e9!".encode(), b"\xe9!!")})
    (row,) = quarantined(folders)
    assert (result.status, row["_line"], row["_reasons"]) == ("accepted", 0, ["encoding:customer"])
    assert (row["customer"], json.loads(row["_raw"])["customer"]) == ("Jos\\xe9!!", "Jos\\xe9!!")


def test_undeclared_binary_is_ignored_whatever_it_holds(tmp_path: Path) -> None:
    table = TABLE.append_column("photo", pa.array([b"\xff\x00"] * 400, pa.binary()))
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    assert (result.status, result.rows_accepted) == ("accepted", 400)


def test_large_undeclared_columns_cost_nothing_but_are_kept_in_rejected_rows(tmp_path: Path) -> None:
    photo = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), ["x" * 3_000_000])
    table = replaced("plan", ["gratis"]).append_column("photo", photo)
    result, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    assert (result.status, result.rows_accepted) == ("accepted", 399)
    assert len(json.loads(quarantined(folders)[0]["_raw"])["photo"]) == 3_000_000


def test_names_with_dots_and_other_accents_are_found(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns += [{"name": "a.b", "type": "category"}, {"name": "caf\u00e9", "type": "category"}]
    table = TABLE.append_column("cafe\u0301", pa.array(["c"] * 400)).append_column("a.b", pa.array(["d"] * 400))
    result, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(table)}, columns=columns)
    assert result.status == "accepted", result.problems
    assert {(row["a.b"], row["caf\u00e9"]) for row in accepted(folders)} == {("d", "c")}


def test_damage_in_an_undeclared_column_is_told_when_a_rejected_row_needs_it(tmp_path: Path) -> None:
    table = replaced("plan", ["gratis"]).append_column("note", pa.array([f"note {i}" for i in range(400)]))
    body = as_parquet(table, compression="zstd", use_dictionary=False)
    at = body.rindex(b"\x28\xb5\x2f\xfd")
    result, _ = run(tmp_path, {"p-x/a.parquet": body[: at + 8] + bytes(200) + body[at + 208 :]})
    assert (result.status, result.problems[0].code) == ("rejected", "corrupt_parquet")


def test_rejected_rows_are_kept_whole_with_undeclared_columns_and_their_row_numbers(tmp_path: Path) -> None:
    table = replaced("plan", ["gratis", "pro", " gratis "]).append_column(
        "note", pa.array([f"n{i}" for i in range(400)])
    )
    table = table.append_column("seen", pa.array([date(2024, 1, 1)] * 400)).append_column(
        "x", pa.array([b"\xff"] * 400)
    )
    body = as_parquet(pa.concat_tables([table] * 60), row_group_size=5000)
    _, folders = run(tmp_path, {"p-x/a.parquet": body})
    kept = quarantined(folders)
    assert [row["_line"] for row in kept] == [n for copy in range(60) for n in (400 * copy, 400 * copy + 2)]
    assert kept[1]["plan"] == " gratis "
    raw = json.loads(kept[1]["_raw"])
    assert (raw["plan"], raw["note"], raw["seen"], raw["x"]) == (" gratis ", "n2", "2024-01-01", "\\xff")
    assert raw["visits"] == ROWS[2]["visits"]


def test_times_with_a_zone_become_utc_and_times_without_stay(tmp_path: Path) -> None:
    moments = [datetime(2024, 1, 1, 12, index % 60, tzinfo=UTC) for index in range(400)]
    for kind in (pa.timestamp("us", "America/New_York"), pa.timestamp("ns", "UTC"), pa.timestamp("ms")):
        _, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(replaced("seen_at", moments, kind))})
        assert accepted(folders)[5]["seen_at"] == datetime(2024, 1, 1, 12, 5)
    east = timezone(timedelta(hours=5, minutes=30))
    texts = [moment.astimezone(east).isoformat() for moment in moments]
    _, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(replaced("seen_at", texts))})
    assert accepted(folders)[5]["seen_at"] == datetime(2024, 1, 1, 12, 5)


def test_times_that_no_calendar_has_are_quarantined(tmp_path: Path) -> None:
    seconds = [10**15, *([1_700_000_000] * 399)]
    _, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(replaced("seen_at", seconds, pa.timestamp("ms")))})
    (row,) = quarantined(folders)
    assert (row["_line"], row["_reasons"]) == (0, ["type:seen_at"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], pa.uint8()),
        ([1.0, 2.0, 3.0], pa.float32()),
        ([1.0, 2.0, 3.0], pa.float16()),
        ([Decimal("1.00"), Decimal("2.00"), Decimal("3.00")], pa.decimal128(10, 2)),
        (["1", "2", "3"], pa.large_string()),
        (["1", "2", "3"], pa.string_view()),
    ],
    ids=str,
)
def test_whole_numbers_are_read_from_any_type_that_holds_them(
    tmp_path: Path, values: list[Any], kind: pa.DataType
) -> None:
    column = pa.array([values[index % 3] for index in range(400)], kind)
    table = TABLE.set_column(TABLE.column_names.index("visits"), "visits", column)
    _, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    assert [row["visits"] for row in accepted(folders)[:3]] == [1, 2, 3]


def test_dictionaries_are_decoded_and_checked_as_their_texts(tmp_path: Path) -> None:
    plans = pa.array(["gratis", *(row["plan"] for row in ROWS[1:])]).dictionary_encode()
    table = TABLE.set_column(TABLE.column_names.index("plan"), "plan", plans)
    result, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    assert [row["_reasons"] for row in quarantined(folders)] == [["allowed:plan"]]
    assert accepted(folders)[0]["plan"] == ROWS[1]["plan"]
    assert only_problem(result, "allowed").row == 0


def test_nan_is_missing_and_infinity_is_refused(tmp_path: Path) -> None:
    table = replaced("age", [float("nan"), float("inf"), float("-inf"), 40.0])
    _, folders = run(tmp_path, {"p-x/a.parquet": as_parquet(table)})
    assert accepted(folders)[0]["age"] is None
    assert [(row["_line"], row["_reasons"]) for row in quarantined(folders)] == [(1, ["type:age"]), (2, ["type:age"])]


@pytest.mark.parametrize("cut", [10, 1_000, -1, -8])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(TABLE)[:cut]})
    assert (result.status, [problem.code for problem in result.problems]) == ("rejected", ["corrupt_parquet"])


def test_damaged_pages_are_refused_and_no_row_of_them_is_accepted(tmp_path: Path) -> None:
    body = bytearray(as_parquet(TABLE, compression="zstd"))
    body[40:2_000] = bytes(1_960)
    result, folders = run(tmp_path, {"p-x/a.parquet": bytes(body)})
    assert (result.status, result.rows_accepted) == ("rejected", 0)
    assert only_problem(result, "corrupt_parquet").file == "p-x/a.parquet"
    assert not list(folders.curated.glob("files/*"))


def test_parquet_is_known_by_its_content_and_required_where_the_contract_says_so(tmp_path: Path) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": as_parquet(TABLE)})
    assert (result.status, result.files[0].format) == ("accepted", "parquet")
    result, _ = run(tmp_path, {"p-x/a.parquet": as_csv(ROWS)}, format="parquet")
    assert [problem.code for problem in result.problems] == ["not_parquet"]


def test_no_rows_and_missing_columns_are_told(tmp_path: Path) -> None:
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(TABLE.slice(0, 0))})
    assert [problem.code for problem in result.problems] == ["no_rows"]
    result, _ = run(tmp_path, {"p-x/a.parquet": as_parquet(TABLE.drop_columns(["age"]))})
    assert only_problem(result, "missing_column").column == "age"


def test_a_footer_whose_names_are_no_text_is_refused(tmp_path: Path) -> None:
    body = as_parquet(TABLE).replace(b"customer", b"custom\xea\xff")
    result, _ = run(tmp_path, {"p-x/a.parquet": body})
    assert (result.status, [problem.code for problem in result.problems]) == ("rejected", ["corrupt_parquet"])
