"""Recorded predictions of a window of time, read from their Parquet files by DuckDB and counted in chunks.

Used alike by the function and, where a window is too large for one, by a processing job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from passerelle.aws.parquet_file import SETTINGS, quoted
from passerelle.contracts.monitoring import CountedWindow, CountQuestion
from passerelle.contracts.prediction import DECISION, IDENTITY, INPUT, PROBABILITIES, SCORE, once_sql
from passerelle.domain.drift.classes import STRANGER, Classes
from passerelle.domain.drift.concept import Confirmed, confirm
from passerelle.domain.drift.estimated import Expected, expect
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import Reference

_CHUNK_ROWS: Final = 100_000
#: Fewer rows where they hold more probabilities of several classes than this.
_CHUNK_SHARES: Final = 150_000
#: What a file needs to be one of predictions.
_NEEDED: Final = (*IDENTITY, "event_time", "version", "score", "decision")
_UNKNOWN: Final = "unknown"
_LABEL: Final = "__label"
_SHARE: Final = "__share_{}"
#: So many classes that a model does not know are named, by so many characters.
_NAMED, _CHARACTERS = 3, 40


def recorded_name(column: str) -> str:
    """Return what records call a column of a reference."""
    return {SCORE: "score", DECISION: "decision"}.get(column, f"{INPUT}{column.lower()}")


def count_window(
    files: Sequence[Path],
    question: CountQuestion,
    reference: Reference,
    performance: PerformanceReference | None,
    *,
    labels: Path | None = None,
    memory_mib: int,
) -> CountedWindow:
    """Return what the records of a window counted.

    Parameters
    ----------
    reference : of the columns that records may have; those that none of the files has count as absent.
    performance : says what the model's errors should be; None where nothing does.
    labels : the labels of predictions as far as they are known (`contracts.monitoring.LABELS_FILE`).
    memory_mib : what DuckDB may use; beyond it, it writes beside the first file.
    """
    settings: dict[str, Any] = {**SETTINGS, "memory_limit": f"{memory_mib}MiB", "preserve_insertion_order": False}
    if files:
        settings["temp_directory"] = str(files[0].parent)
    with duckdb.connect(":memory:", config=settings) as connection:
        sound, broken = _sound(connection, files)
        if not sound:
            return CountedWindow(rows=0, delivered=0, broken=broken)
        listed = ", ".join(quoted(str(file)) for file in sound)
        delivered, latest = _deliver(connection, listed, question)
        others = _others(connection, question.version)
        seen = [coding.name for coding in performance.codings] if performance else []
        columns = _there(connection, [*reference.layout.columns, *seen, SCORE])
        profile = count(reference.layout, {})
        expected: Expected | None = None
        confirmed: Confirmed | None = None
        conflicts, rows = 0, _CHUNK_ROWS
        strange: Counter[str] = Counter()
        classes = performance.layout.classes if performance else None
        if classes is not None:
            columns |= _shares(connection, classes)
            rows = max(1_000, min(rows, _CHUNK_SHARES // len(classes.names)))
        if performance is not None and labels is not None:
            conflicts = _label(connection, labels)
            columns = {**columns, _LABEL: _LABEL}
        for chunk in _chunks(connection, columns, question.version, rows):
            mine = {name: values for name, values in chunk.items() if name in reference.layout.columns}
            profile = profile + count(reference.layout, mine)
            if performance is not None:
                inputs = {name: chunk[name] for name in seen if name in chunk}
                answers = _answers(chunk, classes)
                part = expect(performance, answers, inputs)
                expected = part if expected is None else expected + part
                if _LABEL in chunk:
                    truth = chunk[_LABEL] if classes is None else classes.places(chunk[_LABEL])
                    if classes is not None:
                        strange.update(str(label)[:_CHARACTERS] for label in chunk[_LABEL][truth == STRANGER])
                    told = confirm(performance, answers, truth, inputs)
                    confirmed = told if confirmed is None else confirmed + told
        return CountedWindow(
            rows=profile.rows,
            delivered=delivered,
            others=others,
            latest=latest,
            broken=broken,
            profile=profile.to_dict(),
            expected=expected.to_dict() if expected is not None else {},
            confirmed=confirmed.to_dict() if confirmed is not None else {},
            conflicts=conflicts,
            unshared=expected.unscored if expected is not None and classes is not None else 0,
            strangers=strange.total(),
            strange=tuple(name for name, _ in strange.most_common(_NAMED)),
        )


def _sound(connection: Any, files: Sequence[Path]) -> tuple[list[Path], dict[str, str]]:
    """Return the files that hold predictions, and why the others do not: one that is broken costs no other."""
    sound, broken = list[Path](), dict[str, str]()
    for file in files:
        try:
            described = connection.execute(f"DESCRIBE FROM read_parquet({quoted(str(file))})").fetchall()
        except duckdb.Error as error:
            broken[file.name] = str(error).splitlines()[0]
            continue
        missing = sorted(set(_NEEDED) - {row[0] for row in described})
        if missing:
            broken[file.name] = f"has no column {', '.join(missing)}"
        else:
            sound.append(file)
    return sound, broken


def _deliver(connection: Any, listed: str, question: CountQuestion) -> tuple[int, str | None]:
    """Make the table `predictions`, each once; return how many were delivered, and the newest one's moment."""
    begin, end = (f"TIMESTAMP '{_utc(moment):%Y-%m-%d %H:%M:%S}'" for moment in (question.start, question.end))
    within = f"event_time >= {begin} AND event_time < {end} AND variant = {quoted(question.variant)}"
    relation = f"(FROM read_parquet([{listed}], union_by_name = true) WHERE {within})"
    names = [row[0] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall() if row[0] != "day"]
    connection.execute(f"CREATE TEMP TABLE predictions AS {once_sql(relation, names)}")
    (delivered, latest) = connection.execute(f"SELECT count(*), max(event_time) FROM {relation}").fetchone()
    return int(delivered), None if latest is None else f"{latest.isoformat()}+00:00"


def _label(connection: Any, labels: Path) -> int:
    """Give the predictions their labels: a column of numbers, of classes by name; missing where one is not known.

    Returns how many were told two labels that differ.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE predictions AS SELECT p.*, l.label AS {_LABEL} FROM predictions AS p LEFT JOIN "
        f"read_parquet({quoted(str(labels))}) AS l USING (inference_id, request_row)"
    )
    (conflicts,) = connection.execute(
        f"SELECT count(*) FROM predictions JOIN read_parquet({quoted(str(labels))}) AS l "
        "USING (inference_id, request_row) WHERE l.label IS NULL"
    ).fetchone()
    return int(conflicts)


def _utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def _others(connection: Any, version: str) -> dict[str, int]:
    query = (
        f"SELECT coalesce(version, '{_UNKNOWN}') AS other, count(*) FROM predictions "
        "WHERE version IS DISTINCT FROM ? GROUP BY other ORDER BY other"
    )
    return {str(name): int(rows) for name, rows in connection.execute(query, [version]).fetchall()}


def _there(connection: Any, columns: Iterable[str]) -> dict[str, str]:
    """Return, by column of the references, the records' column of it, where they have one."""
    names = {row[0] for row in connection.execute("DESCRIBE predictions").fetchall()}
    wanted = {column: recorded_name(column) for column in columns}
    return {column: name for column, name in wanted.items() if name in names}


def _shares(connection: Any, classes: Classes) -> dict[str, str]:
    """Make a column of each class's probability where records hold all of them; return the columns."""
    names = {row[0] for row in connection.execute("DESCRIBE predictions").fetchall()}
    if PROBABILITIES not in names:
        return {}
    whole = f"len({PROBABILITIES}) = {len(classes.names)}"
    each = {_SHARE.format(place): f"{PROBABILITIES}[{place + 1}]" for place in range(len(classes.names))}
    made = ", ".join(f"CASE WHEN {whole} THEN {share} END AS {name}" for name, share in each.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE predictions AS SELECT * EXCLUDE ({PROBABILITIES}), {made} FROM predictions"
    )
    return {name: name for name in each}


def _answers(chunk: Mapping[str, Any], classes: Classes | None) -> Any:
    """Return what the model answered to rows, of several classes NaN where a row's probabilities are not known."""
    if classes is None:
        return chunk[SCORE]
    nothing = np.full(len(chunk[SCORE]), np.nan)
    return np.column_stack([chunk.get(_SHARE.format(place), nothing) for place in range(len(classes.names))])


def _chunks(connection: Any, columns: Mapping[str, str], version: str, rows: int) -> Iterator[dict[str, Any]]:
    chosen = ", ".join(f'"{name}" AS "{column.replace(chr(34), chr(34) * 2)}"' for column, name in columns.items())
    (last,) = connection.execute("SELECT coalesce(max(rowid), -1) FROM predictions").fetchone()
    for begin in range(0, int(last) + 1, rows):
        query = f"SELECT {chosen} FROM predictions WHERE version = ? AND rowid >= ? AND rowid < ?"
        found = connection.execute(query, [version, begin, begin + rows]).fetchnumpy()
        yield {column: _plain(values) for column, values in found.items()}


def _plain(values: Any) -> Any:
    """Return a column with its missing values as `count` knows them: NaN of numbers, NaT of times, else None."""
    if not np.ma.isMaskedArray(values):
        return values
    absent = np.ma.getmaskarray(values)
    kind = values.dtype.kind
    plain = values.data.astype(np.float64 if kind in "fiu" else values.dtype if kind == "M" else object)
    plain[absent] = np.nan if kind in "fiu" else np.datetime64("NaT") if kind == "M" else None
    return plain
