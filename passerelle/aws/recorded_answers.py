"""Recorded predictions of an A/B test, each once and in the order of their time, by DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from passerelle.aws.objects import Objects
from passerelle.aws.parquet_file import SETTINGS, quoted
from passerelle.contracts import zones
from passerelle.contracts.prediction import IDENTITY, once_sql
from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT

if TYPE_CHECKING:
    import pandas as pd

_READ: Final = (*IDENTITY, "event_time", "version", "score", "decision", "entity_id")


def fetch_records(
    objects: Objects,
    bucket: str,
    project: str,
    since: datetime,
    until: datetime,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Download the records of the days of a time, UTC; `progress` gets the bytes of each file."""
    day, paths = since.astimezone(UTC).date(), list[Path]()
    while day <= until.astimezone(UTC).date():
        prefix = f"{zones.prediction_records_prefix(project)}/{day:%Y-%m-%d}/"
        for key, size in objects.sizes(bucket, prefix):
            paths.append(objects.download(bucket, key, folder / f"{len(paths):08}.parquet"))
            progress(size)
        day += timedelta(days=1)
    return paths


def recorded_answers(
    paths: Sequence[Path], entity: Sequence[str], since: datetime, until: datetime, folder: Path
) -> pd.DataFrame:
    """Return the predictions of both models within a time, UTC, the first one first.

    Columns: `inference_id`, `request_row`, `challenger`, `score`, `decision`, `entity_id`, and `entity`, the text that
    the columns `entity` make together; it is missing where a request did not say all of it.
    """
    import duckdb
    import pandas as pd

    columns = ["inference_id", "request_row", "challenger", "score", "decision", "entity_id", "entity"]
    if not paths:
        return pd.DataFrame({name: [] for name in columns})
    files = f"read_parquet([{', '.join(quoted(str(path)) for path in paths)}], union_by_name = true)"
    asked = [name for name in entity if name not in _READ]
    moments = [quoted(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}") for moment in (since, until)]
    within = f"event_time >= TIMESTAMP {moments[0]} AND event_time < TIMESTAMP {moments[1]}"
    variants = f"variant IN ({quoted(VARIANT)}, {quoted(SHADOW_VARIANT)})"
    delivered = f"(SELECT * FROM {files} WHERE {within} AND {variants})"
    spelt = " || '|' || ".join(f'CAST("{name}" AS VARCHAR)' for name in entity)
    query = (
        f"SELECT inference_id, request_row, variant = {quoted(SHADOW_VARIANT)} AS challenger, score, decision, "
        f"entity_id, {spelt} AS entity FROM ({once_sql(delivered, [*_READ, *asked])}) "
        "ORDER BY event_time, inference_id, request_row, variant"
    )
    with duckdb.connect(":memory:", config={**SETTINGS, "threads": 2, "temp_directory": str(folder)}) as connection:
        return connection.execute(query).df()
