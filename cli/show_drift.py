"""How windows look on the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerelle.aws.monitored import Monitored
from passerelle.contracts.monitoring import Figure, SeverityName, WindowRecord
from passerelle.domain.dashboard.heat_map import named, ranked

_COLOURS: Final[dict[str, str]] = {"none": "green", "minor": "yellow", "moderate": "dark_orange", "major": "red"}
#: Columns of the map, those that alarmed first; windows of the map.
_COLUMNS: Final = 20
_CELLS: Final = 48
_STEPS: Final = " ▁▂▃▄▅▆▇█"
#: A full cell: half of the rows moved.
_FULL: Final = 0.5


def show_windows(console: Console, project: str, monitored: Monitored) -> None:
    """Print the windows, the newest first, which columns moved over time, and what lasts."""
    if not monitored.windows:
        console.print(
            f"No window of {project} has been looked at yet: that begins with its first model, when a window is over. "
            "`--now` looks at once."
        )
        return
    table = Table("Window", "Severity", "In a sentence", box=None, padding=(0, 2))
    metric = next((record.metric for record in monitored.windows if record.metric), "")
    worth = any(record.estimated or record.realised for record in monitored.windows)
    if worth:
        table.add_column(metric, justify="right")
    table.add_column("Predictions", justify="right")
    table.add_column("Model", justify="right")
    for record in monitored.windows:
        sentence = escape(record.line)
        known = [_worth(record)] if worth else []
        table.add_row(_start(record), _severity(record), sentence, *known, f"{record.rows:,}", record.version or "")
    console.print(table)
    if worth:
        console.print(f"[dim]{metric}: ~ as estimated, before labels are known[/]")
    _show_map(console, list(reversed(monitored.windows[:_CELLS])))
    for incident in monitored.incidents:
        colour = _COLOURS[incident["severity"]]
        console.print(
            f"[{colour}]Lasts:[/] {escape(incident['words'])} ({incident['severity']}, {incident['cause']}, since "
            f"{incident['since']})"
        )
    if not monitored.incidents:
        console.print("[green]Nothing lasts.[/]")


def show_window(console: Console, record: WindowRecord, found: Mapping[str, Any]) -> None:
    """Print all that was found of a window."""
    console.print(
        f"\n[bold]{_start(record)}[/] of {escape(record.project)}: {_severity(record)}\n{escape(record.line)}"
    )
    counts = f"{record.rows:,} predictions of version {record.version}, {record.delivered:,} delivered"
    others = "".join(f"; {rows:,} of {name}" for name, rows in record.others.items())
    console.print(f"[dim]{counts}{others}; {record.broken} files unreadable; judged {record.judged_at}[/]")
    for how, figures in (("estimated", record.estimated), ("realised", record.realised)):
        _show_figure(console, record, how, figures)
    if not found:
        return
    table = Table("Column", "What", "In words", box=None, padding=(0, 2))
    for heading in ("Effect", "95 %", "Usual", "Adjusted p"):
        table.add_column(heading, justify="right")
    for signal in found["drift"]["signals"]:
        effect, colour = signal["effect"], _COLOURS[signal["severity"]] if signal["alarm"] else "dim"
        table.add_row(
            f"[{colour}]{escape(named(signal['column']) or '-')}[/]",
            signal["kind"],
            escape(signal["words"]),
            f"{effect['value']:.3f}",
            f"{effect['lower']:.3f} to {effect['upper']:.3f}",
            f"{signal['usual']:.3f}" if signal["usual"] else "",
            f"{signal['adjusted_p_value']:.2g}",
        )
    console.print(table)
    console.print(f"[dim]Page and files: {record.prefix}/[/]")


def _worth(record: WindowRecord) -> str:
    """Return the project's metric: as labels show it, else as it is estimated."""
    realised, estimated = record.realised.get(record.metric), record.estimated.get(record.metric)
    if realised is not None:
        return f"{realised.value:.4g}"
    return f"[dim]~[/]{estimated.value:.4g}" if estimated is not None else ""


def _show_figure(console: Console, record: WindowRecord, how: str, figures: Mapping[str, Figure]) -> None:
    figure, why = figures.get(record.metric), record.unknown.get(how)
    if figure is None:
        if why:
            console.print(f"[dim]{record.metric}, {how}: not known: {escape(why)}[/]")
        return
    of = f" of {record.labelled:,} labelled" if how == "realised" else ""
    before = f"; {figure.before:.4g} when the model was accepted" if figure.before is not None else ""
    reason = f"; changed by {record.why}" if how == "realised" and record.why else ""
    console.print(
        f"{record.metric}, {how}{of}: {figure.value:.4g} ({figure.lower:.4g} to {figure.upper:.4g}){before}{reason}"
    )


def _show_map(console: Console, windows: Sequence[WindowRecord]) -> None:
    """Print, by column, how much of it moved in each window, from old to new."""
    columns = ranked(windows)
    if not columns:
        return
    first, last = windows[0].start[:10], windows[-1].start[:10]
    title = f"Rows that moved, {first} to {last} (█: half of them and more)"
    table = Table("Column", "", title=title, title_justify="left", box=None, padding=(0, 2))
    for column in columns[:_COLUMNS]:
        cells = "".join(_cell(record, column) for record in windows)
        table.add_row(escape(named(column)), cells)
    console.print(table)
    if len(columns) > _COLUMNS:
        console.print(f"[dim]{len(columns) - _COLUMNS} more columns moved less.[/]")


def _cell(record: WindowRecord, column: str) -> str:
    if column not in record.moved:
        return "[dim]·[/]"
    step = _STEPS[min(len(_STEPS) - 1, round(record.moved[column] / _FULL * (len(_STEPS) - 1)))]
    return f"[{_COLOURS[record.severities.get(column, 'none')]}]{step}[/]"


def _start(record: WindowRecord) -> str:
    return record.start[:16].replace("T", " ")


def _severity(record: WindowRecord) -> str:
    shown: SeverityName | str = record.severity if record.status == "judged" else record.status
    return f"[{_COLOURS.get(shown, 'dim')}]{'quiet' if shown == 'none' else shown}[/]"
