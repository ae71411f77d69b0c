"""The files that SageMaker Model Monitor writes, for whoever reads those: statistics, constraints, violations.

Their form is the developer guide's (Model Monitor: "Schema for Statistics", "Schema for Constraints", "Schema for
Violations"). The service itself is closed to new customers; its formats are read by dashboards and by the SageMaker
Python SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.layout import Layout
from passerelle.domain.drift.levels import LevelCounts
from passerelle.domain.drift.numbers import NumberCounts
from passerelle.domain.drift.profile import Counts, Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.signal import Kind, Limits, Signal

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType

_VERSION: Final = 0.0
#: As many as Model Monitor writes.
_BUCKETS: Final = 10
_CHECKS: Final[dict[Kind, str]] = {
    "distribution": "baseline_drift_check",
    "together": "baseline_drift_check",
    "tail": "baseline_drift_check",
    "constant": "baseline_drift_check",
    "missing": "completeness_check",
    "empty": "completeness_check",
    "unseen": "categorical_values_check",
    "invalid": "data_type_check",
    "infinite": "data_type_check",
    "lost": "missing_column_check",
    "new": "extra_column_check",
}


def statistics(layout: Layout, profile: Profile, types: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Return a window's statistics.json.

    Buckets are up to ten runs of the profile's own cells, with their true bounds and counts: Model Monitor's have equal
    widths, and its sketch of quantiles has no counterpart here.

    Parameters
    ----------
    types : the contract's types; a column that is not among them is of numbers or of levels, as it was counted.
    """
    columns = ((name, cuts, profile.columns[name]) for name, cuts in layout.columns.items())
    features = [
        _feature(name, types.get(name), cuts, counts)
        for name, cuts, counts in columns
        if isinstance(cuts, NumberCuts | LevelCuts)
    ]
    return {"version": _VERSION, "dataset": {"item_count": profile.rows}, "features": features}


def constraints(reference: Reference, types: Mapping[str, ColumnType], limits: Limits | None = None) -> dict[str, Any]:
    """Return a reference's constraints.json: what its data held to, and when a difference is one."""
    limits = limits or Limits()
    features = []
    for name, cuts in reference.layout.columns.items():
        counts = reference.profile.columns[name]
        feature: dict[str, Any] = {"name": name, "inferred_type": _type(types.get(name), cuts)}
        feature["completeness"] = 1 - counts.missing / counts.rows if counts.rows else 1.0
        if isinstance(counts, NumberCounts):
            feature["num_constraints"] = {"is_non_negative": counts.least is not None and counts.least >= 0}
        elif isinstance(cuts, LevelCuts) and cuts.distinct == len(cuts.levels):
            feature["string_constraints"] = {"domains": list(cuts.levels)}
        features.append(feature)
    comparison = {
        "perform_comparison": "Enabled",
        "comparison_threshold": limits.distribution[0],
        "comparison_method": "Robust",
        "categorical_drift_method": "LInfinity",
    }
    config = {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        "datatype_check_threshold": 1 - limits.share[0],
        "domain_content_threshold": 1 - limits.share[0],
        "distribution_constraints": comparison,
    }
    return {"version": _VERSION, "features": features, "monitoring_config": config}


def violations(drift: Drift) -> dict[str, Any]:
    """Return a window's constraint_violations.json: what alarms, and columns that are new."""
    found = [
        {
            "feature_name": signal.column,
            "constraint_check_type": _CHECKS[signal.kind],
            "description": f"{signal.severity}: {_described(signal)}" if signal.alarm else _described(signal),
        }
        for signal in drift.signals
        if (signal.alarm or signal.kind == "new") and signal.kind in _CHECKS
    ]
    return {"violations": found}


def _described(signal: Signal) -> str:
    return f"{signal.segment}: {signal.words}" if signal.segment else signal.words


def _type(type_: ColumnType | None, cuts: Any) -> str:
    if isinstance(cuts, NumberCuts):
        return "Integral" if type_ == "integer" else "Fractional"
    return "String" if isinstance(cuts, LevelCuts) else "Unknown"


def _feature(name: str, type_: ColumnType | None, cuts: NumberCuts | LevelCuts, counts: Counts) -> dict[str, Any]:
    common = {"num_present": counts.rows - counts.missing, "num_missing": counts.missing}
    found: dict[str, Any] = {"name": name, "inferred_type": _type(type_, cuts)}
    if isinstance(cuts, NumberCuts) and isinstance(counts, NumberCounts):
        mean = counts.mean(cuts)
        found["numerical_statistics"] = {
            "common": common,
            "mean": mean,
            "sum": None if mean is None else mean * counts.finite,
            "std_dev": counts.deviation(cuts),
            "min": counts.least,
            "max": counts.greatest,
            "distribution": {"kll": {"buckets": list(_buckets(cuts, counts))}},
        }
    elif isinstance(cuts, LevelCuts) and isinstance(counts, LevelCounts):
        named = zip(cuts.levels, counts.cells.tolist(), strict=True)
        seen = [*((level, count) for level, count in named if count), *counts.news.items()]
        found["string_statistics"] = {
            "common": common,
            "distinct_count": counts.distinct,
            "distribution": {"categorical": {"buckets": [{"value": level, "count": count} for level, count in seen]}},
        }
    return found


def _buckets(cuts: NumberCuts, counts: NumberCounts) -> Iterator[dict[str, Any]]:
    """Yield runs of cells that hold about a tenth of the numbers each."""
    if not counts.finite or counts.least is None or counts.greatest is None:
        return
    ends = [*cuts.cuts, counts.greatest]
    part = np.minimum(_BUCKETS - 1, (np.cumsum(counts.cells) - counts.cells / 2) * _BUCKETS // counts.finite)
    lower = counts.least
    for number in range(_BUCKETS):
        cells = np.flatnonzero((part == number) & (counts.cells > 0))
        if len(cells):
            upper = float(min(ends[int(cells[-1])], counts.greatest))
            yield {"lower_bound": lower, "upper_bound": upper, "count": int(counts.cells[cells].sum())}
            lower = upper
