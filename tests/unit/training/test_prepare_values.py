"""A cell is read as the contract's type or its row is quarantined: nothing is rounded, guessed or made empty."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, accepted, make_project, quarantined, run_project

COLUMNS = [
    {"name": "customer", "type": "category", "role": "ignored"},
    {"name": "seen_at", "type": "datetime"},
    {"name": "plan", "type": "category"},
    {"name": "visits", "type": "integer"},
    {"name": "age", "type": "number", "nullable": True},
    {"name": "churned", "type": "integer"},
    {"name": "when", "type": "datetime", "nullable": True},
    {"name": "count", "type": "integer", "nullable": True},
    {"name": "amount", "type": "number", "nullable": True},
    {"name": "member", "type": "boolean", "nullable": True},
    {"name": "code", "type": "category", "nullable": True, "max_length": 4, "pattern": "[a-zé]+"},
]
SMALL = make_project(columns=COLUMNS)


def read(tmp_path: Path, column: str, texts: list[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the typed value of each text that was accepted, and the reasons of each that was not."""
    rows = [{"when": "", "count": "", "amount": "", "member": "", "code": "", **row} for row in ROWS]
    for index, text in enumerate(texts):
        rows[index][column] = text
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, SMALL)
    assert result.rows_read == result.rows_accepted + result.rows_rejected == 400, result.problems
    by_line = {row["_line"]: row for row in accepted(folders)}
    bad = {row["_line"]: row for row in quarantined(folders)}
    typed = {text: by_line[index + 2][column] for index, text in enumerate(texts) if index + 2 in by_line}
    reasons = {text: bad[index + 2]["_reasons"] for index, text in enumerate(texts) if index + 2 in bad}
    assert not by_line.keys() & bad.keys()
    return typed, reasons


def test_moments_of_iso_8601_are_read_in_utc_with_their_offset(tmp_path: Path) -> None:
    expected = {
        "2024-03-01": datetime(2024, 3, 1),
        "2024-03-01T10:20": datetime(2024, 3, 1, 10, 20),
        "2024-03-01 10:20:30": datetime(2024, 3, 1, 10, 20, 30),
        "2024-03-01T10:20:30Z": datetime(2024, 3, 1, 10, 20, 30),
        " 2024-03-01T10:20:30Z ": datetime(2024, 3, 1, 10, 20, 30),
        "2024-03-01T10:20:30.5Z": datetime(2024, 3, 1, 10, 20, 30, 500_000),
        "2024-03-01T10:20Z": datetime(2024, 3, 1, 10, 20),
        "2024-03-01T10:20:30+02:00": datetime(2024, 3, 1, 8, 20, 30),
        "2024-03-01T10:20+0200": datetime(2024, 3, 1, 8, 20),
        "2024-03-01T23:20:30-05": datetime(2024, 3, 2, 4, 20, 30),
        "2024-02-29T00:00:00+05:30": datetime(2024, 2, 28, 18, 30),
    }
    typed, reasons = read(tmp_path, "when", list(expected))
    assert reasons == {}
    assert typed == expected


def test_dates_of_any_other_form_are_quarantined_and_never_guessed(tmp_path: Path) -> None:
    texts = ["31/01/2024", "01/02/2024", "1.2.2024", "2024-1-2", "20240131", "Jan 31 2024", "2024-02-30", "1706659200",
             "2024-01-31T25:00", "2024-01-31T10:00:00+99:00", "0000-01-01", "infinity", "epoch", "2024-01-31T10:00:00 CET",
             "2024-01-31T 1:00:00Z", "0000-01-01T10:00:00Z", "2024/01/31", "2024-13-31T10:00:00Z", "2024-01-31T10:00:60Z"]  # fmt: skip
    typed, reasons = read(tmp_path, "when", texts)
    assert typed == {}
    assert reasons == {key: ["type:when"] for key in texts}


def test_numbers_are_read_as_they_stand(tmp_path: Path) -> None:
    expected = {"1.5": 1.5, "-2": -2.0, "+3": 3.0, ".5": 0.5, "5.": 5.0, "1e3": 1000.0, " 7 ": 7.0, "1E-2": 0.01}
    typed, reasons = read(tmp_path, "amount", list(expected))
    assert (typed, reasons) == (expected, {})


def test_thousands_separators_decimal_commas_units_and_infinities_are_quarantined(tmp_path: Path) -> None:
    texts = ["1,234", "1.234,5", "1 234", "1'234", "1_234", "3,5", "5 €", "12%", "inf", "-inf", "Infinity", "1e400",
             "-nan", "0x1A", "٣", "--1", "1e", "(5)", "TRUE"]  # fmt: skip
    typed, reasons = read(tmp_path, "amount", texts)
    assert typed == {}
    assert reasons == {key: ["type:amount"] for key in texts}


def test_null_words_are_empty_and_other_spellings_are_not(tmp_path: Path) -> None:
    typed, reasons = read(tmp_path, "amount", ["", "  ", "NA", "N/A", "NULL", "null", "NaN", "nan", "none", "-", "NAN"])
    assert {text for text, value in typed.items() if value is None} == {
        "", "  ", "NA", "N/A", "NULL", "null", "NaN", "nan"
    }  # fmt: skip
    assert {"none", "-"} <= set(reasons)


def test_whole_numbers_of_64_bits_keep_every_digit(tmp_path: Path) -> None:
    expected = {
        "9007199254740993": 2**53 + 1,
        "9223372036854775807": 2**63 - 1,
        "-9223372036854775808": -(2**63),
        "15.0": 15,
        "9007199254740991.0": 2**53 - 1,
        "-15.0": -15,
        "0012": 12,
        " 12 ": 12,
        "+12": 12,
        "-0": 0,
        "1e3": 1000,
    }
    typed, reasons = read(tmp_path, "count", list(expected))
    assert (typed, reasons) == (expected, {})


def test_whole_numbers_beyond_64_bits_and_fractions_are_quarantined_not_rounded(tmp_path: Path) -> None:
    texts = ["9223372036854775808", "-9223372036854775809", "123456789012345678901234", "1.5", "9007199254740993.5",
             "1e300", "1,000", "1_000", "0b11", "0x1F", "15.7", "9007199254740993.0"]  # fmt: skip
    typed, reasons = read(tmp_path, "count", texts)
    assert typed == {}
    assert reasons == {key: ["type:count"] for key in texts}


def test_booleans_are_read_in_their_usual_spellings_and_no_other(tmp_path: Path) -> None:
    yes, no = ["true", "True", "TRUE", "t", "yes", "Y", "1"], ["false", "False", "F", "no", "N", "0"]
    other = ["2", "1.0", "on", "oui", "wahr", "x", "-1"]
    typed, reasons = read(tmp_path, "member", [*yes, *no, *other])
    assert typed == dict.fromkeys(yes, True) | dict.fromkeys(no, False)
    assert reasons == {key: ["type:member"] for key in other}


def test_lengths_are_counted_in_characters_and_patterns_match_whole_cells(tmp_path: Path) -> None:
    typed, reasons = read(tmp_path, "code", ["é", "éééé", " abc ", "abcde", "ab1", "a b", "ab\nc"])
    assert typed == {"é": "é", "éééé": "éééé", " abc ": "abc"}
    assert reasons == {
        "abcde": ["max_length:code"],
        "ab1": ["pattern:code"],
        "a b": ["pattern:code"],
        "ab\nc": ["pattern:code"],
    }


def test_all_reasons_of_a_row_are_told_together(tmp_path: Path) -> None:
    rows = [{"when": "", "count": "", "amount": "", "member": "", "code": "", **row} for row in ROWS]
    rows[3] |= {"visits": "many", "when": "soon", "amount": "1,5", "member": "perhaps", "code": "ABCDE", "churned": ""}
    _, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, SMALL)
    (row,) = quarantined(folders)
    assert set(row["_reasons"]) == {
        "type:visits", "type:when", "type:amount", "type:member", "max_length:code", "pattern:code", "null:churned"
    }  # fmt: skip
