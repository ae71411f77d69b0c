"""Times and numbers as the page says them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape as _escape


def escape(text: object) -> str:
    """Return text that is safe in HTML, in attributes too."""
    return _escape(str(text), quote=True)


def with_code(text: str) -> str:
    """Return text that is safe in HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def moment_of(text: str) -> datetime:
    """Return the moment that ISO 8601 names, in UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def when(moment: datetime) -> str:
    """Return a moment in words, UTC."""
    return f"{moment.day} {moment:%b %H:%M}"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, in its largest unit."""
    seconds = max(0.0, (now - moment).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def number(value: float, unit: str = "") -> str:
    """Return a number with three figures that count, thousands parted."""
    size = abs(value)
    if size >= 1_000 or value == int(value):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}" if size >= 0.001 else f"{value:.2e}"
    return f"{text} {unit}" if unit else text


def money(value: float, currency: str) -> str:
    """Return an amount: without cents from a hundred on, with parts of them below one."""
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 1 or value == 0 else 4
    return f"{value:,.{digits}f} {currency}"


def share(value: float) -> str:
    """Return a share, 0 to 1, as percent."""
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 1 or percent == 0 else "<1 %"
