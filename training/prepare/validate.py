"""Hold one dropped file to the data contract: good rows typed into Parquet, bad rows with their reasons."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow.parquet as pq

from passerelle.contracts.container import DropFile, FileOutcome, Problem
from passerelle.domain.contract.compiled import TEXTS, CompiledContract
from passerelle.domain.contract.header import header_problems
from passerelle.domain.project import Project
from training.prepare.batches import batch_schema
from training.prepare.limits import duckdb_settings
from training.prepare.quarantine import RawRows, quarantine_problems, write_quarantine
from training.prepare.source import Source, open_source
from training.prepare.sql import DICTIONARIES, literal
from training.prepare.unreadable import UnreadableFileError


@dataclass(frozen=True, kw_only=True)
class ValidatedFile:
    """One file after validation; `good` exists when `outcome.status` is accepted.

    `broken` counts the rows that break the contract. Of a rejected file no row is accepted, so there
    `outcome.rows_rejected` counts all.
    """

    outcome: FileOutcome
    good: Path | None = None
    quarantined: Path | None = None
    broken: int = 0


@dataclass(frozen=True)
class _Texts:
    """The rows of a file as texts: how many, DuckDB's query of them, and how to get whole rows by number.

    `typed_query` reads some columns, `typed`, as their types; it fails where it cannot.
    """

    rows: int
    query: str
    raw_rows: RawRows | None
    typed: frozenset[str] = frozenset()
    typed_query: str = ""


class _MiscountedError(AssertionError):
    """Good and bad rows are not all the rows of a file."""


def validate_file(
    path: Path, file: DropFile, project: Project, contract: CompiledContract, *, work: Path, workers: int = 1
) -> ValidatedFile:
    """Validate one local file; everything that is wrong with it is in the outcome, nothing raises for bad data."""
    work.mkdir(parents=True, exist_ok=True)
    texts = work / "texts.parquet"
    problems: list[Problem] = []
    source: Source | None = None
    try:
        source = open_source(path, project, key=file.key)
        return _validated(source, file, project, contract, problems, texts, workers)
    except UnreadableFileError as error:
        return ValidatedFile(outcome=_outcome(file, "rejected", source, [*problems, error.problem]))
    finally:
        texts.unlink(missing_ok=True)  # the disk is shared by all files of the drop


def _validated(
    source: Source,
    file: DropFile,
    project: Project,
    contract: CompiledContract,
    problems: list[Problem],
    texts: Path,
    workers: int,
) -> ValidatedFile:
    if source.header is not None:
        problems += header_problems(project, source.header, file=file.key)
        if _fatal(problems):
            return ValidatedFile(outcome=_outcome(file, "rejected", source, problems))
    plain = source.plain()
    if plain:
        found = _Texts(plain.rows, plain.query, source.plain_rows, plain.typed, plain.typed_query)
        try:
            return _judged(found, source, file, project, contract, problems, texts.parent, workers)
        except (duckdb.InvalidInputException, _MiscountedError):
            pass  # a line is not a row: the exact reader tells which
    rows = _write_texts(source, project, texts)
    if source.header is None and source.keys:
        problems += header_problems(project, list(source.keys), file=file.key, lines=source.keys)
    if rows == 0:
        problems.append(_no_rows(file.key))
    if _fatal(problems):
        return ValidatedFile(outcome=_outcome(file, "rejected", source, problems, read=rows, rejected=rows))
    found = _Texts(rows, f"SELECT * FROM read_parquet({literal(texts)})", source.raw_rows)
    return _judged(found, source, file, project, contract, problems, texts.parent, workers)


def _fatal(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _write_texts(source: Source, project: Project, path: Path) -> int:
    """Write the rows as texts with their line; returns how many they are."""
    rows, cells = 0, [column.name for column in project.data.columns]
    # DuckDB asks a rule once per distinct text of a dictionary.
    with pq.ParquetWriter(path, batch_schema(project), compression="lz4", use_dictionary=cells) as writer:
        for batch in source.batches():
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _judged(
    texts: _Texts,
    source: Source,
    file: DropFile,
    project: Project,
    contract: CompiledContract,
    problems: list[Problem],
    work: Path,
    workers: int,
) -> ValidatedFile:
    good, quarantined, rows = work / "good.parquet", work / "quarantine.parquet", texts.rows
    with duckdb.connect(config=duckdb_settings(work / "spill", workers)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Pushed down, the filter would read every cell's value once more for each rule; and each list of words would
        # become a join of its own, so that the time of a wide contract grew with the square of its columns.
        connection.execute("SET disabled_optimizers = 'filter_pushdown,in_clause'")
        broken = rows - _copy_good(connection, texts, contract, good)
        if broken:
            bad = work / "bad.parquet"
            copied = _copy(connection, contract.bad, bad)
            if copied != broken:
                raise _MiscountedError(f"{copied} bad rows and {rows - broken} good ones of {rows}")
            write_quarantine(bad, quarantined, file.key, project, texts.raw_rows)
            bad.unlink()
            problems += quarantine_problems(connection, quarantined, file.key, contract)
    rejected = broken / rows > project.data.thresholds.rejected_rows
    if rejected:
        good.unlink()
        problems.append(_too_many(file.key, broken, rows, project))
    outcome = _outcome(
        file,
        "rejected" if rejected else "accepted",
        source,
        problems,
        read=rows,
        rejected=rows if rejected else broken,
    )
    return ValidatedFile(
        outcome=outcome, good=None if rejected else good, quarantined=quarantined if broken else None, broken=broken
    )


def _copy_good(connection: duckdb.DuckDBPyConnection, texts: _Texts, contract: CompiledContract, path: Path) -> int:
    """Write the rows that keep the contract; returns how many they are. The texts can be asked afterwards."""
    rows: int | None = None
    if texts.typed:
        connection.execute(f"CREATE VIEW {TEXTS} AS {texts.typed_query}")
        with suppress(duckdb.ConversionException):  # a cell is no number: the rules tell which
            rows = _copy(connection, contract.of_typed(texts.typed).good, path)
    connection.execute(f"CREATE OR REPLACE VIEW {TEXTS} AS {texts.query}")
    return _copy(connection, contract.good, path) if rows is None else rows


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write a query's rows to a file, in the order of the texts; returns how many they are."""
    options = f"FORMAT parquet, PARQUET_VERSION v2, {DICTIONARIES}"
    found = connection.execute(f"COPY ({query}) TO {literal(path)} ({options})").fetchone()
    assert found is not None
    return int(found[0])


def _outcome(
    file: DropFile,
    status: Literal["accepted", "rejected"],
    source: Source | None,
    problems: list[Problem],
    *,
    read: int = 0,
    rejected: int = 0,
) -> FileOutcome:
    return FileOutcome(
        key=file.key,
        version_id=file.version_id,
        sha256=file.sha256,
        status=status,
        format=source.format if source else None,
        encoding=source.encoding if source else None,
        rows_read=read,
        rows_accepted=read - rejected,
        rows_rejected=rejected,
        problems=tuple(problems),
    )


def _no_rows(key: str) -> Problem:
    return Problem(
        code="no_rows",
        file=key,
        rule="a file has rows",
        message="the file has a header and no rows",
        remedy="Drop the file again, with its rows.",
    )


def _too_many(key: str, broken: int, rows: int, project: Project) -> Problem:
    limit = project.data.thresholds.rejected_rows
    return Problem(
        code="too_many_rejected",
        file=key,
        rule=f"at most {limit:.1%} of a file's rows are rejected",
        message=f"{broken:,} of {rows:,} rows ({broken / rows:.1%}) break the contract",
        remedy="Correct the rows (they are in quarantine, with reasons), or raise data.thresholds.rejected_rows.",
        count=broken,
    )
