"""The fast reader of plain CSV ends every row as the exact reader does, and leaves to it whatever is not plain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from passerelle.domain.project import Column
from tests.unit.training import test_prepare_properties as properties
from training.prepare import validate
from training.prepare.plain_cells import PlainCells
from training.prepare.source import Source, open_source

NAMES = properties.NAMES
CELL = st.one_of(
    st.sampled_from(["", " ", "NA", "-1", "1e9", "é", "😀", "\u00a0", "\u2028", "\x85", "'", "#x", "\\", "\\N", "pro", " free ", "\t1"]),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters='"\r\n\0,'), max_size=8),
)  # fmt: skip
ODD = st.sampled_from(["", " 1", "1 ", "+1", "-0", "007", "1e2", "15.0", "15.7", "1_0", "0x1F", "0b1", "9" * 15, "9" * 16, "-" + "9" * 15, "inf",
                       "nan", "NAN", " NA", "1e400", ".5", "--1", "2024-02-30", "2024-01-01T24:00:00Z", "2024-01-01 10:00:00", "0000-01-01",
                       "2024-01-01T10:00:00+02:00", "2024-01-01T10:00", "2024-1-01", "2024-01-01T1 :00:00Z", "epoch", "free ", "\x0bpro", "a b"])  # fmt: skip
ROW = st.one_of(
    properties.GOOD,
    st.tuples(properties.GOOD, st.integers(0, 7), ODD).map(lambda t: [*t[0][: t[1]], t[2], *t[0][t[1] + 1 :]]),
    st.lists(CELL, min_size=8, max_size=8),
)


def judge_exactly(body: bytes) -> properties.Judged:
    """Judge a file by the exact reader alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            validate,
            "open_source",
            lambda *args, **names: replace(open_source(*args, **names), plain=lambda: None),
        )
        return properties.judge(body)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.one_of(properties.GOOD, ROW), min_size=1, max_size=25),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    bom=st.booleans(),
)
@example(rows=[["", *["x"] * 7]], end="\n", last=True, bom=False)
def test_both_readers_end_every_row_the_same(rows: list[list[str]], end: str, last: bool, bom: bool) -> None:
    lines = [",".join(cells) for cells in [NAMES, *rows]]
    body = (end.join(lines) + (end if last else "")).encode("utf-8-sig" if bom else "utf-8")
    fast, exact = properties.judge(body), judge_exactly(body)
    assert (fast.good, fast.bad, fast.outcome) == (exact.good, exact.bad, exact.outcome)
    assert fast.outcome.rows_read == len(rows)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pieces=st.lists(st.one_of(
    properties.GOOD.map(lambda cells: ",".join(cells).encode() + b"\n"),
    st.sampled_from([b"\n", b"\r", b"\r\n", b'"', b",", b"\0", b"\xff", b"\xe9", b'"a\nb",', b"a,b\n", b"\xed\xa0\x80"]),
), max_size=14))  # fmt: skip
def test_damaged_files_are_judged_as_by_the_exact_reader(pieces: list[bytes]) -> None:
    body = ",".join(NAMES).encode() + b"\n" + b"".join(pieces)
    fast, exact = properties.judge(body), judge_exactly(body)
    assert (fast.good, fast.bad, fast.outcome) == (exact.good, exact.bad, exact.outcome)


GOOD_ROW = b"c,2024-01-01,pro,1,2,0,no,x"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([GOOD_ROW], 1),
        ([GOOD_ROW, GOOD_ROW + b"\r"], None),  # line ends of two kinds
        ([GOOD_ROW.replace(b"x", b'"x"')], None),
        ([GOOD_ROW, b"", GOOD_ROW], None),
        ([GOOD_ROW, b"a,b"], None),
        ([GOOD_ROW + b",y", GOOD_ROW[:-2]], None),  # as many cells in all
        ([GOOD_ROW[:-1] + b"\xe9"], None),
        ([GOOD_ROW[:-1] + b"y" * 1024**2], None),
    ],
)
def test_only_a_file_whose_lines_are_rows_is_plain(
    monkeypatch: pytest.MonkeyPatch, rows: list[bytes], expected: int | None
) -> None:
    asked: list[str] = []

    def opened(*args: Any, **names: Any) -> Source:
        source = open_source(*args, **names)
        return replace(source, batches=lambda: asked.append("exact reader") or source.batches())  # type: ignore[func-returns-value]

    monkeypatch.setattr(validate, "open_source", opened)
    judged = properties.judge(b"\n".join([",".join(NAMES).encode(), *rows, b""]))
    assert (None if asked else judged.outcome.rows_read or None) == expected


MOMENT = "2024-01-01T10:00:00Z"


@pytest.mark.parametrize(
    ("kind", "cells", "usual"),
    [
        ("integer", ["", "0", "-5", "007", "9" * 15], True),
        *(("integer", ["1", cell], False) for cell in ("9" * 16, "1.0", " 1", "1 ", "+1", "-", "--1", "5-", "1e3", "0x1F", "NA", "1_0")),
        ("number", ["", "1e3", "-.5", "nan", "NA", "x"], True),  # what is no number ends the reading
        *(("number", ["1", cell], False) for cell in ("1_000", " 1", "1\t", " NA ", "\x0b")),
        ("datetime", ["", MOMENT, MOMENT], True),
        ("datetime", ["2024-01-01", "2024-13-45", ""], True),  # no such day ends the reading
        ("datetime", ["2024-01-01 10:00:00"], True),
        ("datetime", ["", ""], True),
        *(
            ("datetime", [MOMENT, cell], False)
            for cell in ("2024-01-01", "0000-01-01T10:00:00Z", "2024-01-01 10:00:00Z", "2024-01-01T10:00:0 Z",
                         "2024-01-01T10:00:00z", "2024-01-01T10.00:00Z", "2024/01-01T10:00:00Z", "x", "epoch", "\xff" * 10,
                         "202:-01-01T10:00:00Z")
        ),
        ("text", ["", "a b", "é", "NA", "_"], True),
        *(("category", ["a", cell], False) for cell in (" a", "a ", "\x0ba", "a\x01", " ")),
        ("boolean", ["true"], False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_column_is_read_as_its_type_only_while_each_cell_is_of_the_usual_spelling(
    kind: str, cells: list[str], usual: bool, returns: bool, last: bool
) -> None:
    columns = [None, Column.model_validate({"name": "c", "type": kind})]
    seen = PlainCells(columns if last else columns[::-1], ",")
    end = "\r\n" if returns else "\n"
    lines = [f"a b_,{cell}{end}" if last else f"{cell},a b_{end}" for cell in cells]
    assert seen.take("".join(lines).encode(), returns) == len(cells)
    assert bool(seen.usual) == usual


def test_one_other_cell_in_any_block_leaves_a_column_to_the_rules() -> None:
    seen = PlainCells([Column.model_validate({"name": name, "type": "integer"}) for name in "ab"], ",")
    for block in (b"1,2\n", b"1,x\n3,4\n", b"5,6\n"):
        assert seen.take(block, False)
    assert seen.usual == {0}


@pytest.mark.parametrize("block", [b"1\n", b"1,2,3\n", b"1,2\n\n", b"1,2,3\n4\n", b"1\n2,3,4\n", b"\n1,2\n"])
def test_lines_of_other_widths_are_no_rows(block: bytes) -> None:
    assert PlainCells([None, None], ",").take(block, False) is None


def test_a_plain_file_is_read_as_types_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    copy = validate._copy
    monkeypatch.setattr(validate, "_copy", lambda *args: asked.append(args[1]) or copy(*args))  # type: ignore[func-returns-value]
    body = b"\n".join([",".join(NAMES).encode(), GOOD_ROW, GOOD_ROW.replace(b"pro", b""), b""])
    judged = properties.judge(body, null_values=["NA", "2", " x"])
    assert [(row["age"], row["_line"]) for row in judged.good] == [(None, 2)]
    assert "TRY_CAST" not in asked[0]
    body += GOOD_ROW.replace(b",2,", b",two,")  # an age that is no number
    judged = properties.judge(body)
    assert [row["_reasons"] for row in judged.bad] == [["null:plan"], ["type:age"]]
