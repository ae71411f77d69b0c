"""The page of a project: what is wrong first, the map, the figures, and nothing that a name could make of it."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from passerelle.contracts.runs import RunError, RunRecord
from passerelle.domain.dashboard.board import Panel
from passerelle.domain.dashboard.body import Graph, Limit, Query, Text
from passerelle.domain.dashboard.heat_map import heat_map, ranked
from passerelle.domain.dashboard.index import index_page
from passerelle.domain.dashboard.lines import Line
from passerelle.domain.dashboard.page import Around, project_page
from passerelle.domain.dashboard.trouble import troubles
from passerelle.domain.dashboard.words import ago, money, number
from tests.unit.domain.dashboard.boards import DAY, NOW, alarm, board, figure, incident, moved, window


class _Words(HTMLParser):
    """What a page says, without tags; and its tags, to see that they close."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.style = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def _words(page: str) -> str:
    found = _Words()
    found.feed(re.sub(r"<(\w+)([^<>]*)/>", r"<\1\2></\1>", page))
    assert found.open == []
    return re.sub(r"\s+", " ", " ".join(found.words))


def test_where_nothing_is_wrong_the_page_says_so_first() -> None:
    page = project_page(board())
    assert "✓ Nothing is wrong. Last looked at 8 hours ago." in _words(page)
    assert "<title>✓ flights, laptop</title>" in page


def test_what_is_wrong_comes_first_with_since_when_likely_cause_and_what_to_do() -> None:
    words = _words(
        project_page(board(incidents=[incident(), incident(cause="absent", severity="minor", words="gone")]))
    )
    assert "■ 2 things are wrong. The gravest is major, since 20 Nov 00:00 UTC (2 days ago)." in words
    first = words.index("distance: +31 % of rows above 1,200.")
    assert first < words.index("the world or the callers changed") < words.index("Look at the page of the window.")
    assert first < words.index("gone.")


def test_an_alarm_that_repeats_an_open_incident_is_not_told_twice() -> None:
    assert [one.what for one in troubles(board(incidents=[incident()], alarms=[alarm()]))] == [
        "distance: +31 % of rows above 1,200."
    ]
    found = troubles(board(incidents=[incident(cause="absent")], alarms=[alarm()]))
    assert [one.what for one in found][1] == "Alarm Drift: It rings."


def test_an_endpoint_that_does_not_answer_and_an_alarm_that_pages_are_the_gravest() -> None:
    page = alarm("passerelle-laptop-flights.errors.1a2b", told="page", since=NOW - DAY)
    found = troubles(board(incidents=[incident(severity="minor")], alarms=[page], endpoint="Failed"))
    assert [one.gravity for one in found] == ["major", "major", "minor"]
    assert {one.what.split(":")[0] for one in found[:2]} == {"Alarm Endpoint errors", "The endpoint is Failed"}


def test_a_run_that_failed_last_is_told_with_its_remedy_and_one_before_a_good_one_is_not() -> None:
    def run(status: str, **changes: object) -> RunRecord:
        return RunRecord.model_validate(
            {"project": "flights", "run_id": "r", "attempt": 1, "status": status, "created_at": NOW.isoformat(),
             "updated_at": NOW.isoformat(), **changes}
        )  # fmt: skip

    failed = run("failed", error=RunError(stage="train", message="No space left", remedy="Use a larger volume."))
    (found,) = troubles(board(runs=[run("duplicate"), failed]))
    assert (found.what, found.to_do) == ("The last run failed: No space left.", "Use a larger volume.")
    assert troubles(board(runs=[run("succeeded"), failed])) == []


def test_a_window_that_could_not_be_judged_is_wrong() -> None:
    last = window(21, status="unjudged", line="The model has no reference.")
    assert troubles(board(windows=[last]))[0].what == (
        "The last window could not be judged: The model has no reference."
    )


def test_the_map_names_column_window_share_and_severity_of_each_cell_in_words() -> None:
    text = heat_map([window(19), moved(20, "origin", 0.34, "moderate")], lambda record: f"/at/{record.start[:10]}")
    assert 'aria-label="origin, 20 Nov 00:00: 34 % of rows moved, moderate alarm">34▲</a>' in text
    assert 'href="/at/2026-11-20"' in text
    assert "distance, 20 Nov 00:00: 1 % of rows moved, no alarm" in text
    assert _words(text).count("1.23k") == 2


def test_an_alarm_of_few_rows_is_not_told_as_the_share_of_all() -> None:
    text = heat_map([moved(20, "origin", 0.004, "major")], lambda _: "/w")
    assert (
        "origin, 20 Nov 00:00: &lt;1 % of rows moved, major alarm, of a segment, of rare values or of two columns together"
        in text
    )
    assert ">■</a>" in text


def test_what_alarms_now_is_above_what_alarmed_more_often() -> None:
    often = [moved(day, "origin", 0.06, "minor") for day in range(1, 10)]
    assert ranked([*often, *(window(day) for day in (10, 11)), moved(12, "distance", 0.3, "major")])[0] == "distance"


def test_a_window_without_requests_is_no_quiet_one() -> None:
    text = heat_map([window(20, status="empty", rows=0, moved={}, line="No rows came."), window(21)])
    assert "20 Nov 00:00: empty. No rows came." in text
    assert "distance, 20 Nov 00:00: not compared" in text


def test_columns_beyond_the_first_unfold() -> None:
    many = window(21, moved={f"c{place:02}": place / 100 for place in range(30)})
    text = heat_map([many])
    assert "14 more columns that moved less" in text
    assert text.index(">c29<") < text.index('class="more"') < text.index(">c00<")


def test_figures_show_estimated_and_realised_worth_and_money() -> None:
    windows = [
        window(21, estimated={"roc_auc": figure(0.7), "value": figure(2.5)}),
        window(20, estimated={"roc_auc": figure(0.74)}, realised={"roc_auc": figure(0.72), "value": figure(2.0)},
               labelled=1_000, why="other inputs"),
    ]  # fmt: skip
    words = _words(project_page(board(windows=windows)))
    assert "roc_auc, estimated 0.7 0.68 to 0.72; 0.75 when accepted" in words
    assert "roc_auc, realised 0.72 0.7 to 0.74; 0.75 when accepted" in words
    assert "when accepted: 0.75" in words
    assert "Gain of a window 3,085 EUR estimated; 21 Nov 00:00" in words
    assert "realised, those with a label 2,000 EUR" in words
    assert "other inputs" in words


def test_what_is_not_known_of_the_models_worth_says_why() -> None:
    last = window(21, unknown={"estimated": "fewer than 100 test rows", "realised": "no labels"})
    words = _words(project_page(board(windows=[last])))
    assert "Of the last window not estimated: fewer than 100 test rows" in words
    assert "Of the last window not realised: no labels" in words


def test_a_graph_tells_each_moments_values_and_a_gap_is_no_line() -> None:
    points = tuple((NOW - timedelta(hours=hours), float(hours)) for hours in (9, 8, 3, 2))
    graph = Graph(
        title="Requests", queries=(Query(id="a", stat="Sum", period=3_600),), limits=(Limit(value=20, label="most"),)
    )
    panel = Panel(widget=graph, start=NOW - DAY, end=NOW, lines=[Line(label="champion", points=points)])
    page = project_page(board(panels=[Panel(widget=Text(markdown="# flights"), start=NOW, end=NOW), panel]))
    assert page.count("<polyline") == 2
    assert "<title>21 Nov 23:00 UTC\nchampion: 9</title>" in page
    assert "Requests. champion: last 2 at 22 Nov 06:00" in page
    assert "most" in _words(page)


def test_a_graph_without_a_point_says_since_when() -> None:
    graph = Graph(title="Requests", queries=(Query(id="a", stat="Sum", period=3_600),))
    page = project_page(board(panels=[Panel(widget=graph, start=NOW - DAY, end=NOW, problems=["Forbidden: no"])]))
    assert "No data since 21 Nov 08:00. Forbidden: no" in _words(page)


def test_names_and_messages_are_never_markup() -> None:
    evil = '"><script>alert(1)</script>'
    page = project_page(
        board(project=evil, windows=[moved(21, evil, 0.5, "major")], incidents=[incident(words=evil, segments=(evil,))],
              alarms=[alarm(description=evil)], missing=[evil])
    )  # fmt: skip
    assert "<script" not in page
    assert evil in _words(page)


def test_the_page_needs_nothing_from_the_network_and_runs_nothing() -> None:
    page = project_page(board(incidents=[incident()], alarms=[alarm()]), Around(refresh_seconds=60))
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://|@import|url\(|\son\w+=", page)
    assert '<meta http-equiv="refresh" content="60">' in page
    assert "refresh" not in project_page(board())


def test_the_list_of_projects_begins_with_the_one_that_is_worst() -> None:
    page = index_page([board(project="quiet"), board(project="wrong", incidents=[incident()])], lambda name: f"/{name}")
    words = _words(page)
    assert "■ 1 of 2 projects need somebody." in words
    assert words.index("wrong") < words.index("quiet")
    assert 'href="/wrong"' in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "just now"), (60, "1 minute ago"), (7_300, "2 hours ago"), (90_000, "1 day ago"), (-5, "just now")],
)
def test_times_are_told_in_their_largest_unit(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("value", "words"), [(1234.5, "1,234"), (12.0, "12"), (0.71234, "0.712"), (0.00012, "1.20e-04"), (-3.456, "-3.46")]
)
def test_numbers_have_three_figures_that_count(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(("value", "words"), [(0.0025, "0.0025 USD"), (12.3, "12.30 USD"), (1234.5, "1,234 USD")])
def test_money_has_the_digits_that_matter(value: float, words: str) -> None:
    assert money(value, "USD") == words
