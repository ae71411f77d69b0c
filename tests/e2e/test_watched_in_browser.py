"""What people see of a watched project in a browser: the page that the laptop serves, as Chromium shows it."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Page
from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import as_csv, make_rows
from tests.e2e.test_watched import ASKED, ask, first_look, watch

#: A phone, and a window on a desk; in CSS pixels.
PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def address(laptop: DeployedLaptop) -> str:
    """Where the page is of a project with a window that alarms: that of test_watched, where it ran."""
    if not _windows(laptop):
        run = laptop.run_of("watched", "watched/1.csv", laptop.drop("watched/1.csv", as_csv(make_rows(1_600))))
        assert run["status"] == "succeeded", run["error"]
        rows = [{**row, "visits": row["visits"] + 30, "customer": f"w{row['customer']}"} for row in make_rows(ASKED)]
        began = datetime.now(UTC)
        ask(laptop, rows)
        laptop.recorded("watched", [row["customer"] for row in rows], ASKED)
        watch(laptop, first_look(began))
    return str(json.loads(laptop.passerelle("--json", "dashboard", "watched").stdout)["url"])


def _windows(laptop: DeployedLaptop) -> list[dict[str, Any]]:
    return list(json.loads(laptop.passerelle("--json", "drift", "watched").stdout)["windows"])


def _keep(page: Page, name: str) -> None:
    """Leave a picture where somebody asks for one."""
    folder = os.environ.get("PASSERELLE_PICTURES")
    if folder:
        page.picture(Path(folder) / f"{name}.png")


def test_the_page_says_what_is_wrong_what_moved_and_what_was_asked(address: str, page: Page) -> None:
    page.open(address, width=DESK)
    _keep(page, "desk")
    assert page.texts("h1") == ["watched"]
    (verdict,) = page.texts("[role=status]")
    assert re.search(r"wrong\. The gravest is (major|moderate|minor), since \d+ \w{3} \d\d:\d\d UTC", verdict)
    assert page.texts("h2")[0] == "What moved"
    rows = page.texts(".map tbody th")
    assert {"visits", "age", "plan", "the model's score"} <= set(rows)
    (cell,) = [text for text in page.texts(".map td.major a") if text.endswith("■") and text != "■"][:1]
    assert 30 <= int(cell.removesuffix("■")) <= 100
    labels = page.evaluate("[...document.querySelectorAll('.map td.major a')].map(one => one.ariaLabel)")
    assert any(re.fullmatch(r"visits, \d+ \w+ \d\d:00: \d+ % of rows moved, major alarm", label) for label in labels)
    graphs = page.evaluate("[...document.querySelectorAll('svg.graph')].map(one => one.getAttribute('aria-label'))")
    assert any(label.startswith("Requests. Invocations: last") for label in graphs)
    assert any("ModelLatency, p99: last" in label and " ms at " in label for label in graphs)
    assert any(label.startswith("How bad") and "data drift: last 3" in label for label in graphs)
    assert page.texts(".card h3")[:2] == ["Champion", "Last window"]


def test_it_asks_nobody_for_anything_and_complains_of_nothing(address: str, page: Page) -> None:
    page.open(address, width=DESK)
    assert page.requested == [address]
    assert page.complaints == []
    assert page.evaluate("document.scripts.length") == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_words_stand_out_from_what_is_behind_them(address: str, page: Page, dark: bool) -> None:
    page.open(address, width=DESK, dark=dark)
    if dark:
        _keep(page, "dark")
    ground = _brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.2) is dark
    for selector in ("h1", ".verdict", ".map td.major a", ".map td.count", ".card small", ".legend li"):
        ink, behind = page.evaluate(_COLOURS.replace("SELECTOR", json.dumps(selector)))
        high, low = sorted((_brightness(ink), _brightness(behind)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (selector, ink, behind)


def test_on_a_phone_nothing_is_cut_off_and_the_map_begins_at_its_newest_window(address: str, page: Page) -> None:
    page.open(address, width=PHONE, height=800)
    _keep(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert page.evaluate("Math.min(...[...document.querySelectorAll('.panel')].map(one => one.clientWidth))") > 300
    newest = "document.querySelector('.map thead th:last-child').getBoundingClientRect()"
    assert 0 < page.evaluate(f"{newest}.right") <= PHONE


def test_it_is_used_by_keys_alone_down_to_a_windows_own_page(address: str, page: Page) -> None:
    page.open(address, width=DESK)
    visited = list[str]()
    for _ in range(40):
        page.press("Tab")
        visited.append(str(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText")))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if visited[-1].startswith("visits, "):
            break
    assert "3 hours" in visited
    assert "Drift by column and window, newest at the right" in visited
    assert visited[-1].endswith("% of rows moved, major alarm")
    page.follow()
    assert page.texts("h1") == ["watched: is the data still what the model knows?"]
    assert "visits" in page.texts(".verdict")[0]


def test_a_link_leads_to_another_span_and_one_holds_the_page_still(address: str, page: Page) -> None:
    page.open(address, width=DESK)
    assert page.evaluate("document.querySelector('meta[http-equiv=refresh]').content") == "60"
    still = page.evaluate("[...document.links].find(one => one.innerText == 'hold still').href")
    page.open(still, width=DESK)
    assert page.evaluate("document.querySelector('meta[http-equiv=refresh]')") is None
    assert page.texts("nav a[aria-current]") == ["day"]


def test_the_list_of_projects_leads_to_each(laptop: DeployedLaptop, address: str, page: Page) -> None:
    page.open(json.loads(laptop.passerelle("--json", "dashboard").stdout)["url"], width=DESK)
    _keep(page, "projects")
    assert "projects need somebody" in page.texts("[role=status]")[0]
    links = page.evaluate("[...document.links].map(one => one.href)")
    assert address.partition("?")[0] in links
    assert page.complaints == []


def test_the_same_page_in_a_file_needs_no_platform(
    laptop: DeployedLaptop, address: str, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "watched.html"
    laptop.passerelle("dashboard", "watched", "--output", str(file))
    page.open(file.as_uri(), width=DESK)
    assert page.texts("h1") == ["watched"]
    assert page.requested == [file.as_uri()]
    assert page.complaints == []


#: The colour of words, and the first one behind them that is not transparent.
_COLOURS = """(() => {
  const one = document.querySelector(SELECTOR);
  let behind = one;
  while (behind && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  return [getComputedStyle(one).color, getComputedStyle(behind || document.body).backgroundColor];
})()"""


def _brightness(colour: str) -> float:
    """Return the relative luminance of `rgb(…)` (WCAG 2.2, definition)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
