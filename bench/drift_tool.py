"""One tool looks at all windows: run by `bench.drift` in that tool's environment, one JSON object on standard output.

    python -m bench.drift_tool ours|alibi-style|evidently|nannyml TASK

Evidently and NannyML are asked by the functions of their packages that their reports call, which is many times quicker
than a report; the first windows are given to the report, too, and the run ends where the two disagree. alibi-style is
the rule of alibi-detect's TabularDrift (Business Source License, so not run here): SciPy's two-sample
Kolmogorov-Smirnov test of a column of numbers and chi-square test of one of levels, Bonferroni over columns.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.drift_windows import CASES, POPULATIONS, POWER_ROWS, Window, digest, drawn, unchanged
from passerelle.domain.drift.levels import Encoded

ERROR: Final = 0.05
_VERIFIED: Final = 2
_LEAST: Final = 1e-300


@dataclass(frozen=True)
class Look:
    """What a tool says of a window: by rule its score, the higher the more drift, and how many columns alarm."""

    scores: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)


Tool = Callable[[Window, Window], Look]


def ours(reference: Window, window: Window) -> Look:
    """Passerelle: the distribution's p-value, the least of all signals', and what `judge` says by its defaults."""
    from passerelle.contracts.bundle import ColumnType
    from passerelle.domain.drift.judged import judge
    from passerelle.domain.drift.profile import count
    from passerelle.domain.drift.reference import make_reference

    types: dict[str, ColumnType] = {
        name: "category" if isinstance(values, Encoded) else "number" for name, values in reference.items()
    }
    made = make_reference(reference, types, list(types))
    drift = judge(made, count(made.layout, window))
    named = [signal.p_value for signal in drift.signals if signal.kind in ("distribution", "constant")]
    every = [signal.p_value for signal in drift.signals]
    return Look(
        scores={"ours": surprise(min(named, default=1.0)), "ours, any signal": surprise(min(every, default=1.0))},
        alarms={"ours": len({signal.column for signal in drift.alarms})},
    )


def alibi_style(reference: Window, window: Window) -> Look:
    """TabularDrift's rule, rows with a missing value left out column by column."""
    from scipy.stats import chi2_contingency, ks_2samp

    p_values = []
    for name, values in window.items():
        before = reference[name]
        if isinstance(values, Encoded):
            counts = [np.bincount(each.codes + 1, minlength=len(each.levels) + 1)[1:] for each in (before, values)]
            table = np.array(counts)[:, np.add(*counts) > 0]
            p_values.append(float(chi2_contingency(table).pvalue) if table.shape[1] > 1 and table.sum(1).all() else 1.0)
        else:
            numbers = [each[~np.isnan(each)] for each in (before, values)]
            p_values.append(float(ks_2samp(*numbers).pvalue) if all(map(len, numbers)) else 1.0)
    alarms = sum(p_value < ERROR / len(p_values) for p_value in p_values)
    return Look(scores={"alibi-style": surprise(min(p_values))}, alarms={"alibi-style": alarms})


def to_frame(window: Window) -> Any:
    """Return a window as a frame of pandas': texts as objects, as pandas before 3 reads them."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: np.array([*values.levels, np.nan], object)[values.codes] if isinstance(values, Encoded) else values
            for name, values in window.items()
        }
    )


def surprise(p_value: float) -> float:
    """Return a p-value as a score, the higher the less likely."""
    return -math.log10(max(p_value, _LEAST))


def false_alarms(tool: Tool, repetitions: int, flights: Path) -> list[dict[str, Any]]:
    """Return, for each case and rule, in how many windows how many columns alarmed though nothing had changed."""
    found = []
    for case in CASES:
        alarmed: dict[str, list[int]] = {}
        last = 0.0
        for repetition in range(repetitions):
            reference, window = unchanged(case, repetition, flights)
            for rule, columns in tool(reference, window).alarms.items():
                alarmed.setdefault(rule, []).append(columns)
            last = digest(window)
        for rule, columns_alarmed in alarmed.items():
            row = {"case": case.name, "rule": rule, "windows": len(columns_alarmed), "columns": case.columns}
            row |= {"alarmed": sum(map(bool, columns_alarmed)), "columns_alarmed": sum(columns_alarmed)}
            found.append(row | {"half_alarmed": sum(n >= case.columns / 2 for n in columns_alarmed), "digest": last})
            print(f"  {case.name}: {rule} {row['alarmed']} of {len(columns_alarmed)}", file=sys.stderr, flush=True)
    return found


def scores(tool: Tool, calibration: int, repetitions: int) -> list[dict[str, Any]]:
    """Return the scores and default alarms of windows of each population, strength and size.

    Of unchanged windows `calibration` are drawn, by which `bench.drift_shares` sets each rule's threshold.
    """
    found = []
    for population in POPULATIONS:
        print(f"  {population.name}", file=sys.stderr, flush=True)
        for rows in POWER_ROWS:
            for strength in (population.unchanged, *population.strengths):
                times = calibration if strength == population.unchanged else repetitions
                looks = [tool(*drawn(population, rows, strength, repetition)) for repetition in range(times)]
                rules = looks[0].scores if looks else ()
                row: dict[str, Any] = {
                    "population": population.name,
                    "rows": rows,
                    "strength": strength,
                    "windows": times,
                }
                row |= {"scores": {rule: [round(look.scores[rule], 6) for look in looks] for rule in rules}}
                alarms = looks[0].alarms if looks else ()
                row |= {"alarmed": {rule: sum(bool(look.alarms[rule]) for look in looks) for rule in alarms}}
                found.append(row)
    return found


def verified(tool: Tool, report: Tool, flights: Path) -> int:
    """Give the first windows to the package's own report, too; returns how many agreed.

    Raises SystemExit where one does not.
    """
    looked = 0
    for case in CASES:
        if case.rows in (100, 1_000) and case.columns < 50:
            for repetition in range(_VERIFIED):
                windows = unchanged(case, repetition, flights)
                short, long = tool(*windows), report(*windows)
                for rule, columns in long.alarms.items():
                    if short.alarms[rule] != columns or not np.isclose(short.scores[rule], long.scores[rule]):
                        raise SystemExit(f"{case.name}: {rule} alone says {short}, in its report {long}")
                looked += 1
    return looked


def main() -> None:
    """Look at the windows of the part that the task names."""
    warnings.simplefilter("ignore")
    name, task = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    flights = Path(task["flights"])
    result: dict[str, Any] = {}
    if name in ("ours", "alibi-style"):
        tool = ours if name == "ours" else alibi_style
    else:
        module = importlib.import_module(f"bench.drift_{name}")
        result |= {"version": module.VERSION, "verified": verified(module.look, module.report, flights)}
        tool = module.look if task["part"] == "alarms" else module.score
    if task["part"] == "alarms":
        result["rows"] = false_alarms(tool, task["repetitions"], flights)
    else:
        result["rows"] = scores(tool, task["calibration"], task["repetitions"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
