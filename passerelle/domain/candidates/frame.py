"""From columns of plain values to the data frame that every fitted pipeline reads; one code path for all users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from passerelle.contracts.bundle import SignatureColumn


def typed_frame(columns: Mapping[str, Sequence[Any]], inputs: Sequence[SignatureColumn]) -> pd.DataFrame:
    """Return a frame of shape (n_rows, n_inputs), columns in the signature's order.

    Numbers and booleans become float64 with NaN for missing, texts become objects with None, datetimes
    datetime64[ns] in UTC with NaT.

    Raises KeyError when a column is missing.
    """
    return pd.DataFrame({column.name: _typed(columns[column.name], column) for column in inputs})


def plain_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a typed frame as columns of plain values, as a caller sends them: `typed_frame` the other way round."""
    return {str(name): _plain(frame[name].to_numpy()) for name in frame.columns}


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    if values.dtype.kind != "M":
        return [None if value is None or value != value else value for value in values.tolist()]
    whole = values.astype("datetime64[s]")
    finest = whole if np.all((whole == values) | np.isnat(values)) else values
    return [None if moment == "NaT" else f"{moment}Z" for moment in np.datetime_as_string(finest).tolist()]


def plain_value(value: Any) -> Any:
    """Return a cell as JSON has it: None for a missing one, ISO 8601 in UTC for a moment."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return f"{value.isoformat()}Z"
    return value.item() if hasattr(value, "item") else value


def _typed(values: Sequence[Any] | pd.Series[Any], column: SignatureColumn) -> Any:
    if column.type in ("integer", "number", "boolean"):
        if isinstance(values, pd.Series) and values.dtype.kind in "bfiu":
            return values.to_numpy(np.float64)
        return pd.to_numeric(pd.Series(values, dtype=object), errors="raise").to_numpy(np.float64, na_value=np.nan)
    if column.type == "datetime":
        moments = pd.to_datetime(pd.Series(values), utc=True, format="ISO8601")
        return moments.dt.tz_localize(None).astype("datetime64[ns]").to_numpy()
    if isinstance(values, pd.Series) and values.dtype == "str":
        texts = np.array(values, dtype=object)
        texts[values.isna()] = None
        return texts
    objects = np.empty(len(values), dtype=object)
    objects[:] = [None if value is None or value is pd.NA or value != value else str(value) for value in values]
    return objects
