"""Each prediction once, of files that may hold it twice: for pandas, and so for awswrangler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerelle.contracts.prediction import IDENTITY

if TYPE_CHECKING:
    import pandas as pd


def once(delivered: pd.DataFrame) -> pd.DataFrame:
    """Return the earliest row of each prediction, as `contracts.prediction.once_sql` does."""
    ordered = delivered.sort_values(["event_time", "version", "score"], kind="stable")
    return ordered.drop_duplicates(list(IDENTITY), keep="first").reset_index(drop=True)
