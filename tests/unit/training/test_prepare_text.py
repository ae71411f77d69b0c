"""Text files: encodings, line ends, quotes, delimiters and headers are read as an editor shows them, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from passerelle.contracts.container import PrepareResult, Problem
from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, accepted, make_project, only_problem, quarantined, run, run_project

PLAIN = as_csv(ROWS)


def refused(result: PrepareResult, code: str) -> Problem:
    """Return why the only file was refused; the reason always names file, rule and remedy."""
    assert [file.status for file in result.files] == ["rejected"]
    assert (result.status, result.rows_accepted) == ("rejected", 0)
    problem = only_problem(result, code)
    assert problem.file == "p-x/a.csv"
    assert problem.rule
    assert problem.remedy
    return problem


def with_customer(name: str, row: int = 4) -> list[dict[str, object]]:
    return [{**item, "customer": name} if index == row else item for index, item in enumerate(ROWS)]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"], ids=["little", "big"])
def test_declared_utf16_is_read_in_both_byte_orders(tmp_path: Path, mark: bytes) -> None:
    codec = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    body = mark + as_csv(with_customer("Zoë 😀")).decode().encode(codec)
    result, folders = run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": "utf-16"})
    assert (result.status, result.rows_accepted) == ("accepted", 400), result.problems
    assert accepted(folders)[4]["customer"] == "Zoë 😀"


@pytest.mark.parametrize(
    ("body", "declared", "says"),
    [
        (PLAIN.decode().encode("utf-16"), "utf-8", "is UTF-16"),
        (PLAIN.decode().encode("utf-16"), "latin-1", "is UTF-16"),
        (PLAIN.decode().encode("utf-16-le"), "utf-8", "NUL bytes"),
        (PLAIN.decode().encode("utf-32"), "utf-8", "is UTF-32"),
        (PLAIN, "utf-16", "does not begin with UTF-16's byte order mark"),
    ],
    ids=["marked", "marked-latin", "unmarked", "utf-32", "not-utf-16"],
)
def test_another_encoding_than_the_declared_one_is_refused_from_the_first_bytes(
    tmp_path: Path, body: bytes, declared: str, says: str
) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": declared})
    assert says in refused(result, "wrong_encoding").message


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_latin1_byte_in_a_utf8_file_is_refused_with_its_line_whatever_the_line_ends(
    tmp_path: Path, newline: str
) -> None:
    body = as_csv(with_customer("José", row=310), newline=newline).replace("é".encode(), b"\xe9")
    problem = refused(run(tmp_path, {"p-x/a.csv": body})[0], "wrong_encoding")
    assert problem.row == 312
    assert "byte 0xe9 that is not utf-8" in problem.message
    assert "latin-1" in problem.remedy


@pytest.mark.parametrize(("mark", "codec"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_a_bad_utf16_unit_is_refused_with_its_line(tmp_path: Path, mark: bytes, codec: str) -> None:
    text = as_csv(with_customer("@@", row=20)).decode().encode(codec)
    half = "\ud800".encode(codec, "surrogatepass")
    body = mark + text.replace("@@".encode(codec), 2 * half)
    problem = refused(run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": "utf-16"})[0], "wrong_encoding")
    assert problem.row == 22


def test_declared_latin1_is_read_as_such(tmp_path: Path) -> None:
    body = as_csv(with_customer("José")).decode().encode("latin-1")
    result, folders = run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": "latin-1"})
    assert result.status == "accepted"
    assert accepted(folders)[4]["customer"] == "José"


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [("José", "utf-8", "line 6 is UTF-8 (it reads 'é')"), ("10 €", "cp1252", "line 6 has a control character")],
)
def test_declared_latin1_never_turns_other_encodings_into_wrong_letters(
    tmp_path: Path, name: str, codec: str, says: str
) -> None:
    body = as_csv(with_customer(name)).decode().encode(codec)
    problem = refused(run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": "latin-1"})[0], "wrong_encoding")
    assert says in problem.message
    assert (problem.row, "utf-8" in problem.remedy) == (6, True)


def test_a_utf8_byte_order_mark_outweighs_a_declared_latin1(tmp_path: Path) -> None:
    body = b"\xef\xbb\xbf" + as_csv(with_customer("José"))
    result, folders = run(tmp_path, {"p-x/a.csv": body}, csv={"encoding": "latin-1"})
    assert result.files[0].encoding == "utf-8"
    assert accepted(folders)[4]["customer"] == "José"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_quoted_line_ends_stay_in_their_cell_and_count_as_lines(tmp_path: Path, newline: str) -> None:
    rows = with_customer(f"two{newline}lines", row=2)
    rows[10] = {**rows[10], "plan": "gratis"}
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(rows, newline=newline)})
    assert (result.status, result.rows_accepted) == ("accepted", 399)
    assert accepted(folders)[2]["customer"] == f"two{newline}lines"
    assert quarantined(folders)[0]["_line"] == 13


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines[8] = lines[8].replace(b"free", b"gratis").replace(b"basic", b"gratis").replace(b"pro", b"gratis")
    body = b"\n\n" + b"\n".join([*lines[:5], b"", *lines[5:]]) + b"\n\n"
    result, folders = run(tmp_path, {"p-x/a.csv": body})
    assert (result.rows_read, result.rows_rejected) == (400, 1)
    assert quarantined(folders)[0]["_line"] == 12


@pytest.mark.parametrize("actual", [";", "\t", "|", ","])
def test_a_wrong_delimiter_is_named_with_the_setting_that_would_read_it(tmp_path: Path, actual: str) -> None:
    declared = "|" if actual == "," else ","
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(ROWS, delimiter=actual)}, csv={"delimiter": declared})
    problem = refused(result, "wrong_delimiter")
    assert problem.row == 1
    assert f"separated by {actual!r}" in problem.message
    assert "data.csv.delimiter" in problem.remedy


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_declared_delimiter_is_read(tmp_path: Path, delimiter: str) -> None:
    body = as_csv(with_customer("a,b"), delimiter=delimiter)
    result, folders = run(tmp_path, {"p-x/a.csv": body}, csv={"delimiter": delimiter})
    assert result.rows_accepted == 400
    assert accepted(folders)[4]["customer"] == "a,b"


def test_a_nul_character_in_a_declared_cell_quarantines_its_row(tmp_path: Path) -> None:
    result, folders = run(tmp_path, {"p-x/a.csv": as_csv(with_customer("a\0b"))})
    assert result.rows_accepted == 399
    (row,) = quarantined(folders)
    assert (row["_line"], row["_reasons"], row["customer"]) == (6, ["nul:customer"], "a\0b")
    assert only_problem(result, "nul").column == "customer"


def test_a_ragged_row_is_kept_whole_with_its_line(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines[3] += b",more"
    lines[5] = b'only,"two, fields"'
    result, folders = run(tmp_path, {"p-x/a.csv": b"\n".join(lines)})
    kept = quarantined(folders)
    assert [(row["_line"], row["_reasons"]) for row in kept] == [(4, ["ragged_row:"]), (6, ["ragged_row:"])]
    assert [row["_raw"] for row in kept] == [lines[3].decode(), lines[5].decode()]
    assert {row["_file"] for row in kept} == {"p-x/a.csv"}
    problem = only_problem(result, "ragged_row")
    assert (problem.row, problem.count, problem.examples[1]) == (4, 2, lines[5].decode())


def test_an_open_quote_refuses_the_file_with_the_line_that_opens_it(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines[7] = b'"' + lines[7]
    problem = refused(run(tmp_path, {"p-x/a.csv": b"\n".join(lines)})[0], "malformed_csv")
    assert problem.row == 8


def test_a_rejected_row_is_kept_as_it_came_with_spaces_and_undeclared_columns(tmp_path: Path) -> None:
    rows = [{**row, "note": f"n{index}  "} for index, row in enumerate(ROWS)]
    rows[6] |= {"customer": "  c6", "plan": "  gratis ", "visits": " 1,5"}
    body = as_csv(rows)
    result, folders = run(tmp_path, {"p-x/a.csv": body})
    (row,) = quarantined(folders)
    assert row["_raw"] == body.decode().splitlines()[7]
    assert (row["plan"], row["visits"]) == ("  gratis ", " 1,5")
    assert sorted(row["_reasons"]) == ["allowed:plan", "type:visits"]
    assert row["_raw"].startswith("  c6,")
    assert row["_raw"].endswith(",n6  ")
    assert only_problem(result, "extra_column").severity == "warning"


def test_undeclared_columns_refuse_the_file_where_the_contract_says_so(tmp_path: Path) -> None:
    rows = [{**row, "note": "x"} for row in ROWS]
    problem = refused(run(tmp_path, {"p-x/a.csv": as_csv(rows)}, extra_columns="reject")[0], "extra_column")
    assert (problem.column, problem.row, problem.severity) == ("note", 1, "error")


def test_a_duplicate_name_in_the_header_refuses_the_file(tmp_path: Path) -> None:
    body = PLAIN.replace(b"plan,visits", b"visits,visits", 1)
    result, _ = run(tmp_path, {"p-x/a.csv": body})
    assert refused(result, "duplicate_column").column == "visits"
    assert "did you mean" not in only_problem(result, "missing_column").message


def test_a_header_with_spaces_and_accents_in_either_unicode_form_matches(tmp_path: Path) -> None:
    columns = [{"name": "prénom du client", "type": "category", "nullable": True}]
    rows = [{**row, "pre\u0301nom du client": "Zoë"} for row in ROWS]
    body = as_csv(rows).replace("pre\u0301nom du client".encode(), "  pre\u0301nom du client ".encode(), 1)
    declared = make_project().model_dump(mode="json")["data"]["columns"]
    result, folders = run_project(tmp_path, {"p-x/a.csv": body}, make_project(columns=[*declared, *columns]))
    assert result.rows_accepted == 400, result.problems
    assert accepted(folders)[0]["prénom du client"] == "Zoë"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"PK\x03\x04" + b"x" * 100, "zip_file"),
        (b"BZh9" + b"x" * 100, "other_compression"),
        (b"\xfd7zXZ\x00" + b"x" * 100, "other_compression"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "other_compression"),
        (b'{"customer": 1}\n', "not_csv"),
        (gzip.compress(b"PAR1" + b"x" * 100), "zipped_parquet"),
        (gzip.compress(PLAIN)[:-30], "corrupt_gzip"),
        (b"\x1f\x8b" + b"x" * 100, "corrupt_gzip"),
        (gzip.compress(gzip.compress(PLAIN)), "wrong_encoding"),
        (b"\n\n", "empty_file"),
        (b"", "empty_file"),
    ],
    # Archives carry the time they were made at, which must not come into a test's name.
    ids=["zip", "bzip2", "xz", "zstd", "json", "parquet", "cut", "no_gzip", "twice", "blank", "empty"],
)
def test_what_is_no_csv_is_refused_by_its_content_whatever_its_name(tmp_path: Path, body: bytes, code: str) -> None:
    refused(run(tmp_path, {"p-x/a.csv": body})[0], code)
