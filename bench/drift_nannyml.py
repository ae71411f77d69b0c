"""NannyML's default drift of a window as one chunk; run in an environment of its own by `bench.drift_tool`.

Its threshold is the mean of the reference's chunks and three of their standard deviations. Chunks are either of the
window's size (its documentation's advice), or ten of the reference (its default, as chunks of days or weeks have it).
"""

from __future__ import annotations

import os

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

from importlib.metadata import version

import numpy as np
import pandas as pd
from nannyml import UnivariateDriftCalculator
from nannyml.chunk import CountBasedChunker, SizeBasedChunker
from nannyml.drift.univariate.methods import FeatureType, MethodFactory
from nannyml.thresholds import StandardDeviationThreshold

from bench.drift_tool import Look, to_frame
from bench.drift_windows import Window
from passerelle.domain.drift.levels import Encoded

VERSION = version("nannyml")
RULE = "nannyml"
TEN = "nannyml, ten chunks"
_CHUNKS = 10


def look(reference: Window, window: Window) -> Look:
    """Return the greatest Jensen-Shannon distance of a column, and how many columns alarm by either chunking."""
    return _look(reference, window, (TEN, RULE) if 2 * _rows(window) <= _rows(reference) else (TEN,))


def score(reference: Window, window: Window) -> Look:
    """As `look`, by ten chunks only: chunks set the threshold, the distance is of whole windows by either chunking."""
    return _look(reference, window, (TEN,))


def _rows(window: Window) -> int:
    values = next(iter(window.values()))
    return len(values.codes if isinstance(values, Encoded) else values)


def _look(reference: Window, window: Window, rules: tuple[str, ...]) -> Look:
    before, now = to_frame(reference), to_frame(window)
    found: list[float] = []
    alarms = dict.fromkeys(rules, 0)
    for name, values in window.items():
        kind = FeatureType.CATEGORICAL if isinstance(values, Encoded) else FeatureType.CONTINUOUS
        for rule in alarms:
            chunker = SizeBasedChunker(len(now)) if rule == RULE else CountBasedChunker(_CHUNKS)
            threshold = StandardDeviationThreshold(std_lower_multiplier=None)
            method = MethodFactory.create("jensen_shannon", kind, chunker=chunker, threshold=threshold)
            value = method.fit(before[name]).calculate(now[name])
            alarms[rule] += bool(method.alert(value))
        found.append(0.0 if np.isnan(value) else float(value))
    return Look(scores={RULE: max(found)}, alarms=alarms)


def report(reference: Window, window: Window) -> Look:
    """Return what its UnivariateDriftCalculator says, by chunks of the window's size."""
    before, now = to_frame(reference), to_frame(window)
    calculator = UnivariateDriftCalculator(column_names=list(window), chunk_size=len(now))
    told: pd.DataFrame = calculator.fit(before).calculate(now).filter(period="analysis").to_df()
    values = [float(told[name, "jensen_shannon", "value"].iloc[0]) for name in window]
    alarms = sum(bool(told[name, "jensen_shannon", "alert"].iloc[0]) for name in window)
    return Look(scores={RULE: float(np.nanmax(values))}, alarms={RULE: alarms})
