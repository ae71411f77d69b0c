"""The declared tables are those of the files that jobs and endpoints write: names, types, folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra import table_columns
from laptop.sagemaker.hosting.capture import DataCapture, Exchange
from passerelle.contracts import naming, zones
from passerelle.contracts.variants import VARIANT
from tests.e2e.projects import as_csv
from tests.fakes.surroundings import QuietSurroundings
from tests.unit.training.prepared import ROWS, make_project, run_project

#: Parquet's types as Athena's engine 3 reads them (user guide, "Data types in Amazon Athena").
ATHENA = {
    pa.int8(): "tinyint",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.timestamp("us"): "timestamp",
    pa.list_(pa.field("element", pa.string())): "array<string>",
    pa.list_(pa.field("element", pa.float32())): "array<float>",
}
TYPES = [
    {"name": "Paid", "type": "boolean", "nullable": True},
    {"name": "note", "type": "text", "nullable": True},
]


def _found(folder: Path, pattern: str) -> dict[str, str]:
    schemas = [pq.read_schema(path) for path in sorted(folder.glob(pattern))]
    assert schemas, f"nothing at {folder}/{pattern}"
    return {field.name.lower(): ATHENA[field.type] for schema in schemas for field in schema}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_tables_have_the_columns_and_types_of_the_files_that_prepare_writes(task: str, tmp_path: Path) -> None:
    columns = [column.model_dump(mode="json", exclude_none=True) for column in make_project(task).data.columns]
    project = make_project(task, columns=[*columns, *TYPES])
    rows = [{**row, "Paid": ("yes", "no")[index % 2], "note": f"n{index % 7}"} for index, row in enumerate(ROWS)]
    broken = [{**rows[0], "visits": "many"}]
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv([*rows, *broken])}, project)
    assert result.status == "accepted", result.problems
    curated = folders.curated
    assert dict(table_columns.accepted_rows(project)) == _found(curated, "files/*")
    assert dict(table_columns.rejected_rows(project)) == _found(folders.quarantine, f"{zones.QUARANTINED_ROWS}/*")
    declared = dict(table_columns.datasets(project))
    for part in ("train", "validation", "test"):
        found = _found(curated, f"datasets/{result.dataset_id}/{part}/*")
        assert found.items() <= declared.items()
        assert {"visits", "paid", "__label", "__event_time", "__entity"} <= set(found)


def test_the_folder_of_rejected_rows_holds_nothing_that_athena_could_not_read(tmp_path: Path) -> None:
    broken = [{**ROWS[0], "visits": "many"}]
    _, folders = run_project(tmp_path, {"p-x/a.csv": as_csv([*ROWS, *broken])}, make_project())
    assert {path.suffix for path in (folders.quarantine / zones.QUARANTINED_ROWS).iterdir()} == {".parquet"}
    assert (folders.quarantine / "report.json").is_file()


def test_captured_requests_have_the_declared_fields_and_lie_where_the_table_looks(tmp_path: Path) -> None:
    around = QuietSurroundings(tmp_path)
    moment = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
    endpoint = naming.endpoint_name("dev", "flights")
    place = {"DestinationS3Uri": zones.s3_uri("predictions", zones.capture_prefix("flights"))}
    options = {"CaptureOptions": [{"CaptureMode": "InputAndOutput"}], "InitialSamplingPercentage": 100}
    capture = DataCapture(around, seed=0)
    for variant in zones.CAPTURED_VARIANTS:
        asked = Exchange(endpoint, variant, "id-1", "text/csv", b"1,2", "application/json", b"{}", moment)
        capture.add({**place, **options}, asked)
    capture.close()
    folders = {path.parent.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.jsonl")}
    assert set(folders) == {
        f"predictions/flights/capture/{endpoint}/{variant}/2026/11/21/08" for variant in zones.CAPTURED_VARIANTS
    }
    (line,) = next(iter(folders.values())).read_text().splitlines()
    declared = {name: _fields(type_) for name, type_ in table_columns.CAPTURED}
    _assert_within(json.loads(line), declared)


def test_the_variant_that_is_served_is_among_the_captured_ones() -> None:
    assert VARIANT in zones.CAPTURED_VARIANTS


def _fields(type_: str) -> Any:
    """Return a Glue type as names and types: `struct<a:string,b:struct<...>>`."""
    if not type_.startswith("struct<"):
        return type_
    inner, depth, parts, last = type_[7:-1], 0, [], 0
    for place, sign in enumerate(inner + ","):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            parts.append(inner[last:place])
            last = place + 1
    return {name: _fields(rest) for name, _, rest in (part.partition(":") for part in parts)}


def _assert_within(value: Any, declared: Any) -> None:
    if isinstance(value, dict):
        assert isinstance(declared, dict), (value, declared)
        for key, item in value.items():
            assert key.lower() in declared, key
            _assert_within(item, declared[key.lower()])
    else:
        assert (type(value).__name__, declared) == ("str", "string"), value
