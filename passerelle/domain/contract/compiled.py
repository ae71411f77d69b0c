"""A contract's rules compiled once to DuckDB's SQL, to be run on any number of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Final

import ibis

from passerelle.contracts.bundle import DerivedFeature
from passerelle.domain.contract.faults import FAULTS_OF_ROWS
from passerelle.domain.contract.rules import CellRule, cell_rules, keeps_rules, read_cells
from passerelle.domain.features.query import prepared_query
from passerelle.domain.project import Column, Project

#: Columns of the table of texts, beside the declared ones. The names are reserved in contracts.
LINE: Final = "_line"
RAW: Final = "_raw"
FAULTS: Final = "__faults"
#: Columns of the quarantine.
FILE: Final = "_file"
REASONS: Final = "_reasons"
#: The table that the queries read.
TEXTS: Final = "texts"
_TYPES: Final = {"integer": "int64", "number": "float64", "datetime": "timestamp"}


class CompiledContract:
    """Two queries over a table `texts`: together they return each of its rows once.

    Each is compiled when it is first asked for: that takes longer than running it on a small file. `rules` are the
    cells' rules by reason (`code:column`), `derived` the features that good rows get. Times are read as UTC: run with
    TimeZone UTC.
    """

    def __init__(
        self,
        declared: tuple[Column, ...],
        nulls: tuple[str, ...],
        derived: tuple[DerivedFeature, ...],
        typed: frozenset[str] = frozenset(),
    ) -> None:
        self.derived = derived
        self._declared, self._nulls = declared, nulls
        self._names = [column.name for column in declared]
        read_as = {column.name: _TYPES.get(column.type, "string") for column in declared if column.name in typed}
        columns = {name: read_as.get(name, "string") for name in self._names}
        schema = {LINE: "int64", FAULTS: "array<string>", RAW: "string", **columns}
        table = ibis.table(schema, name=TEXTS)
        self._layers: list[str] = []
        table, cells = read_cells(table, declared, nulls, self._layer, typed)
        rules = [rule for cell in cells for rule in cell_rules(cell)]
        self._table = table
        kept = [condition for cell in cells if (condition := keeps_rules(cell)) is not None]
        self._kept = [table[FAULTS].isnull(), *kept]
        self.rules: Mapping[str, CellRule] = {_reason(rule): rule for rule in rules}

    def of_typed(self, typed: frozenset[str]) -> CompiledContract:
        """Return the same contract of a table `texts` that has some columns as their types; only `good` is asked of it.

        Texts among them are trimmed, and null words are NULL there.
        """
        return _compiled(self._declared, self._nulls, self.derived, typed)

    def _layer(self, table: ibis.Table) -> ibis.Table:
        """Close a layer: Ibis would merge it with the next, and DuckDB compute its cells again at every mention."""
        name = f"layer{len(self._layers)}"
        self._layers.append(f"{name} AS ({_sql(table)})")
        return ibis.table(table.schema(), name=name)

    def _query(self, table: ibis.Table) -> str:
        return f"WITH {', '.join(self._layers)} {_sql(table)}"

    @cached_property
    def good(self) -> str:
        """The rows that keep every rule: line, typed values and what is derived of them."""
        values = {name: self._table[f"__v{i}"] for i, name in enumerate(self._names)}
        good = self._query(self._table.filter(*self._kept).select(LINE, **values))
        return prepared_query(good, self.derived)

    @cached_property
    def bad(self) -> str:
        """The other rows as they came, with all their reasons."""
        reasons = _reasons(self._table, list(self.rules.values()))
        bad = self._table.filter(~_all(self._kept).fill_null(False))
        return self._query(bad.select(LINE, reasons.name(REASONS), RAW, *self._names))


def compile_contract(project: Project, derived: tuple[DerivedFeature, ...] = ()) -> CompiledContract:
    """Return the compiled contract of a project, the same one for the same columns and features."""
    return _compiled(project.data.columns, project.data.null_values, derived)


_compiled = lru_cache(maxsize=16)(CompiledContract)


def _all(conditions: Sequence[ibis.expr.types.BooleanValue]) -> ibis.expr.types.BooleanValue:
    """Join conditions by AND as a balanced tree: a chain of thousands would be deeper than Python recurses."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return _all(conditions[:half]) & _all(conditions[half:])


def _sql(table: ibis.Table) -> str:
    return str(ibis.to_sql(table, dialect="duckdb", pretty=False))


def _reason(rule: CellRule) -> str:
    return f"{rule.code}:{rule.column}"


def _reasons(table: ibis.Table, rules: Sequence[CellRule]) -> ibis.expr.types.ArrayValue:
    """Return every reason at once: faults of the row, then broken rules; of a row without cells only the fault."""
    none, whole = ibis.null("string"), [f"{code}:" for code, fault in FAULTS_OF_ROWS.items() if fault.whole]
    broken = ibis.array([none, *(rule.bad.ifelse(_reason(rule), none) for rule in rules)])
    faults = table[FAULTS].coalesce(ibis.literal([], type="array<string>"))
    both = faults.concat(broken.filter(lambda code: code.notnull()))
    return table[FAULTS][0].isin(whole).fill_null(False).ifelse(faults, both)
