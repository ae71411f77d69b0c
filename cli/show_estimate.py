"""An estimate for people: a table by stack, stage and resource, what is unpriced, and what would make it cheaper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from passerelle.domain.cost.estimate.levers import levers
from passerelle.domain.cost.estimate.parts import Component, Estimate, Item

if TYPE_CHECKING:
    from rich.console import Console

DISCLAIMER: Final = (
    "An estimate from list prices, not an offer or a bill: without taxes, discounts, data transfer and what is listed "
    "as unpriced. Only AWS's bill counts."
)
#: From how many alike resources of a stack on they share a line.
_ALIKE: Final = 2


@dataclass(frozen=True)
class _Line:
    stack: str
    stage: str
    name: str
    components: tuple[Component, ...]


def show_estimate(console: Console, found: Estimate, name: str, *, everything: bool) -> None:
    """Print an estimate; with `everything`, a line for each resource, those that cost nothing, too."""
    table = Table("Stack", "Stage", "Resource", "Fixed", "By use *", "Low", "High", box=None, padding=(0, 2, 0, 0))
    for line in _lines(found.items, everything):
        table.add_row(escape(line.stack), line.stage, escape(line.name), *_figures(line.components))
    console.print(table)
    low, high = found.range_usd
    least = "" if found.complete else "at least "
    console.print(
        f"[bold]{escape(name)}, {found.region}: {least}{found.usd:.2f} USD a month[/]: {found.fixed_usd:.2f} fixed "
        f"(730 h), {found.usage_usd:.2f} by use *; {low:.2f} to {high:.2f} as spot goes"
    )
    for stage in found.stages if len(found.stages) > 1 else ():
        fixed, used = found.of_stage(stage)
        console.print(f"  {stage:<10} {fixed:8.2f} fixed, {used:.2f} by use")
    _show_counts(console, found)
    _show_unpriced(console, found)
    _show_levers(console, found)
    for problem in found.problems:
        console.print(f"[yellow]![/] {escape(problem)}", soft_wrap=True)
    _show_basis(console, found)


def _lines(items: Iterable[Item], everything: bool) -> list[_Line]:
    shown = [item for item in items if everything or item.components]
    if everything:
        return [_Line(item.stack, item.stage, f"{item.name} ({item.type})", item.components) for item in shown]
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in shown:
        groups.setdefault((item.stack, item.stage, item.type), []).append(item)
    lines = []
    for (stack, stage, type_), alike in groups.items():
        if len(alike) < _ALIKE:
            lines += [_Line(stack, stage, f"{item.name} ({type_})", item.components) for item in alike]
        else:
            parts = tuple(part for item in alike for part in item.components)
            lines.append(_Line(stack, stage, f"{len(alike)} × {type_}", parts))
    return lines


def _figures(parts: tuple[Component, ...]) -> tuple[str, ...]:
    fixed = [part for part in parts if not part.usage]
    used = [part for part in parts if part.usage]
    low = sum(part.low_usd or 0.0 for part in parts)
    high = sum(part.high_usd or 0.0 for part in parts)
    ranged = (f"{low:.2f}", f"{high:.2f}") if high - low >= 0.005 else ("", "")
    return _usd(fixed), _usd(used), *ranged


def _usd(parts: list[Component]) -> str:
    if not parts:
        return ""
    known = [part.usd for part in parts if part.usd is not None]
    if not known:
        return "unknown"
    return f"{sum(known):.2f}{'' if len(known) == len(parts) else ' + unknown'}"


def _show_counts(console: Console, found: Estimate) -> None:
    counts = (
        f"{found.counted('priced')} resources priced, {found.counted('free')} free, "
        f"{found.counted('unpriced')} without some price, {found.counted('unsupported')} of types not supported"
    )
    console.print(counts)
    strange = Counter(item.type for item in found.items if not item.supported)
    if strange:
        console.print(f"Not supported: {', '.join(f'{type_} ({count})' for type_, count in sorted(strange.items()))}")


def _show_unpriced(console: Console, found: Estimate) -> None:
    reasons: dict[str, list[str]] = {}
    for item in found.items:
        for reason in item.unknowns:
            reasons.setdefault(reason, []).append(item.address)
    if reasons:
        console.print("[yellow]Unpriced:[/]")
    for reason, addresses in reasons.items():
        where = addresses[0] if len(addresses) == 1 else f"{addresses[0]} and {len(addresses) - 1} more"
        console.print(f"  {escape(reason)} ({escape(where)})", soft_wrap=True)


def _show_levers(console: Console, found: Estimate) -> None:
    each = levers(found)
    if each:
        console.print("Levers, USD a month (each by itself):")
    for lever in each:
        console.print(
            f"  {lever.usd:8.2f}  {escape(lever.what)}{' [dim](taken)[/]' if lever.taken else ''}", soft_wrap=True
        )


def _show_basis(console: Console, found: Estimate) -> None:
    if found.assumptions:
        console.print("[dim]* Assumed for each resource, unless --usage says otherwise:[/]")
    for line in found.assumptions:
        console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)
    dates = f"{found.dates[0]} to {found.dates[-1]}" if found.dates else "none"
    tier = "less free tiers" if found.free_tier else "without free tiers (--free-tier)"
    console.print(f"[dim]Prices of {dates}, {tier}. {DISCLAIMER}[/]", soft_wrap=True)
