"""A verdict that people read: in one sentence, in a table, in pictures, in a frame."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.prediction import SCORE
from passerelle.domain.drift.bars import bars
from passerelle.domain.drift.frames import to_pandas
from passerelle.domain.drift.judged import judge
from passerelle.domain.drift.page import Heading, drift_page, verdict
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import make_reference

TYPES: dict[str, ColumnType] = {"amount": "number", "origin": "category", "at": "datetime", SCORE: "number"}
HEADING = Heading(project="flights", window="2013-07-01", model="run r1")


def rows(n: int = 1_000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(10, 2, n),
        "origin": np.array(["EWR", "JFK", "LGA"], object)[rng.integers(0, 3, n)],
        "at": np.full(n, np.datetime64("2013-07-01")),
        SCORE: rng.beta(2, 5, n),
    }


REFERENCE = make_reference(rows(5_000, 1), TYPES, ["amount", "origin"])


class Parsed(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br", "rect"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "br", "rect"):
            assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(changed: dict[str, Any]) -> tuple[str, str]:
    window = count(REFERENCE.layout, rows() | changed)
    drift = judge(REFERENCE, window)
    return drift_page(HEADING, drift, REFERENCE, window), verdict(drift)


def test_a_quiet_window_says_so_in_one_sentence() -> None:
    page, sentence = page_of({})
    assert sentence == "Nothing alarms: the rows are like the training data."
    assert sentence in page


def test_the_gravest_alarm_is_the_verdict_and_others_are_counted() -> None:
    amount = np.append(np.full(500, np.nan), rows()["amount"][500:])
    _, sentence = page_of({"amount": amount, "origin": np.full(1_000, "JFK", object)})
    assert sentence.startswith(("amount: 50.0% of rows without a value", "origin: "))
    assert sentence.endswith("(major). 1 more alarm.") or "more alarms." in sentence


def test_the_models_score_is_called_what_it_is() -> None:
    page, sentence = page_of({SCORE: np.random.default_rng(1).beta(5, 2, 1_000)})
    assert sentence.startswith("the model's score: ")
    assert SCORE not in "".join(Parsed(page).texts)


def test_the_page_is_whole_needs_nothing_from_elsewhere_and_has_a_picture_of_each_column() -> None:
    page, _ = page_of({"amount": rows()["amount"] + 5})
    assert Parsed(page).opened == []
    assert page.count("<svg") == 3
    assert not any(word in page for word in ("<script", "http://", "https://", "@import", "url("))


def test_what_data_brings_along_is_shown_and_never_run() -> None:
    page, _ = page_of({"origin": np.full(1_000, "<script>alert('x')</script>", object)})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_window_without_rows_has_a_page_too() -> None:
    window = count(REFERENCE.layout, {})
    drift = judge(REFERENCE, window)
    assert verdict(drift) == "No rows came: there is nothing to compare."
    assert Parsed(drift_page(HEADING, drift, REFERENCE, window)).opened == []


def test_bars_tell_their_shares_to_who_cannot_see_them() -> None:
    window = count(REFERENCE.layout, rows())
    name = "origin"
    found = bars(REFERENCE.layout.columns[name], window.columns[name], REFERENCE.profile.columns[name])
    share = float(np.mean(rows()["origin"] == "JFK"))
    assert f"JFK: {share:.1%}" in found
    assert "all others: 0.0%" in found


@pytest.mark.parametrize("values", [[], [5.0] * 40, list(range(100)), [1e300, -1e300] * 20])
def test_any_column_of_numbers_has_a_picture_or_none(values: list[float]) -> None:
    reference = make_reference({"x": values}, {"x": "number"})
    found = bars(reference.layout.columns["x"], reference.profile.columns["x"], reference.profile.columns["x"])
    assert bool(found) == bool(values)
    assert "nan" not in found


def test_signals_make_a_frame() -> None:
    drift = judge(REFERENCE, count(REFERENCE.layout, rows() | {"amount": rows()["amount"] + 5}))
    frame = to_pandas(drift)
    assert len(frame) == len(drift.signals)
    assert list(frame.loc[frame["alarm"], "column"])[:1] == ["amount"]
    assert {"effect_value", "effect_lower", "effect_upper", "severity", "words"} <= set(frame.columns)
