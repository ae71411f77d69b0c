"""Columns of tables as they are counted, of pandas and of Arrow: texts by their dictionary, missing values as one kind.

Neither library is imported here: whoever has a frame has imported it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from passerelle.domain.drift.levels import Encoded
from passerelle.domain.drift.signal import Signal
from passerelle.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from passerelle.domain.drift.judged import Drift

#: What pandas' dtypes say of numbers and times: signed, unsigned, floating point, datetime.
_NUMBERS: Final = "iuf"
_TEXTS: Final = ("string", "large_string", "string_view")


def from_pandas(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a frame's columns by name, as `make_reference` and `count` take them.

    Texts and categories come as `Encoded`, which is counted several times quicker than objects are; numbers as an
    array of NumPy's, NaN where they are missing; moments in UTC; objects that are not all texts as they are, None where
    they are missing.

    Raises InputError where two columns have one name.
    """
    names = [str(name) for name in frame.columns]
    _named_once(names)
    return {name: _of_series(frame.iloc[:, at]) for at, name in enumerate(names)}


def from_arrow(table: pa.Table | pa.RecordBatch) -> dict[str, Any]:
    """Return an Arrow table's or batch's columns by name, as `make_reference` and `count` take them.

    A column of Parquet that is read as a dictionary (`read_dictionary`) is never turned into texts.

    Raises InputError where two columns have one name.
    """
    names = list(table.schema.names)
    _named_once(names)
    return {name: _of_arrow(table.column(at)) for at, name in enumerate(names)}


def to_pandas(drift: Drift) -> pd.DataFrame:
    """Return a window's signals as a frame, the gravest first; pandas is imported here."""
    import pandas as pd

    rows = [signal.to_dict() for signal in drift.signals]
    flat = [{**row, **{f"effect_{name}": each for name, each in row.pop("effect").items()}} for row in rows]
    names = [field.name for field in fields(Signal) if field.name != "effect"]
    return pd.DataFrame(flat, columns=[*names, "effect_value", "effect_lower", "effect_upper"])


def _named_once(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Several columns are called {twice[0]}: which one to count is not known. Rename or drop one.")


def _of_series(series: pd.Series) -> Any:
    dtype: Any = series.dtype
    kind = getattr(dtype, "kind", "O")
    if hasattr(dtype, "categories"):
        return _encoded(series.cat.codes.to_numpy(), series.cat.categories.tolist())
    if kind == "M":
        moments = series.dt.tz_convert(None) if getattr(dtype, "tz", None) is not None else series
        return moments.to_numpy("datetime64[s]")
    if isinstance(dtype, np.dtype) and kind != "O":
        return series.to_numpy()
    if kind in _NUMBERS:
        return series.to_numpy(np.float64, na_value=np.nan) if series.hasnans else series.to_numpy(dtype=_plain(dtype))
    if kind in "OU":
        encoded = _texts(series)
        if encoded is not None:
            return encoded
    return series.astype(object).where(series.notna(), None).to_numpy()


def _plain(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's type of a column of pandas' or Arrow's numbers that misses none."""
    return np.dtype(f"{dtype.kind}{dtype.itemsize}")


def _texts(series: pd.Series) -> Encoded | None:
    """Return a column of texts by their dictionary; None where something else is among them."""
    try:
        codes, found = series.factorize()
    except TypeError:  # values that cannot be hashed
        return None
    levels: list[Any] = list(found)
    return Encoded(codes=codes, levels=levels) if all(isinstance(level, str) for level in levels) else None


def _of_arrow(column: Any) -> Any:
    if hasattr(column, "combine_chunks"):
        column = column.unify_dictionaries().combine_chunks()
    if str(column.type) in _TEXTS:
        column = column.dictionary_encode()
    if hasattr(column, "indices"):
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return _encoded(codes, column.dictionary.to_pylist())
    return column.to_numpy(zero_copy_only=False)


def _encoded(codes: Any, levels: list[Any]) -> Any:
    """Return categories as `Encoded` where all are texts; else row by row, so that a number stays one."""
    encoded = Encoded(codes=codes, levels=levels)
    return encoded if all(isinstance(level, str) for level in levels) else encoded.decoded()
