"""The page of a project: first what is wrong now and since when, then what moved, what it is worth, and the details.

One HTML file without scripts that needs nothing from the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.domain.dashboard import sections
from passerelle.domain.dashboard.board import Board
from passerelle.domain.dashboard.heat_map import Link, heat_map
from passerelle.domain.dashboard.panels import draw_panels
from passerelle.domain.dashboard.style import STYLE
from passerelle.domain.dashboard.trouble import Trouble, troubles
from passerelle.domain.dashboard.words import ago, escape, moment_of, when, with_code
from passerelle.domain.dashboard.worth import worth_panels

#: Nothing may be fetched, and nothing run: what a column or a message is called is never code.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
#: Gravities by shape, too.
MARKS: Final = {"major": "■", "moderate": "▲", "minor": "△"}
#: So many windows side by side.
_WINDOWS: Final = 48


@dataclass(frozen=True, kw_only=True)
class Around:
    """What depends on where the page is shown.

    Attributes
    ----------
    refresh_seconds : load it anew so often; 0 never.
    ways : further pages as (words, address, whether it is this one).
    window_page : where a window's page is, "" where nobody serves it.
    """

    refresh_seconds: int = 0
    ways: Sequence[tuple[str, str, bool]] = ()
    window_page: Link = lambda _: ""


def project_page(board: Board, around: Around | None = None) -> str:
    """Return the page."""
    around = around or Around()
    found = troubles(board)
    windows = list(reversed(board.windows[:_WINDOWS]))
    title = f"{board.project}, {board.environment}"
    body = [
        _header(board, around),
        "<main>",
        *_verdict(board, found),
        sections.cards(board),
        "<h2>What moved</h2>",
        f'<div class="panel">{heat_map(windows, around.window_page)}</div>' if windows else _no_windows(board),
        *worth_panels(board),
        "<h2>Requests, latency, windows, machines, costs</h2>",
        draw_panels(board),
        sections.alarms(board),
        sections.runs(board),
        sections.promotions(board),
        "</main>",
        _footer(board),
    ]
    return framed(f"{_state(found)} {title}", "\n".join(body), around.refresh_seconds)


def framed(title: str, body: str, refresh_seconds: int = 0) -> str:
    """Return a whole document."""
    again = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"{again}<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _state(found: Sequence[Trouble]) -> str:
    """Return what a tab's title begins with."""
    return MARKS[found[0].gravity] if found else "✓"


def _header(board: Board, around: Around) -> str:
    ways = "".join(
        f'<a href="{escape(address)}"{" aria-current=page" if here else ""}>{escape(words)}</a>'
        for words, address, here in around.ways
    )
    return (
        f"<header><div><h1>{escape(board.project)}</h1><p>{escape(board.about.objective)}</p></div>"
        f'<div class="soft"><p>{escape(board.environment)} · {when(board.now)} UTC'
        f"{f' · anew every {around.refresh_seconds} s' if around.refresh_seconds else ''}</p>"
        f"{f'<nav aria-label=Pages>{ways}</nav>' if ways else ''}</div></header>"
    )


def _verdict(board: Board, found: Sequence[Trouble]) -> Iterator[str]:
    last = board.windows[0] if board.windows else None
    looked = f"Last looked at {ago(moment_of(last.judged_at), board.now)}." if last else "No window was looked at yet."
    if not found:
        yield f'<p class="verdict good" role="status">✓ Nothing is wrong.<small>{looked}</small></p>'
    else:
        gravest = found[0]
        since = f", since {when(gravest.since)} UTC ({ago(gravest.since, board.now)})" if gravest.since else ""
        count = "One thing is" if len(found) == 1 else f"{len(found)} things are"
        yield (
            f'<p class="verdict {gravest.gravity}" role="status">{MARKS[gravest.gravity]} '
            f"{count} wrong. The gravest is {gravest.gravity}{since}.<small>{looked}</small></p>"
        )
        yield f'<ul class="troubles" aria-label="What is wrong now">{"".join(map(_trouble, found))}</ul>'
    for sentence in board.missing:
        yield f'<p class="minor">{escape(sentence)}</p>'


def _trouble(one: Trouble) -> str:
    told = [("Since", f"{when(one.since)} UTC" if one.since else ""), ("Likely", one.likely), ("Do", one.to_do)]
    rows = "".join(f"<dt>{name}</dt><dd>{with_code(words)}</dd>" for name, words in told if words)
    return (
        f'<li class="{one.gravity}"><p><span class="badge {one.gravity}">{MARKS[one.gravity]} {one.gravity}</span>'
        f"{with_code(one.what)}</p><dl>{rows}</dl></li>"
    )


def _no_windows(board: Board) -> str:
    return (
        '<p class="panel empty">No window of predictions has been looked at yet: that begins with the first model, '
        f"when a window is over. <code>passerelle drift {escape(board.project)} --now</code> looks at once.</p>"
    )


def _footer(board: Board) -> str:
    return (
        f"<footer>Times are UTC. More: <code>passerelle drift {escape(board.project)}</code>, "
        f"<code>passerelle runs --project {escape(board.project)}</code>; runbooks: docs/drift.md#incidents, "
        "docs/operations.md#alarms. Alarms are judged by CloudWatch's rules; "
        f"asked by {escape(board.about.owner)}.</footer>"
    )
