"""Write the rows that break the contract, whole and as they came, and sum up why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from passerelle.contracts.container import Problem
from passerelle.domain.contract.compiled import FILE, LINE, RAW, REASONS, CompiledContract
from passerelle.domain.contract.faults import FAULTS_OF_ROWS
from passerelle.domain.features.query import quoted
from passerelle.domain.project import Project
from training.prepare.limits import BATCH_ROWS

MAX_EXAMPLES: Final = 5
MAX_EXAMPLE_CHARS: Final = 120
#: A run's record holds its problems; every row's reasons are in its quarantine.
MAX_REASONS: Final = 30

RawRows = Callable[[Iterator[int]], Iterator[str]]


def write_quarantine(bad: Path, path: Path, key: str, project: Project, raw_rows: RawRows | None) -> None:
    """Write bad rows batch by batch: file, line, reasons, the whole row as it came, its declared cells.

    Parameters
    ----------
    bad : the rows in the order of their lines.
    raw_rows : gives whole rows by number, for formats whose batches do not carry them.
    """
    cells = [(column.name, pa.string()) for column in project.data.columns]
    own = [(FILE, pa.string()), (LINE, pa.int64()), (REASONS, pa.list_(pa.string())), (RAW, pa.string())]
    schema = pa.schema([*own, *cells])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        lines: deque[int] = deque()
        raws = raw_rows(iter(lambda: lines.popleft() if lines else None, None)) if raw_rows else None
        for batch in pq.ParquetFile(bad).iter_batches(BATCH_ROWS):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns[FILE] = pa.array([key] * batch.num_rows, pa.string())
            if raws:
                lines.extend(columns[LINE].to_pylist())
                columns[RAW] = pa.array(islice(raws, batch.num_rows), pa.string())
            arrays = [columns[name].cast(schema.field(name).type) for name in schema.names]
            writer.write_batch(pa.record_batch(arrays, schema))


def quarantine_problems(
    connection: duckdb.DuckDBPyConnection, path: Path, key: str, contract: CompiledContract
) -> Iterator[Problem]:
    """Yield one problem per reason, the most frequent first: how often, where first, with examples."""
    query = f"""
        SELECT reason, count(*), min("{LINE}")
        FROM (SELECT unnest("{REASONS}") AS reason, "{LINE}" FROM read_parquet(?))
        GROUP BY reason ORDER BY 2 DESC, 1"""
    found = connection.execute(query, [str(path)]).fetchall()
    for reason, count, line in found[:MAX_REASONS]:
        yield _problem(reason, count, line, _examples(connection, path, reason), key, contract)
    if len(found) > MAX_REASONS:
        yield _more(found[MAX_REASONS:], key)


def _examples(connection: duckdb.DuckDBPyConnection, path: Path, reason: str) -> tuple[str, ...]:
    cell = quoted(reason.partition(":")[2] or RAW)
    rows = connection.execute(
        f'SELECT {cell} FROM read_parquet(?) WHERE list_contains("{REASONS}", ?) ORDER BY "{LINE}" LIMIT ?',
        [str(path), reason, MAX_EXAMPLES],
    ).fetchall()
    return tuple(value[:MAX_EXAMPLE_CHARS] for (value,) in rows if value is not None)


def _problem(
    reason: str, count: int, line: int, examples: tuple[str, ...], key: str, contract: CompiledContract
) -> Problem:
    code, _, column = reason.partition(":")
    what = contract.rules.get(reason) or FAULTS_OF_ROWS[code]
    subject = f"column {column!r}" if column else "the row"
    return Problem(
        code=code,
        severity="warning",
        file=key,
        row=line,
        column=column or None,
        rule=what.rule,
        message=f"{subject} {what.rule}" + (f"; found {examples[0]!r}" if examples else ""),
        remedy=what.remedy,
        count=count,
        examples=examples,
    )


def _more(found: list[tuple[str, int, int]], key: str) -> Problem:
    return Problem(
        code="more_reasons",
        severity="warning",
        file=key,
        row=min(line for _, _, line in found),
        rule="every row keeps every rule",
        message=f"{len(found):,} more rules are broken, the first by column {found[0][0].partition(':')[2]!r}",
        remedy="Look into the quarantine: each row is there with all its reasons.",
        count=sum(count for _, count, _ in found),
    )
