"""Evidently's default drift of a window; run in an environment of its own by `bench.drift_tool`."""

from __future__ import annotations

from importlib.metadata import version

from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

from bench.drift_tool import Look, to_frame
from bench.drift_windows import Window
from passerelle.domain.drift.levels import Encoded

VERSION = version("evidently")
RULE = "evidently"


def look(reference: Window, window: Window) -> Look:
    """Return what its default tests say, called one by one as its report calls them: without missing values."""
    found = []
    before, now = to_frame(reference), to_frame(window)
    for name, values in window.items():
        kind = ColumnType.Categorical if isinstance(values, Encoded) else ColumnType.Numerical
        pair = before[name].dropna(), now[name].dropna()
        if len(pair[1]):  # its report raises a ValueError for an empty column
            done = get_stattest(*pair, kind, None)(*pair, kind, None)
            found.append((float(done.drift_score), bool(done.drifted)))
    return _look(found)


score = look


def report(reference: Window, window: Window) -> Look:
    """Return what its DataDriftPreset says."""
    definition = DataDefinition(
        numerical_columns=[name for name, values in window.items() if not isinstance(values, Encoded)],
        categorical_columns=[name for name, values in window.items() if isinstance(values, Encoded)],
    )
    before, now = (Dataset.from_pandas(to_frame(each), definition) for each in (reference, window))
    metrics = Report([DataDriftPreset()]).run(now, before).dict()["metrics"]
    # Of a large reference its default tests are distances: drift is to be at the threshold or above.
    columns = [metric for metric in metrics if "column" in metric["config"]]
    found = _look([(float(one["value"]), one["value"] >= one["config"]["threshold"]) for one in columns])
    drifted = next(metric["value"]["count"] for metric in metrics if "drift_share" in metric["config"])
    return Look(scores=found.scores, alarms={RULE: int(drifted)})


def _look(found: list[tuple[float, bool]]) -> Look:
    return Look(
        scores={RULE: max((score for score, _ in found), default=0.0)},
        alarms={RULE: sum(drifted for _, drifted in found)},
    )
