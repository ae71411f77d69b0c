"""The dashboard's own widgets, in its grid."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from passerelle.domain.dashboard.board import Alarm, Board, Panel
from passerelle.domain.dashboard.body import GRID, AlarmStates, Graph, Other, Text
from passerelle.domain.dashboard.graph import Plot, draw
from passerelle.domain.dashboard.lines import unit_of
from passerelle.domain.dashboard.words import escape, when, with_code

_STATES: Final = {"OK": ("good", "✓ OK"), "ALARM": ("major", "■ rings"), "INSUFFICIENT_DATA": ("soft", "– no data")}


def draw_panels(board: Board) -> str:
    """Return all widgets but the text that names the project, which the page's head says."""
    drawn = [_panel(panel, board.alarms) for place, panel in enumerate(board.panels) if not _is_title(panel, place)]
    if not drawn:
        return '<p class="panel empty">This environment has no dashboard of that name.</p>'
    return f'<div class="panels">{"".join(drawn)}</div>'


def state_words(alarm: Alarm) -> str:
    """Return an alarm's state in words and colour."""
    kind, words = _STATES[alarm.state]
    return f'<span class="{kind}">{words}</span>'


def _is_title(panel: Panel, place: int) -> bool:
    return place == 0 and isinstance(panel.widget, Text) and panel.widget.markdown.startswith("# ")


def _panel(panel: Panel, alarms: object) -> str:
    widget = panel.widget
    kind = "panel whole" if widget.width == GRID else "panel"
    match widget:
        case Text():
            inner = _markdown(widget.markdown)
        case AlarmStates():
            assert isinstance(alarms, list | tuple)
            inner = f"<h3>{escape(widget.title)}</h3>{_alarms(widget, alarms)}"
        case Graph():
            inner = f"<h3>{escape(widget.title)}</h3>{_graph(widget, panel)}"
        case Other():
            words = f"A widget of type {escape(widget.type)}: see CloudWatch."
            inner = f'<h3>{escape(widget.title)}</h3><p class="empty">{words}</p>'
    return f'<section class="{kind}" style="--w:{widget.width}">{inner}</section>'


def _graph(widget: Graph, panel: Panel) -> str:
    problems = "".join(f'<p class="minor">{escape(problem)}</p>' for problem in panel.problems)
    if not panel.lines:
        return f'<p class="empty">No data since {when(panel.start)}.</p>{problems}'
    units = {
        side: sorted({unit_of(query) for query in widget.queries if query.right is side}) for side in (False, True)
    }
    left, right = (found[0] if len(found) == 1 else "" for found in units.values())
    values = [value for line in panel.lines if not line.right for _, value in line.points]
    plot = Plot(
        title=widget.title,
        lines=panel.lines,
        start=panel.start,
        end=panel.end,
        period=timedelta(seconds=widget.period),
        unit=widget.unit or left,
        right_unit=right,
        limits=widget.limits,
        size=max(300, 50 * widget.width),
        # A metric of a model between 0.7 and 0.8 is no flat line; counts and times begin at nought.
        from_zero=not values or not 0.25 < min(values) <= max(values) <= 1,
    )
    return draw(plot) + problems


def _alarms(widget: AlarmStates, alarms: list[Alarm] | tuple[Alarm, ...]) -> str:
    found = {alarm.arn: alarm for alarm in alarms}
    rows = [
        f"<li>{escape(arn.rpartition(':')[2])}: {state_words(found[arn]) if arn in found else 'unknown'}</li>"
        for arn in widget.arns
    ]
    return f'<ul class="legend">{"".join(rows)}</ul>'


def _markdown(text: str) -> str:
    """Headings, `code`, and paragraphs: all that our dashboards use. The rest stays as it was written."""
    lines = []
    for line in text.splitlines():
        level = len(line) - len(line.lstrip("#"))
        words = with_code(line.lstrip("#").strip())
        lines.append(f"<h3>{words}</h3>" if level else f"<p>{words}</p>")
    return "".join(lines)
