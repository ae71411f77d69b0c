"""A change of what is deployed shows in a page that a reviewer reads, and is accepted by one command."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.conftest import ENVIRONMENTS
from tests.infra.snapshot import ACCEPT, FOLDER, pages

Synthesised = Callable[[str], Path]
#: A page that nobody reads protects nothing.
LINES = 110


def differences(accepted: dict[str, str], now: dict[str, str], environment: str) -> str:
    """Return the difference of all pages as a reviewer reads it; empty when there is none."""
    found = ""
    for name in sorted(accepted.keys() | now.keys()):
        old, new = accepted.get(name, ""), now.get(name, "")
        found += "".join(
            difflib.unified_diff(
                old.splitlines(keepends=True),
                new.splitlines(keepends=True),
                f"accepted {environment}/{name}",
                f"now {environment}/{name}",
                n=1,
            )
        )
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_deployed_is_what_was_accepted(synthesised: Synthesised, environment: str) -> None:
    accepted = {path.stem: path.read_text("utf-8") for path in (FOLDER / environment).glob("*.txt")}
    found = differences(accepted, pages(environment, synthesised(environment)), environment)
    if found:
        pytest.fail(f"Read what has changed, then accept it by: {ACCEPT}\n\n{found}", pytrace=False)


def test_every_page_is_short_enough_to_be_read() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in FOLDER.glob("*/*.txt")}
    assert sizes
    assert {str(path): size for path, size in sizes.items() if size > LINES} == {}


def test_a_stack_that_is_new_gone_or_changed_is_shown() -> None:
    assert differences({"data": "a\nb\n"}, {"data": "a\nb\n"}, "dev") == ""
    assert "-b\n+c\n" in differences({"data": "a\nb\n"}, {"data": "a\nc\n"}, "dev")
    assert "+a\n" in differences({}, {"data": "a\n"}, "dev")
    assert "-a\n" in differences({"data": "a\n"}, {}, "dev")
