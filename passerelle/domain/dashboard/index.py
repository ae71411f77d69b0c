"""The page of all projects: which of them needs somebody now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from passerelle.domain.dashboard.board import Board
from passerelle.domain.dashboard.page import MARKS, framed
from passerelle.domain.dashboard.trouble import Trouble, troubles
from passerelle.domain.dashboard.words import ago, escape, moment_of, when

_ORDER: Final = ("major", "moderate", "minor", "good")


def index_page(boards: Sequence[Board], address: Callable[[str], str], refresh_seconds: int = 0) -> str:
    """Return the page, what is worst first; `address` says where a project's own page is."""
    rows = [(board, troubles(board)) for board in boards]
    rows.sort(key=lambda row: (_ORDER.index(_kind(row[1])), row[0].project))
    wrong = sum(bool(found) for _, found in rows)
    verdict = f"■ {wrong} of {len(rows)} projects need somebody." if wrong else "✓ Nothing is wrong."
    kind = _kind(rows[0][1]) if rows else "good"
    body = [
        "<header><h1>Projects</h1></header><main>",
        f'<p class="verdict {kind}" role="status">{verdict}</p>' if rows else "<p>No project is deployed.</p>",
        '<ul class="troubles">',
        *(_row(board, found, address) for board, found in rows),
        "</ul></main>",
    ]
    return framed(f"{'■' if wrong else '✓'} Projects", "".join(body), refresh_seconds)


def _kind(found: Sequence[Trouble]) -> str:
    return found[0].gravity if found else "good"


def _row(board: Board, found: Sequence[Trouble], address: Callable[[str], str]) -> str:
    kind = _kind(found)
    badge = f"{MARKS[kind]} {kind}" if found else "✓"
    since = f" Since {when(found[0].since)} UTC." if found and found[0].since else ""
    words = f"{found[0].what}{since}" if found else "Nothing is wrong."
    last = board.windows[0] if board.windows else None
    looked = f"last looked at {ago(moment_of(last.judged_at), board.now)}" if last else "no window looked at yet"
    served = f"version {escape(board.champion)} serves" if board.champion else "nothing is served"
    return (
        f'<li class="{kind}"><p><span class="badge {kind}">{badge}</span>'
        f'<a href="{escape(address(board.project))}"><b>{escape(board.project)}</b></a> '
        f"<small>{served}; {looked}</small></p><p>{escape(words)}</p></li>"
    )
