"""docs/serving.md names every code that a caller can get and every variable that the server reads, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from training.serve import settings
from training.serve.settings import ServeSettings, read_settings

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "training" / "serve").glob("*.py")]


def test_every_code_of_a_refusal_is_documented_with_its_status() -> None:
    raised = {found for source in SOURCES for found in re.findall(r'RequestError\(\s*(\d{3}), "(\w+)"', source)}
    documented = set()
    for line in PAGE.split("## A refusal")[1].split("##")[0].splitlines():
        if not line.startswith("| status") and line.startswith("| "):
            statuses = re.findall(r"\d{3}", line)
            documented |= {(status, code) for status in statuses for code in re.findall(r"`(\w+)`", line)}
    assert {code for _, code in raised} == {code for _, code in documented}
    assert raised <= documented


def test_every_variable_is_documented_and_the_defaults_are_as_the_page_says() -> None:
    names = {getattr(settings, name) for name in dir(settings) if name.endswith("_VARIABLE")}
    assert names - {settings.HOST_VARIABLE} <= set(re.findall(r"`([A-Z_]+)`", PAGE))
    assert read_settings({}) == ServeSettings(host="0.0.0.0", port=8080, workers=1, max_bytes=6_291_456)
