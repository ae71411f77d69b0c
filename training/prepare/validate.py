"""Hold one dropped file to the data contract: good rows typed into Parquet, bad rows with their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from passerelle.contracts.container import DropFile, FileOutcome, Problem
from passerelle.domain.contract.header import header_problems
from passerelle.domain.contract.rules import CellRule, cell_rules, clean, typed
from passerelle.domain.project import Project
from training.prepare.source import BATCH_ROWS, RaggedRow, Source, UnreadableFileError, open_source

LINE: Final = "_line"
FILE: Final = "_file"
REASONS: Final = "_reasons"
RAW: Final = "_raw"
MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, kw_only=True)
class ValidatedFile:
    """One file after validation; the paths exist when `outcome.status` is accepted."""

    outcome: FileOutcome
    good: Path | None = None
    quarantined: Path | None = None


@dataclass
class _Ragged:
    """Lines that could not be told apart into columns."""

    lines: list[int] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    expected: int = 0


def validate_file(path: Path, file: DropFile, project: Project, *, work: Path) -> ValidatedFile:
    """Validate one local file; everything that is wrong with it is in the outcome, nothing raises for bad data."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        source = open_source(path, project, key=file.key)
        problems = list(header_problems(project, source.header, file=file.key))
        if any(problem.severity == "error" for problem in problems):
            return ValidatedFile(outcome=_outcome(file, "rejected", source, problems))
        ragged = _Ragged(expected=len(source.header))
        texts = work / "texts.parquet"
        rows = _write_texts(source, project, texts, ragged)
    except UnreadableFileError as error:
        return ValidatedFile(outcome=_outcome(file, "rejected", None, [error.problem]))
    except (ValueError, OverflowError) as error:  # a value that no text or date of Python's can hold
        return ValidatedFile(outcome=_outcome(file, "rejected", None, [_unholdable(file.key, error)]))
    if rows + len(ragged.lines) == 0:
        problems.append(_no_rows(file.key))
        return ValidatedFile(outcome=_outcome(file, "rejected", source, problems))
    good, bad, found = _apply_rules(texts, project, file.key, work)
    quarantined = _write_quarantine(bad, ragged, file.key, project, work)
    found += _ragged_problems(ragged, file.key)
    rejected = 0 if quarantined is None else pq.read_metadata(quarantined).num_rows
    outcome = _outcome(file, "accepted", source, problems + found, rows + len(ragged.lines), rejected)
    if outcome.rows_rejected / outcome.rows_read > project.data.thresholds.rejected_rows:
        outcome = outcome.model_copy(
            update={"status": "rejected", "problems": (*outcome.problems, _too_many(outcome, project))}
        )
    return ValidatedFile(outcome=outcome, good=good, quarantined=quarantined)


def _outcome(
    file: DropFile, status: Any, source: Source | None, problems: list[Problem], read: int = 0, rejected: int = 0
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


def _unholdable(key: str, error: Exception) -> Problem:
    return Problem(
        code="unreadable_value",
        file=key,
        rule="every value can be written as text",
        message=f"a value cannot be read: {str(error).splitlines()[0][:200]}",
        remedy="Write numbers of fewer digits, valid Unicode, and times to the microsecond between years 1 and 9999.",
    )


def _no_rows(key: str) -> Problem:
    return Problem(
        code="no_rows",
        file=key,
        rule="a file has rows",
        message="the file has a header and no rows",
        remedy="Drop the file again, with its rows.",
    )


def _too_many(outcome: FileOutcome, project: Project) -> Problem:
    share, limit = outcome.rows_rejected / outcome.rows_read, project.data.thresholds.rejected_rows
    return Problem(
        code="too_many_rejected",
        file=outcome.key,
        rule=f"at most {limit:.1%} of a file's rows are rejected",
        message=f"{outcome.rows_rejected:,} of {outcome.rows_read:,} rows ({share:.1%}) break the contract",
        remedy="Correct the rows (they are in quarantine, with reasons), or raise data.thresholds.rejected_rows.",
        count=outcome.rows_rejected,
    )


def _write_texts(source: Source, project: Project, path: Path, ragged: _Ragged) -> int:
    """Write the declared columns as texts with their line; returns the rows."""
    names = [column.name for column in project.data.columns]
    positions = [source.header.index(name) for name in names]
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in names)])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="lz4") as writer:
        for lines, columns in _batches(source, positions, ragged):
            writer.write_batch(
                pa.record_batch([pa.array(lines, pa.int64()), *(pa.array(c, pa.string()) for c in columns)], schema)
            )
            rows += len(lines)
    return rows


def _batches(
    source: Source, positions: list[int], ragged: _Ragged
) -> Iterator[tuple[list[int], list[tuple[str | None, ...]]]]:
    lines: list[int] = []
    rows: list[list[str | None]] = []
    for item in source.rows:
        if isinstance(item, RaggedRow):
            ragged.lines.append(item.line)
            ragged.raw.append(",".join(item.fields)[:10_000])
            continue
        lines.append(item[0])
        rows.append(item[1])
        if len(lines) == BATCH_ROWS:
            yield lines, _columns(rows, positions)
            lines, rows = [], []
    if lines:
        yield lines, _columns(rows, positions)


def _columns(rows: list[list[str | None]], positions: list[int]) -> list[tuple[str | None, ...]]:
    columns = list(zip(*rows, strict=True))
    return [columns[position] for position in positions]


def _apply_rules(texts: Path, project: Project, key: str, work: Path) -> tuple[Path, Path, list[Problem]]:
    """Split the rows into typed good ones and bad ones with their reasons."""
    connection = ibis.duckdb.connect(temp_directory=str(work / "spill"))
    try:
        names = [column.name for column in project.data.columns]
        table = clean(connection.read_parquet(str(texts)), names, project.data.null_values)
        rules = [rule for column in project.data.columns for rule in cell_rules(column, table[column.name])]
        codes = [rule.bad.ifelse(f"{rule.code}:{rule.column}", ibis.null("string")) for rule in rules]
        reasons = ibis.array(codes).filter(lambda code: code.notnull())
        judged = connection.create_table("judged", table.mutate(**{REASONS: reasons}), temp=True)
        good, bad = work / "good.parquet", work / "bad.parquet"
        values = {column.name: typed(column, judged[column.name]) for column in project.data.columns}
        connection.to_parquet(judged.filter(judged[REASONS].length() == 0).select(judged[LINE], **values), str(good))
        rejected = judged.filter(judged[REASONS].length() > 0)
        connection.to_parquet(rejected, str(bad))
        return good, bad, list(_cell_problems(bad, rules, key))
    finally:
        connection.disconnect()


def _cell_problems(bad: Path, rules: list[CellRule], key: str) -> Iterator[Problem]:
    """Yield one problem per broken rule: how often, where first, with examples."""
    by_code = {f"{rule.code}:{rule.column}": rule for rule in rules}
    with duckdb.connect() as connection:
        query = f"""
            SELECT reason, count(*), min("{LINE}")
            FROM (SELECT unnest("{REASONS}") AS reason, "{LINE}" FROM read_parquet(?))
            GROUP BY reason ORDER BY 2 DESC, 1"""
        for code, count, line in connection.execute(query, [str(bad)]).fetchall():
            rule = by_code[code]
            quoted = '"' + rule.column.replace('"', '""') + '"'
            examples = connection.execute(
                f'SELECT {quoted} FROM read_parquet(?) WHERE list_contains("{REASONS}", ?) ORDER BY "{LINE}" LIMIT ?',
                [str(bad), code, MAX_EXAMPLES],
            ).fetchall()
            shown = tuple(str(value) for (value,) in examples if value is not None)
            yield Problem(
                code=rule.code,
                severity="warning",
                file=key,
                row=line,
                column=rule.column,
                rule=rule.rule,
                message=f"column {rule.column!r} {rule.rule}" + (f"; found {shown[0]!r}" if shown else ""),
                remedy=rule.remedy,
                count=count,
                examples=shown,
            )


def _ragged_problems(ragged: _Ragged, key: str) -> list[Problem]:
    if not ragged.lines:
        return []
    return [
        Problem(
            code="ragged_row",
            severity="warning",
            file=key,
            row=ragged.lines[0],
            rule=f"a row has {ragged.expected} fields, as the header",
            message=f"line {ragged.lines[0]} does not have {ragged.expected} fields",
            remedy="Quote fields that hold the delimiter; remove stray delimiters.",
            count=len(ragged.lines),
            examples=tuple(text[:120] for text in ragged.raw[:MAX_EXAMPLES]),
        )
    ]


def _write_quarantine(bad: Path, ragged: _Ragged, key: str, project: Project, work: Path) -> Path | None:
    """Write the rejected rows as they came, with file, line and reasons; None when there are none."""
    rows = pq.read_table(bad)
    names = [column.name for column in project.data.columns]
    if not rows.num_rows and not ragged.lines:
        return None
    count = len(ragged.lines)
    ragged_part = pa.table(
        {
            LINE: pa.array(ragged.lines, pa.int64()),
            **{name: pa.nulls(count, pa.string()) for name in names},
            REASONS: pa.array([["ragged_row:"]] * count, pa.list_(pa.string())),
            RAW: pa.array(ragged.raw, pa.string()),
        }
    )
    cell_part = rows.append_column(RAW, pa.nulls(rows.num_rows, pa.string()))
    whole = pa.concat_tables([cell_part.select(ragged_part.column_names).cast(ragged_part.schema), ragged_part])
    whole = whole.append_column(FILE, pa.array([key] * whole.num_rows, pa.string())).sort_by(LINE)
    path = work / "quarantine.parquet"
    pq.write_table(whole, path)
    return path
