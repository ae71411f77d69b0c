"""DuckDB and Spark prepare the same rows: files, parts, order, types, counts and problems."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.contracts.container import PrepareResult
from passerelle.domain.project import Project
from tests.e2e.projects import Row, as_csv, make_rows
from tests.unit.training.prepared import as_json_lines, make_project, run_project
from tests.unit.training.spark_session import spark
from training.prepare.main import Folders

__all__ = ["spark"]
EXTRA = [
    {"name": "amount", "type": "number", "nullable": True, "role": "ignored"},
    {"name": "when", "type": "datetime", "nullable": True, "role": "ignored"},
    {"name": "note é", "type": "text", "nullable": True, "role": "ignored", "pattern": r"[^z]*"},
    {"name": "long", "type": "integer", "nullable": True},
    {"name": "member", "type": "boolean", "nullable": True},
]
WILD = {
    "amount": ["", "0", "-0.0", "1e16", "123456789", "1e-5", "5.684341886080802e-14", "2e-3", "1_000", "1d", "0x1p3", "NaN"],
    "when": ["", "2024-02-29", "1500-01-01T00:00", "0001-01-01", "9999-12-31T23:59:59.999999", "2024-03-01T10:20:30.5+05:30",
             "2024-03-01T24:00:00", "31/01/2024", "2024-03-01T10:20:30.123456789Z", "0999-03-01 10:20:30"],
    "note é": ["", "NA", "é", " x ", "a\nb", "\u00a0", "😀", "z", "a|b", "\u2028", "#"],
    "long": ["", str(2**63 - 1), str(-(2**63)), str(2**63), "15.0", "15.5", str(2**53 + 1), "1e3"],
    "member": ["", "T", "no", "1", "maybe"],
}  # fmt: skip


def wild_rows(count: int, seed: int) -> list[Row]:
    """Return rows whose further cells are hard to read; one in ten is there twice, several share entity and time."""
    draw = random.Random(seed)
    rows = []
    for index, row in enumerate(make_rows(count, seed=seed)):
        wild = {name: draw.choice(cells) if draw.random() < 0.4 else "" for name, cells in WILD.items()}
        wild["amount"] = wild["amount"] or repr(struct.unpack("<d", draw.randbytes(8))[0])
        rows.append({**row, **wild})
        if index % 10 == 0:
            rows.append(rows[-1])
        if index % 7 == 0:
            rows.append({**rows[-1], "long": index})
    return rows


def both(tmp_path: Path, files: dict[str, bytes], project: Project, **more: Any) -> list[tuple[PrepareResult, Folders]]:
    """Prepare one drop with each engine."""
    found = []
    for engine in ("duckdb", "spark"):
        data = project.data.model_copy(update={"engine": engine})
        folder = tmp_path / engine
        found.append(run_project(folder, files, project.model_copy(update={"data": data}), **more))
    return found


def without_engine(result: PrepareResult) -> dict[str, Any]:
    return result.model_dump(mode="json", exclude={"engine", "engine_reason", "seconds"})


def tables(folders: Folders, pattern: str) -> dict[str, pa.Table]:
    """Return each folder's rows in the order of its files, with the columns' types."""
    paths = sorted(folders.curated.glob(pattern)) + sorted(folders.quarantine.glob(pattern))
    folder = {path.parent if path.name.startswith("part-") else path for path in paths}
    return {str(item.relative_to(folders.curated.parent)): pq.read_table(item) for item in sorted(folder)}


def assert_same(found: Sequence[tuple[PrepareResult, Folders]]) -> None:
    """Fail unless both engines wrote the same rows in the same order and types, and say the same of them."""
    (duck, duck_folders), (spark_result, spark_folders) = found
    assert [duck.engine, spark_result.engine] == ["duckdb", "spark"]
    assert without_engine(duck) == without_engine(spark_result)
    for pattern in ("files/*.parquet", "rows/*.parquet", "datasets/*/*/part-*.parquet"):
        ours, theirs = tables(duck_folders, pattern), tables(spark_folders, pattern)
        assert ours.keys() == theirs.keys()
        for name, table in ours.items():
            assert table.schema.remove_metadata() == theirs[name].schema.remove_metadata(), name
            assert table.to_pylist() == theirs[name].to_pylist(), name


@pytest.mark.parametrize("by", ["time", "random", "entity"])
def test_both_engines_write_the_same_rows_of_wild_files(spark: Any, tmp_path: Path, by: str) -> None:
    columns = [*make_project().model_dump(mode="json")["data"]["columns"], *EXTRA]
    project = make_project(
        columns=columns,
        entity_id=["customer", "amount", "when"],
        thresholds={"rejected_rows": 1.0, "missing_labels": 1.0},
        training={"split": {"by": by}},
    )
    files = {f"p-x/{seed}.csv": as_csv(wild_rows(300, seed)) for seed in (1, 2)}
    found = both(tmp_path, files, project)
    assert found[0][0].status == "accepted", found[0][0].problems
    assert found[0][0].rows_rejected > 20
    assert found[0][0].duplicate_rows > 20
    assert_same(found)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_both_engines_write_the_same_labels(spark: Any, tmp_path: Path, task: str) -> None:
    project = make_project(task, format="jsonl")
    found = both(tmp_path, {"p-x/a.jsonl": as_json_lines(make_rows(300))}, project)
    assert found[0][0].status == "accepted", found[0][0].problems
    assert_same(found)


def test_both_engines_refuse_the_same_data_for_the_same_reasons(spark: Any, tmp_path: Path) -> None:
    rows = make_rows(60)
    found = both(tmp_path, {"p-x/a.csv": as_csv(rows), "p-x/b.csv": b"PK\x03\x04 no table"}, make_project())
    assert found[0][0].status == "rejected"
    assert {problem.code for problem in found[0][0].problems} >= {"zip_file", "too_few_rows"}
    assert without_engine(found[0][0]) == without_engine(found[1][0])


def test_a_manifest_says_which_engine_prepared_the_data_and_why(spark: Any, tmp_path: Path) -> None:
    found = both(tmp_path, {"p-x/a.csv": as_csv(make_rows(300))}, make_project())
    for result, folders in found:
        path = folders.curated / "datasets" / str(result.dataset_id) / "manifest.json"
        manifest = json.loads(path.read_text())
        assert manifest["engine"] == result.engine
        assert f"data.engine: {result.engine}" in manifest["engine_reason"]
    assert found[0][0].dataset_id == found[1][0].dataset_id


def test_numbers_are_spelt_the_same_by_both_engines(spark: Any, tmp_path: Path) -> None:
    from training.prepare.engine import duck_engine
    from training.prepare.spark import SparkEngine

    draw = random.Random(3)
    numbers = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(3_000)]
    numbers = [number for number in numbers if math.isfinite(number)]
    numbers += [0.0, 1.0, 0.1, 1e15, 1e16, 1e-4, 1e-5, 123456789.0, 5e-324, 1.7976931348623157e308, 2.0**-44, 2e-3]
    pq.write_table(pa.table({"at": range(len(numbers)), "number": numbers}), tmp_path / "n.parquet")
    with duck_engine(tmp_path / "spill") as duck:
        found = []
        for engine in (duck, SparkEngine(spark, tmp_path / "spark")):
            table = engine.read([tmp_path / "n.parquet"])
            text = engine.text(table["number"])
            rows = engine.answers(table.select("at", text=text, share=engine.share(text)).order_by("at"))
            found.append([(row["text"], row["share"]) for row in rows])
    assert found[0] == found[1]
    assert [text for text, _ in found[0]] == [repr(number) for number in numbers]


def test_files_keep_their_own_numbers_when_tasks_validate_them(spark: Any, tmp_path: Path) -> None:
    files = {f"p-x/{name}.csv": as_csv([{**row, "visits": "x"} if i == 5 else row for i, row in enumerate(make_rows(300, seed=seed))])
             for seed, name in enumerate("abc")}  # fmt: skip
    found = both(tmp_path, files, make_project())
    assert [path.name for path in sorted((found[1][1].quarantine / "rows").iterdir())] == [
        "00000.parquet",
        "00001.parquet",
        "00002.parquet",
    ]
    assert_same(found)


def test_a_projects_own_features_are_the_same_too(spark: Any, tmp_path: Path) -> None:
    source = b"def features(rows):\n    return dict(root=rows.age.ln() / rows.visits, hour=rows.plan + rows.seen_at.strftime('%H'))"
    declared = {"columns": [{"name": "root", "type": "number"}, {"name": "hour", "type": "category"}]}
    files = {"p-x/a.csv": as_csv(make_rows(200, seed=3)), "p-x/b.csv": as_csv(make_rows(150, seed=4))}
    found = both(tmp_path, files, make_project(features=declared), features=source)
    assert_same(found)
    assert found[0][0].status == "accepted"
    assert all(
        {"root", "hour"} <= set(table.column_names) for table in tables(found[1][1], "datasets/*/*/part-*").values()
    )
