"""The tornado as one SVG that needs nothing else: how far each figure moves the answer."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from passerelle.domain.cost.ownership.comparison import Comparison
from passerelle.domain.cost.ownership.sensitivity import Swing
from passerelle.domain.cost.ownership.worded import amount, difference_words, month, swing_ends

_WIDTH: Final = 900
_LEFT: Final = 300
_RIGHT: Final = 150
_TOP: Final = 64
_ROW: Final = 34
_BAR: Final = 18
_STYLE: Final = (
    ".tornado{color-scheme:light dark}.tornado text{font:13px system-ui,sans-serif;fill:#1b1f24}"
    ".tornado .note{fill:#566070;font-size:11px}.tornado .low{fill:#1d5fc4}.tornado .high{fill:#b4530b}"
    ".tornado .zero{stroke:#b3161b;stroke-dasharray:5 4}.tornado .middle{stroke:#1b1f24}"
    "@media (prefers-color-scheme:dark){.tornado text{fill:#e7eaee}.tornado .note{fill:#9ba6b3}"
    ".tornado .low{fill:#75a9ff}.tornado .high{fill:#fba94c}.tornado .middle{stroke:#e7eaee}"
    ".tornado .zero{stroke:#ff8d8d}}"
)


def tornado_svg(comparison: Comparison) -> str:
    """Return the chart: bars from the result at a figure's low end (blue) to that at its high end (orange)."""
    swings = comparison.swings
    middle = comparison.difference.expected or 0.0
    ends = [middle, 0.0, *(end for swing in swings for end in swing.difference)]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / span

    height = _TOP + _ROW * len(swings) + 30
    title = difference_words(comparison)
    bottom = height - 24
    parts = [
        f'<svg class="tornado" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(_spoken(title, swings))}"><style>{_STYLE}</style>',
        f'<text x="8" y="20" font-weight="600">{escape(title)}</text>',
        '<text class="note" x="8" y="38">Below 0 owning costs less. Blue: figure at its low end, orange: at its high '
        "end; all others as expected. At the right: break-even month.</text>",
        *(part for place, swing in enumerate(swings) for part in _bar(swing, _TOP + _ROW * place, across(middle), (
            across(swing.difference[0]), across(swing.difference[1])))),
        f'<path class="zero" d="M{across(0):.1f} {_TOP - 8}V{bottom}"/>',
        f'<path class="middle" d="M{across(middle):.1f} {_TOP - 8}V{bottom}"/>',
        f'<text class="note" x="{across(0):.1f}" y="{height - 8}" text-anchor="middle">0: the same</text>',
        "</svg>",
    ]  # fmt: skip
    return "".join(parts)


def _bar(swing: Swing, top: int, middle: float, ends: tuple[float, float]) -> Iterator[str]:
    name = escape(swing.driver.capitalize())
    yield f'<g><title>{escape(_told(swing))}</title><text x="8" y="{top + 8}">{name}</text>'
    yield f'<text class="note" x="8" y="{top + 21}">{escape(swing_ends(swing))}</text>'
    for style, end in zip(("low", "high"), ends, strict=True):
        left, width = min(middle, end), abs(end - middle)
        yield f'<rect class="{style}" x="{left:.1f}" y="{top}" width="{max(width, 0.5):.1f}" height="{_BAR}"/>'
    months = f"{month(swing.months[0])} … {month(swing.months[1])}"
    yield f'<text class="note" x="{_WIDTH - 8}" y="{top + 13}" text-anchor="end">{months}</text></g>'


def _told(swing: Swing) -> str:
    low, high = swing.difference
    return f"{swing.driver}, {swing_ends(swing)}: {amount(low)} to {amount(high)}"


def _spoken(title: str, swings: tuple[Swing, ...]) -> str:
    return f"{title}. {'; '.join(map(_told, swings))}"
