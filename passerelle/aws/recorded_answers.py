"""Recorded predictions of two models, each once, by DuckDB: of an A/B test, or of a shadow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from passerelle.aws.objects import Objects
from passerelle.aws.parquet_file import SETTINGS, quoted
from passerelle.contracts import zones
from passerelle.contracts.prediction import IDENTITY, INPUT, once_sql
from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.features.query import quoted as quoted_name

if TYPE_CHECKING:
    import pandas as pd

_SETTINGS: Final = {**SETTINGS, "threads": 2}
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
    asked = [name for name in entity if name not in _READ]
    delivered = _delivered(paths, since, until)
    spelt = " || '|' || ".join(f"CAST({quoted_name(name)} AS VARCHAR)" for name in entity)
    query = (
        f"SELECT inference_id, request_row, variant = {quoted(SHADOW_VARIANT)} AS challenger, score, decision, "
        f"entity_id, {spelt} AS entity FROM ({once_sql(delivered, [*_READ, *asked])}) "
        "ORDER BY event_time, inference_id, request_row, variant"
    )
    with duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(folder)}) as connection:
        return connection.execute(query).df()


def paired_answers(paths: Sequence[Path], since: datetime, until: datetime, folder: Path) -> pd.DataFrame:
    """Return the rows that both models answered within a time, UTC, paired by what was asked.

    A model's answer follows from its inputs alone, so rows of equal inputs and entity are the same request, whatever
    ids SageMaker gave the copy that the shadow got. Columns: `inference_id` and `request_row` (of the champion's, which
    the caller got), `entity_id`, and `score` and `decision` of both, as `champion_score` and so on.
    """
    import duckdb
    import pandas as pd

    both = [f"{who}_{what}" for who in ("champion", "challenger") for what in ("score", "decision")]
    if not paths:
        return pd.DataFrame({name: [] for name in ["inference_id", "request_row", "entity_id", *both]})
    with duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(folder)}) as connection:
        delivered = _delivered(paths, since, until)
        names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {delivered}").fetchall()]
        inputs = [name for name in names if name.startswith(INPUT)]
        key = f"row({', '.join(quoted_name(name) for name in ('entity_id', *inputs))})"
        once = f"SELECT *, {key} AS asked FROM ({once_sql(delivered, [*_READ, *inputs])})"
        # Of one that was asked again, the first answer.
        first = "SELECT DISTINCT ON (asked) * FROM answers WHERE variant = {} ORDER BY asked, event_time, inference_id"
        return connection.execute(
            f"WITH answers AS ({once}), champion AS ({first.format(quoted(VARIANT))}), "
            f"challenger AS ({first.format(quoted(SHADOW_VARIANT))}) "
            "SELECT champion.inference_id, champion.request_row, champion.entity_id, "
            "champion.score AS champion_score, champion.decision AS champion_decision, "
            "challenger.score AS challenger_score, challenger.decision AS challenger_decision "
            "FROM champion JOIN challenger ON champion.asked IS NOT DISTINCT FROM challenger.asked "
            "ORDER BY champion.event_time, champion.inference_id, champion.request_row"
        ).df()


def values_of(column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column, None where there is none."""
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _delivered(paths: Sequence[Path], since: datetime, until: datetime) -> str:
    """Return the relation of what both models were asked within a time; what is there twice is there twice."""
    files = f"read_parquet([{', '.join(quoted(str(path)) for path in paths)}], union_by_name = true)"
    moments = [quoted(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}") for moment in (since, until)]
    within = f"event_time >= TIMESTAMP {moments[0]} AND event_time < TIMESTAMP {moments[1]}"
    variants = f"variant IN ({quoted(VARIANT)}, {quoted(SHADOW_VARIANT)})"
    return f"(SELECT * FROM {files} WHERE {within} AND {variants})"
