"""What a change costs: two estimates in Infracost's shape, resource by resource."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from passerelle.errors import InputError

#: A change below this is none: less than a cent a month.
_LEAST_USD: Final = 0.005
#: Name of a resource -> its type and what a month of it costs.
_Costs = dict[str, tuple[str, float]]


@dataclass(frozen=True)
class Change:
    """A resource's month before and after; None where it is not there."""

    name: str
    type: str
    before: float | None
    after: float | None

    @property
    def usd(self) -> float:
        """How much more it costs."""
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True)
class Difference:
    """All changes, the dearest first, and the totals; `floor` where either has something without a price."""

    before: float
    after: float
    changes: tuple[Change, ...]
    floor: bool

    @property
    def usd(self) -> float:
        """How much more the month costs."""
        return self.after - self.before

    @property
    def percent(self) -> float | None:
        """The same in percent of what it was; None where that was nothing."""
        return None if self.before == 0 else self.usd / self.before * 100


def read_estimate(text: str, *, source: str) -> Mapping[str, Any]:
    """Return a saved estimate; InputError for what is none."""
    try:
        document = json.loads(text)
        _costs(document)
        float(document["totalMonthlyCost"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{source}: this is no estimate ({error}). `passerelle cost estimate … --json > {source}` saves one."
        ) from error
    assert isinstance(document, dict)
    return document


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Return what the second estimate costs more than the first."""
    old, new = _costs(before), _costs(after)
    changes = [_change(name, old, new) for name in sorted(old.keys() | new.keys())]
    real = [change for change in changes if abs(change.usd) >= _LEAST_USD]
    floor = any(bool((document.get("passerelle") or {}).get("floor")) for document in (before, after))
    ordered = tuple(sorted(real, key=lambda change: (-abs(change.usd), change.name)))
    return Difference(float(before["totalMonthlyCost"]), float(after["totalMonthlyCost"]), ordered, floor)


def _change(name: str, old: _Costs, new: _Costs) -> Change:
    before, after = old.get(name), new.get(name)
    type_ = (after or before or ("", 0.0))[0]
    return Change(name, type_, before[1] if before else None, after[1] if after else None)


def _costs(document: Mapping[str, Any]) -> _Costs:
    """Return type and month of every resource; a name that comes several times is one."""
    found: _Costs = {}
    for project in document["projects"]:
        for resource in project["breakdown"]["resources"]:
            cost = float(resource["monthlyCost"] or 0)
            if not math.isfinite(cost):
                raise ValueError(f"monthlyCost of {resource['name']} is no number")
            stage = (resource.get("metadata") or {}).get("stage", "")
            name = f"{resource['name']} ({stage})" if stage not in ("", "platform") else resource["name"]
            found[name] = (str(resource["resourceType"]), found.get(name, ("", 0.0))[1] + cost)
    return found


def to_markdown(difference: Difference, *, title: str, most: int = 30) -> Iterator[str]:
    """Yield the lines of a comment on a pull request."""
    sign = "+" if difference.usd >= 0 else "-"
    percent = "" if difference.percent is None else f" ({difference.percent:+.0f} %)"
    least = "at least " if difference.floor else ""
    yield f"**{title}**: {sign}{abs(difference.usd):.2f} USD a month{percent}, {least}{difference.after:.2f} in all"
    if not difference.changes:
        yield ""
        yield "Nothing that has a price changes."
        return
    yield ""
    yield "| resource | type | before | after | change |"
    yield "|---|---|---:|---:|---:|"
    for change in difference.changes[:most]:
        name = change.name.replace("|", "\\|").replace("`", "'")
        yield f"| `{name}` | {change.type} | {_usd(change.before)} | {_usd(change.after)} | {change.usd:+.2f} |"
    if len(difference.changes) > most:
        yield ""
        yield f"{len(difference.changes) - most} smaller changes are not shown."


def _usd(usd: float | None) -> str:
    return "" if usd is None else f"{usd:.2f}"
