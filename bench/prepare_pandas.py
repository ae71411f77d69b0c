"""The contract of a project held by pandas: what a careful team writes by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from passerelle.contracts.words import ISO_MOMENT
from passerelle.domain.project import Column, Project


def typed_rows(texts: pd.DataFrame, project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that keep the contract, typed, and the others as they came with their reasons."""
    good: dict[str, Any] = {}
    bad = np.zeros(len(texts), dtype=bool)
    reasons: list[tuple[str, Any]] = []
    for column in project.data.columns:
        text = texts[column.name].str.strip()
        text = text.mask(text.isin(["", *project.data.null_values]))
        value = _typed(column, text)
        good[column.name] = value
        for code, broken in _broken(column, text, value):
            found = broken.fillna(False).to_numpy(bool)
            if found.any():
                reasons.append((f"{code}:{column.name}", found))
                bad |= found
    table = pd.DataFrame(good)
    table.insert(0, "_line", np.arange(2, len(texts) + 2))
    rejected = texts[bad].assign(_reasons=_joined(reasons, bad))
    return table[~bad].drop(columns="_line"), rejected


def _joined(reasons: list[tuple[str, Any]], bad: Any) -> list[str]:
    return [" ".join(code for code, found in reasons if found[index]) for index in np.flatnonzero(bad)]


def _typed(column: Column, text: Any) -> Any:
    if column.type in ("integer", "number"):
        number = pd.to_numeric(text.mask(text.str.contains("_", regex=False)), errors="coerce")
        number = number.mask(~np.isfinite(number))
        if column.type == "number":
            return number.astype("float64")
        return number.mask(number != np.floor(number)).astype("Int64")
    if column.type == "datetime":
        iso = text.where(text.str.fullmatch(ISO_MOMENT))
        return pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    return text


def _broken(column: Column, text: Any, value: Any) -> Any:
    if not column.nullable:
        yield "null", text.isna()
    if column.type not in ("category", "text"):
        yield "type", text.notna() & value.isna()
    if column.min is not None:
        yield "min", value < column.min
    if column.max is not None:
        yield "max", value > column.max
    if column.allowed is not None:
        yield "allowed", value.notna() & ~value.isin(list(column.allowed))
    if column.max_length is not None:
        yield "max_length", text.str.len() > column.max_length
