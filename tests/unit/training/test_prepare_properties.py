"""For any table and any bytes: each row ends once, accepted or in quarantine, and whatever is wrong is told whole."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from passerelle.contracts.container import DropFile, FileOutcome
from passerelle.domain.contract.compiled import compile_contract
from passerelle.domain.contract.faults import FAULTS_OF_ROWS
from tests.e2e.projects import as_csv
from tests.unit.training.prepared import ROWS, as_parquet, make_project
from training.prepare.validate import validate_file

KEY = "p-x/any file é.csv"
COLUMNS = [
    {"name": "customer", "type": "category", "role": "ignored", "max_length": 20},
    {"name": "seen_at", "type": "datetime"},
    {"name": "plan", "type": "category", "allowed": ["free", "basic", "pro"]},
    {"name": "visits", "type": "integer", "min": 0, "max": 1000},
    {"name": "age", "type": "number", "nullable": True},
    {"name": "churned", "type": "integer", "nullable": True},
    {"name": "member", "type": "boolean", "nullable": True},
    {"name": "code", "type": "text", "nullable": True, "pattern": r"[\pL\d ]*"},
]
NAMES = [column["name"] for column in COLUMNS]
ALL_PASS = {"rejected_rows": 1.0, "missing_labels": 1.0}
FAST = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_WORDS = ["", " ", "NA", "NaN", "inf", "-1", "1e9", "1,5", "1_0", "é", "😀", "\u00a0", '"', "a,b", "a\nb", "a\r\nb", "\r", "\0",
          "pro", "free ", "TRUE", "no", "2024-01-01", "2024-01-01T10:00+02:00", "9" * 25, "=1+1", "__proto__"]  # fmt: skip
CELL = st.one_of(
    st.sampled_from(_WORDS),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
)
GOOD = st.sampled_from([[str(row.get(name, "")) for name in NAMES] for row in ROWS])
ROW = st.one_of(GOOD, st.tuples(GOOD, st.integers(0, 7), CELL).map(lambda t: [*t[0][: t[1]], t[2], *t[0][t[1] + 1 :]]),
                st.lists(CELL, min_size=8, max_size=8))  # fmt: skip
TABLE = st.lists(ROW, min_size=1, max_size=25)


@dataclass(frozen=True)
class Judged:
    outcome: FileOutcome
    good: list[dict[str, Any]]
    bad: list[dict[str, Any]]


def judge(body: bytes, **data: Any) -> Judged:
    """Validate one file; a rejected one has no accepted rows."""
    project = make_project(**{"columns": COLUMNS, "thresholds": ALL_PASS} | data)
    file = DropFile(bucket="raw", key=KEY, version_id=None, size=len(body), sha256="0" * 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(body)
        found = validate_file(path, file, project, compile_contract(project), work=Path(folder) / "work")
        good = pq.read_table(found.good).to_pylist() if found.good and found.outcome.status == "accepted" else []
        bad = pq.read_table(found.quarantined).to_pylist() if found.quarantined else []
    return Judged(found.outcome, good, bad)


def check_problems(judged: Judged, rows: set[int]) -> None:
    """Every problem names file, row, rule and remedy, and its column where it has one; every reason is a problem."""
    problems = {f"{problem.code}:{problem.column or ''}": problem for problem in judged.outcome.problems}
    reasons = Counter(reason for row in judged.bad for reason in row["_reasons"])
    assert {name: problem.count for name, problem in problems.items()} == dict(reasons)
    for name, problem in problems.items():
        first = min(row["_line"] for row in judged.bad if name in row["_reasons"])
        assert (problem.file, problem.row) == (KEY, first)
        assert problem.row in rows
        assert problem.rule
        assert problem.remedy
        assert problem.column in NAMES or problem.code in FAULTS_OF_ROWS


def as_table(rows: list[list[str]], newline: str) -> tuple[bytes, dict[int, str]]:
    """Return rows as CSV, and the text of each by its line as an editor counts them."""
    texts, body, line = {}, "", 1
    for cells in [NAMES, *rows]:
        record = io.StringIO()
        csv.writer(record, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
        texts[line] = record.getvalue()
        body += record.getvalue() + newline
        line += 1 + len(re.findall(r"\r\n|\r|\n", record.getvalue()))
    del texts[1]
    return body.encode(), texts


@FAST
@given(rows=TABLE, newline=st.sampled_from(["\n", "\r\n", "\r"]), zipped=st.booleans())
def test_every_row_of_a_csv_is_accepted_or_quarantined_once_at_the_line_an_editor_shows(
    rows: list[list[str]], newline: str, zipped: bool
) -> None:
    body, texts = as_table(rows, newline)
    judged = judge(gzip.compress(body) if zipped else body)
    ended = Counter(row["_line"] for row in [*judged.good, *judged.bad])
    assert ended == Counter(texts.keys())
    assert (judged.outcome.rows_read, judged.outcome.rows_rejected) == (len(rows), len(judged.bad))
    by_line = dict(zip(texts, rows, strict=True))
    for row in judged.bad:
        assert row["_reasons"]
        assert row["_raw"] == texts[row["_line"]]
        assert [row[name] for name in NAMES] == by_line[row["_line"]]
    for row in judged.good:
        cells = by_line[row["_line"]]
        assert row["customer"] == cells[0].strip(" \t\n\r\v\f")
        assert row["visits"] == float(cells[3])
    check_problems(judged, set(texts))


@FAST
@given(rows=TABLE)
@example(rows=[["c", "2024-01-01", "pro", "1", "", "", "", "\0"]])
def test_the_same_table_ends_the_same_in_every_format(rows: list[list[str]]) -> None:
    documents = [dict(zip(NAMES, cells, strict=True)) for cells in rows]
    body, texts = as_table(rows, "\n")
    lines = "\n".join(json.dumps(document) for document in documents)
    parquet = as_parquet([{key: value or None for key, value in document.items()} for document in documents])
    found = [judge(body), judge(lines.encode(), format="jsonl"), judge(parquet)]
    orders = [list(texts), list(range(1, len(rows) + 1)), list(range(len(rows)))]
    ends = []
    for judged, order in zip(found, orders, strict=True):
        place = {line: index for index, line in enumerate(order)}
        good = {place[row.pop("_line")]: row for row in judged.good}
        bad = {place[row["_line"]]: sorted(row["_reasons"]) for row in judged.bad}
        assert sorted([*good, *bad]) == list(range(len(rows)))
        ends.append((good, bad))
    assert ends[0] == ends[1]
    assert ends[0] == ends[2]


_PIECES = st.lists(
    st.one_of(
        st.sampled_from(as_csv(ROWS[:6]).splitlines(keepends=True)),
        st.sampled_from(
            [
                b"\n",
                b"\r",
                b'"',
                b",",
                b"\x00",
                b"\xff\xfe",
                b"\xef\xbb\xbf",
                b"\xe9",
                b"{}",
                b'{"customer": 1}\n',
                b"[",
                b'{"customer": {"a": 1}}\n',
                b"PAR1",
                b"\x1f\x8b",
            ]
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
).map(b"".join)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=_PIECES,
    whole_header=st.booleans(),
    form=st.sampled_from(["csv", "jsonl", "parquet"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
def test_any_bytes_are_judged_and_never_raise(body: bytes, whole_header: bool, form: str, encoding: str) -> None:
    head = ",".join(NAMES).encode() + b"\n" if whole_header else b""
    judged = judge(head + body, format=form, csv={"encoding": encoding})
    outcome = judged.outcome
    assert outcome.rows_read == outcome.rows_accepted + outcome.rows_rejected
    assert len(judged.good) == outcome.rows_accepted
    if outcome.status == "rejected":
        assert outcome.rows_accepted == 0
        assert any(problem.severity == "error" for problem in outcome.problems)
    assert all(problem.file == KEY and problem.remedy and problem.rule for problem in outcome.problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6))
def test_damaged_parquet_is_judged_and_never_raises(places: list[tuple[int, bytes]]) -> None:
    rows = [{name: str(row.get(name, "")) for name in NAMES} for row in ROWS[:60]]
    body = bytearray(as_parquet(rows))
    for place, piece in places:
        start = place % len(body)
        body[start : start + len(piece)] = piece
    judged = judge(bytes(body), format="parquet")
    assert judged.outcome.rows_read == judged.outcome.rows_accepted + judged.outcome.rows_rejected
    assert len(judged.good) == judged.outcome.rows_accepted
