"""Preparation needs disk for what does not fit the memory that DuckDB is given."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from passerelle.errors import InputError
from tests.e2e.projects import as_csv, make_rows
from tests.unit.training.prepared import make_project, parts, run_project
from training.prepare import limits
from training.prepare.engine import duck_engine
from training.prepare.limits import duckdb_settings

ROWS = 1_200_000


def test_rows_of_more_than_the_memory_become_distinct_and_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    with duckdb.connect() as connection:
        # 1,200,000 texts of 160 characters, each there twice: 380 MB.
        text = "repeat(md5((i // 2)::VARCHAR), 5)"
        connection.execute(f"COPY (SELECT {text} AS t, i // 2 AS n FROM range({2 * ROWS}) r(i)) TO '{path}'")
    monkeypatch.setenv("PASSERELLE_DUCKDB_MEMORY", "256MB")
    with duck_engine(tmp_path / "spill") as engine:
        table = engine.keep(engine.read([path]).distinct(), "rows")
        engine.write(table.order_by("t"), tmp_path / "out")
        (counts,) = engine.answers(table.agg(rows=table.count(), total=table["n"].sum()))
    assert counts == {"rows": ROWS, "total": ROWS * (ROWS - 1) // 2}
    written = pq.read_table(tmp_path / "out")["t"].to_pylist()
    assert len(written) == ROWS
    assert written == sorted(written)


def test_little_memory_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"p-x/a.csv": as_csv(make_rows(400))}
    plenty = parts(*run_project(tmp_path / "plenty", files, make_project()))
    monkeypatch.setenv("PASSERELLE_DUCKDB_MEMORY", "256MB")
    assert parts(*run_project(tmp_path / "little", files, make_project())) == plenty


def test_memory_that_is_no_size_is_refused_with_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_DUCKDB_MEMORY", "lots")
    with pytest.raises(InputError, match="512MB or 4GB"):
        duckdb_settings(tmp_path)


def test_no_thread_has_less_memory_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, threads in (("100MB", 1), ("300MB", 1), ("999GB", os.cpu_count())):
        monkeypatch.setenv("PASSERELLE_DUCKDB_MEMORY", memory)
        assert duckdb_settings(tmp_path)["threads"] == threads


def test_unless_told_otherwise_duckdb_leaves_the_container_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "memory.max"
    monkeypatch.delenv("PASSERELLE_DUCKDB_MEMORY", raising=False)
    monkeypatch.setattr(limits, "_CONTROL_GROUP", group)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for text, memory in (("max", "1536MB"), (str(10**9), "800MB")):
        group.write_text(text + "\n")
        assert duckdb_settings(tmp_path)["memory_limit"] == memory


def test_files_read_at_once_share_memory_and_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setenv("PASSERELLE_DUCKDB_MEMORY", "1GB")
    share = duckdb_settings(tmp_path, workers=3)
    assert (share["memory_limit"], share["threads"]) == ("333MB", 1)
