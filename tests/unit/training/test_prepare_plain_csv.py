"""The fast reader of plain CSV ends every row as the exact reader does, and leaves to it whatever is not plain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.training import test_prepare_properties as properties
from training.prepare import validate
from training.prepare.source import Source, open_source

NAMES = properties.NAMES
CELL = st.one_of(
    st.sampled_from(["", " ", "NA", "-1", "1e9", "é", "😀", "\u00a0", "\u2028", "\x85", "'", "#x", "\\", "\\N", "pro", " free ", "\t1"]),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters='"\r\n\0,'), max_size=8),
)  # fmt: skip
ROW = st.one_of(properties.GOOD, st.lists(CELL, min_size=8, max_size=8))


def judge_exactly(body: bytes) -> properties.Judged:
    """Judge a file by the exact reader alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            validate,
            "open_source",
            lambda *args, **names: replace(open_source(*args, **names), plain=lambda: None),
        )
        return properties.judge(body)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(ROW, min_size=1, max_size=25),
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
