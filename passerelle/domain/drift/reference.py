"""The reference: what the model's training data looked like, made once and kept in its bundle in place of rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.form import read_form
from passerelle.domain.drift.layout import PAIRED, Cuts, Layout, TimeCuts, pair_name, quarters_of
from passerelle.domain.drift.levels import level_counts
from passerelle.domain.drift.numbers import Sorted, sort_numbers
from passerelle.domain.drift.profile import Prepared, Profile, count

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType

#: Of the file's form; another form's reference is refused with the remedy.
FORMAT: Final = 2
_NUMBERS: Final = ("integer", "number")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A layout and what the training data counted by it.

    `usual` is, by column, the share of rows that moved between blocks of the training period and the rest of it: what
    changes all the time is no news.
    """

    layout: Layout
    profile: Profile
    usual: Mapping[str, float] = field(default_factory=dict)

    def only(self, names: Collection[str]) -> Reference:
        """Return a reference of these columns, and of the pairs among them."""
        layout = Layout(
            columns={name: cuts for name, cuts in self.layout.columns.items() if name in names},
            quarters={name: borders for name, borders in self.layout.quarters.items() if name in names},
        )
        profile = replace(
            self.profile,
            layout_id=layout.id,
            columns={name: self.profile.columns[name] for name in layout.columns},
            pairs={pair: self.profile.pairs[pair] for pair in layout.pairs},
        )
        told = {*names, *(pair_name(pair) for pair in layout.pairs)}
        return Reference(
            layout=layout, profile=profile, usual={name: moved for name, moved in self.usual.items() if name in told}
        )

    def joined(self, other: Reference) -> Reference:
        """Return a reference of the columns of both, each with its own rows; `rows` stay this one's."""
        layout = Layout(
            columns={**self.layout.columns, **other.layout.columns},
            quarters={**self.layout.quarters, **other.layout.quarters},
        )
        profile = replace(self.profile, layout_id=layout.id, columns={**self.profile.columns, **other.profile.columns})
        return Reference(layout=layout, profile=profile, usual={**self.usual, **other.usual})

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        parts = {"layout": self.layout.to_dict(), "profile": self.profile.to_dict()}
        return {"format": FORMAT, **parts, "usual": dict(self.usual)}

    def to_json(self) -> str:
        """Return the reference as compact JSON."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the reference that `to_json` gave.

        Raises LayoutError for one of another form, InputError for what is none.
        """
        found = read_form(text, FORMAT, "reference profile")
        layout = Layout.from_dict(found["layout"])
        return cls(layout=layout, profile=Profile.from_dict(found["profile"], layout), usual=found["usual"])


def make_reference(
    columns: Mapping[str, Any], types: Mapping[str, ColumnType], important: Sequence[str] = ()
) -> Reference:
    """Return the reference of a table.

    Parameters
    ----------
    columns : by name, arrays or sequences of shape (n,), or `Encoded`.
    types : each column's type of the contract.
    important : columns to count in pairs, the first `PAIRED` of them.
    """
    prepared = {name: _prepared(type_, columns[name]) for name, type_ in types.items() if type_ != "datetime"}
    cuts = {name: _cuts(prepared.get(name)) for name in types}
    paired = [name for name in important if name in cuts and not isinstance(cuts[name], TimeCuts)][:PAIRED]
    quarters = {name: quarters_of(cuts[name], getattr(prepared[name], "numbers", None)) for name in paired}
    layout = Layout(columns=cuts, quarters={name: borders for name, borders in quarters.items() if borders})
    return Reference(layout=layout, profile=count(layout, {name: columns[name] for name in types}, prepared))


def _prepared(type_: ColumnType, values: Any) -> Prepared:
    return sort_numbers(values) if type_ in _NUMBERS else level_counts(values)


def _cuts(prepared: Prepared | None) -> Cuts:
    if prepared is None:
        return TimeCuts()
    return NumberCuts.of(prepared.numbers) if isinstance(prepared, Sorted) else LevelCuts.of([*prepared.counts.items()])
