"""The reference: what the model's training data looked like, made once and kept in its bundle in place of rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.form import read_form
from passerelle.domain.drift.layout import PAIRED, Cuts, Layout, TimeCuts, pair_name, quarters_of
from passerelle.domain.drift.levels import level_counts
from passerelle.domain.drift.numbers import Sorted, sort_numbers
from passerelle.domain.drift.profile import Array, Prepared, Profile, count
from passerelle.domain.drift.segment_counts import ROWS
from passerelle.domain.drift.segments import SegmentCuts, segment_name

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType

#: Of the file's form; another form's reference is refused with the remedy.
FORMAT: Final = 4
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
        """Return a reference of these columns, and of the pairs and segments among them."""
        layout = Layout(
            columns={name: cuts for name, cuts in self.layout.columns.items() if name in names},
            quarters={name: borders for name, borders in self.layout.quarters.items() if name in names},
            segments={name: cuts for name, cuts in self.layout.segments.items() if name in names},
            within={name: borders for name, borders in self.layout.within.items() if name in names},
        )
        profile = replace(
            self.profile,
            layout_id=layout.id,
            columns={name: self.profile.columns[name] for name in layout.columns},
            pairs={pair: self.profile.pairs[pair] for pair in layout.pairs},
            segments={by: _of_columns(self.profile.segments[by], layout) for by in layout.segments},
        )
        told = {*names, *(pair_name(pair) for pair in layout.pairs), *_told_of_segments(layout)}
        return Reference(
            layout=layout, profile=profile, usual={name: moved for name, moved in self.usual.items() if name in told}
        )

    def joined(self, other: Reference) -> Reference:
        """Return a reference of the columns of both, each with its own rows; `rows` stay this one's.

        Segments stay those that both divide alike.
        """
        mine, others = self.layout, other.layout
        layout = Layout(
            columns={**mine.columns, **others.columns},
            quarters={**mine.quarters, **others.quarters},
            segments={by: cuts for by, cuts in mine.segments.items() if others.segments.get(by) == cuts},
            within={**mine.within, **others.within},
        )
        profile = replace(
            self.profile,
            layout_id=layout.id,
            columns={**self.profile.columns, **other.profile.columns},
            segments={by: {**other.profile.segments[by], **self.profile.segments[by]} for by in layout.segments},
        )
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
    columns: Mapping[str, Any],
    types: Mapping[str, ColumnType],
    important: Sequence[str] = (),
    segments: Mapping[str, SegmentCuts] | None = None,
) -> Reference:
    """Return the reference of a table.

    Parameters
    ----------
    columns : by name, arrays or sequences of shape (n,), or `Encoded`.
    types : each column's type of the contract.
    important : columns to count in pairs, the first `PAIRED` of them.
    segments : by column, how it divides rows (`segment_cuts`); it need not have a type. Within their levels the
        important columns and the model's answers are counted in parts, of all others the missing values.
    """
    prepared = {name: _prepared(type_, columns[name]) for name, type_ in types.items() if type_ != "datetime"}
    cuts = {name: _cuts(prepared.get(name)) for name in types}
    paired = [name for name in important if name in cuts and not isinstance(cuts[name], TimeCuts)][:PAIRED]
    answers = [name for name in (SCORE, DECISION) if segments and name in cuts and name not in paired]
    borders = {name: quarters_of(cuts[name], getattr(prepared[name], "numbers", None)) for name in (*paired, *answers)}
    layout = Layout(
        columns=cuts,
        quarters={name: borders[name] for name in paired if borders[name]},
        segments=segments or {},
        within={name: borders[name] for name in answers if borders[name]},
    )
    counted = {name: columns[name] for name in columns if name in types or name in layout.segments}
    return Reference(layout=layout, profile=count(layout, counted, prepared))


def _told_of_segments(layout: Layout) -> set[str]:
    """Return what the columns are called within each level of the segments."""
    names = (segment_name(by, level) for by, cuts in layout.segments.items() for level in cuts.names)
    return {f"{segment}: {name}" for segment in names for name in layout.columns}


def _of_columns(tables: Mapping[str, Array], layout: Layout) -> dict[str, Array]:
    return {name: table for name, table in tables.items() if name == ROWS or name in layout.columns}


def _prepared(type_: ColumnType, values: Any) -> Prepared:
    return sort_numbers(values) if type_ in _NUMBERS else level_counts(values)


def _cuts(prepared: Prepared | None) -> Cuts:
    if prepared is None:
        return TimeCuts()
    return NumberCuts.of(prepared.numbers) if isinstance(prepared, Sorted) else LevelCuts.of([*prepared.counts.items()])
