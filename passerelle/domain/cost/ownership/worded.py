"""Results in words: never a number without its range, and "never" where owning does not pay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from passerelle.domain.cost.ownership.cloud import WAYS, Way
from passerelle.domain.cost.ownership.comparison import Beside, Comparison, Range, Scenario
from passerelle.domain.cost.ownership.sensitivity import Swing
from passerelle.domain.cost.ownership.sources import Figure

NEVER: Final = "never"
_CHEAPER: Final = {
    "owning": "owning costs less, wherever the figures lie within their ranges",
    "renting": "renting costs less, wherever the figures lie within their ranges",
    "owning, not surely": "owning is expected to cost less; within the ranges of the figures renting may",
    "renting, not surely": "renting is expected to cost less; within the ranges of the figures owning may",
}
#: Figures by their names in the workload file -> what people call them.
NAMES: Final = {
    "utilisation": "utilisation",
    "growth_a_year": "growth",
    "server_price": "server",
    "server_kw": "power of a server",
    "colocation_per_kw_month": "colocation",
    "residual_share": "residual value",
    "spares_share": "spare parts, installation",
    "maintenance_share": "maintenance",
    "network_per_server_month": "network",
    "pue": "PUE",
    "electricity_per_kwh": "electricity",
    "idle_power_share": "power when idle",
    "fte": "staff",
    "fte_per_year": "cost of staff",
    "interest_rate": "interest",
    "usd_per_eur": "exchange rate",
    "cloud_price": "cloud price",
    "price_change": "cloud price over the years",
    "plan_price": "savings plan",
    "spot_saving": "saving of spot",
    "spot_interruptions": "interruptions of spot",
    "spot_lost_hours": "lost by an interruption",
    "other_per_month": "other costs of the cloud",
}


def amount(value: float) -> str:
    """Return money: whole from a hundred on, with three figures that count below one."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.2f}" if size >= 1 or not size else f"{value:.3g}"


def month(value: float | None) -> str:
    """Return a break-even month."""
    return NEVER if value is None else f"{value:.1f}"


def percent(value: float | None) -> str:
    """Return a share as percent."""
    return NEVER if value is None else f"{100 * value:.0f} %"


def ranged(found: Range, word: Callable[[float | None], str]) -> str:
    """Return what is expected, with both ends."""
    low, expected, high = word(found.low), word(found.expected), word(found.high)
    return expected if low == expected == high else f"{expected} ({low} to {high})"


def money(found: Range) -> str:
    """Return an amount with its ends."""
    return ranged(found, lambda value: "unknown" if value is None else amount(value))


def figure_ends(figure: Figure) -> tuple[str, str, str]:
    """Return a figure's low end, what is expected, and its high end."""
    low, expected, high = (f"{value:,.5g}" if abs(value) < 10_000 else f"{value:,.0f}" for value in (
        figure.low, figure.expected, figure.high))  # fmt: skip
    return low, expected, high


def unit_of(figure: Figure) -> str:
    """Return a figure's unit, with its currency."""
    return " ".join(part for part in (figure.currency, figure.unit) if part)


def use_of(scenario: Scenario) -> str:
    """Return how busy the need is."""
    grows = f", {100 * scenario.growth:+.0f} % each year" if scenario.growth else ""
    return f"{percent(scenario.utilisation)} busy ({scenario.hours_a_month:.0f} h a month){grows}"


def useful_hour(comparison: Comparison) -> str:
    """Return what a useful hour is an hour of."""
    return "GPU-hour" if comparison.basis.workload.need.unit == "gpu" else "vCPU-hour"


def answers(comparison: Comparison) -> Iterator[str]:
    """Yield the answer at the expected use, one sentence for each way to rent."""
    work, scenario = comparison.basis.workload, comparison.expected
    for beside in scenario.beside:
        yield (
            f"Over {_years(work.years)}, {use_of(scenario)}: owning {money(scenario.owned)} {work.currency}, renting "
            f"{_by(beside.way)} {money(beside.total)}: {_CHEAPER[beside.cheaper]}. Break-even month: {even(beside)}."
        )
    for way in WAYS:
        if reason := comparison.basis.unknown.get(way):
            yield f"{way.capitalize()}: unknown; {reason}."


def _by(way: Way) -> str:
    return {"on demand": "on demand", "spot": "on spot", "savings plan": "by a savings plan"}[way]


def _years(years: int) -> str:
    return "one year" if years == 1 else f"{years} years"


def even(beside: Beside) -> str:
    """Return the break-even month with its range."""
    return ranged(beside.month, month)


def even_hours(beside: Beside) -> str:
    """Return the break-even hours with their range."""
    return ranged(beside.hours, lambda value: NEVER if value is None else f"{value:,.0f}")


def machines(comparison: Comparison) -> str:
    """Return what stands on both sides."""
    basis = comparison.basis
    work, cloud = basis.workload, basis.workload.cloud
    need = f"{work.need.count} {'GPUs' if work.need.unit == 'gpu' else 'vCPUs'}"
    servers = "1 server" if basis.servers == 1 else f"{basis.servers} servers"
    return f"{need}: {servers} of one's own, or {basis.instances} x {cloud.instance_type} in {cloud.region}"


def difference_words(comparison: Comparison) -> str:
    """Return what the tornado is about."""
    work = comparison.basis.workload
    told = f"{money(comparison.difference)} {work.currency}"
    return f"Owning less renting on demand over {_years(work.years)}, expected use: {told}"


def swing_ends(swing: Swing) -> str:
    """Return what a driver was moved between."""
    low, high = swing.inputs
    return f"{_short(low)} to {_short(high)} {swing.unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


#: What every reader must know of how it is counted.
NOTES: Final = (
    "The break-even month counts money when it is paid (servers at once, without what they may bring at the end), and "
    "must hold to the end of the years: later is never. The sums over the years take the residual value off.",
    "Ranges are exact ends: every result rises or falls with each figure, so the best and the worst for owning lie "
    "where all figures do. That all of them come together is unlikely.",
    "Not counted: taxes, software licences, moving there, and what it is worth to have more machines within minutes "
    "or none next month.",
)
