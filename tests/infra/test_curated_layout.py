"""awswrangler reads what preparation writes, from S3, by the Glue tables' own layout, with the contract's types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.contracts import zones
from passerelle.contracts.container import PrepareResult
from tests.e2e.projects import as_csv, make_rows
from tests.unit.training.prepared import make_project, parts, run_project
from training.prepare.main import Folders

PROJECT, BUCKET = "p-x", "curated-bucket"


@pytest.fixture
def curated(tmp_path: Path) -> Iterator[tuple[PrepareResult, Folders]]:
    """Prepare two files, and put what SageMaker would upload into a bucket."""
    files = {f"p-x/{name}.csv": as_csv(make_rows(300, seed=seed)) for seed, name in enumerate("ab")}
    result, folders = run_project(tmp_path, files, make_project())
    assert result.status == "accepted", result.problems
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for path in folders.curated.rglob("*"):
            if path.is_file():
                s3.upload_file(str(path), BUCKET, f"{PROJECT}/{path.relative_to(folders.curated)}")
        yield result, folders


def test_a_part_of_a_dataset_is_read_with_its_types_and_in_its_order(curated: Any) -> None:
    import awswrangler as wr

    result, folders = curated
    uri = zones.s3_uri(BUCKET, zones.dataset_prefix(PROJECT, result.dataset_id))
    assert result.split["train"].uri == f"{uri}/train/"
    for part, rows in parts(result, folders).items():
        table = wr.s3.read_parquet(f"{uri}/{part}/", dataset=True, dtype_backend="pyarrow")
        assert table.to_dict("records") == [
            {name: value for name, value in row.items() if name in table.columns} for row in rows
        ]
        assert len(table) == result.split[part].rows
        kinds = {name: str(kind) for name, kind in table.dtypes.items()}
        assert kinds["visits"] == "int64[pyarrow]"
        assert (kinds["__label"], kinds["__event_time"]) == ("int8[pyarrow]", "timestamp[us][pyarrow]")


def test_the_accepted_rows_of_all_files_are_one_table_without_partitions(curated: Any) -> None:
    import awswrangler as wr

    result, _ = curated
    table = wr.s3.read_parquet(zones.s3_uri(BUCKET, zones.curated_files_prefix(PROJECT)), dataset=True)
    assert len(table) == result.rows_accepted
    assert list(table.columns) == ["_line", *(column.name for column in make_project().data.columns)]


def test_a_table_that_projects_its_partitions_says_where_each_is(curated: Any) -> None:
    """What Athena does with the table: the location template, filled with the partition asked for."""
    import awswrangler as wr

    result, _ = curated
    glue = _table_of_datasets()
    template = glue["Parameters"]["storage.location.template"]
    location = template.replace("${dataset_id}", result.dataset_id).replace("${part}", "validation")
    table = wr.s3.read_parquet(location, dataset=True, dtype_backend="pyarrow")
    assert len(table) == result.split["validation"].rows
    declared = {column["Name"]: column["Type"] for column in glue["StorageDescriptor"]["Columns"]}
    arrow = {"int8[pyarrow]": "tinyint", "int64[pyarrow]": "bigint", "double[pyarrow]": "double",
             "timestamp[us][pyarrow]": "timestamp", "string[pyarrow]": "string", "bool[pyarrow]": "boolean"}  # fmt: skip
    assert {name: arrow[str(kind)] for name, kind in table.dtypes.items()} == {
        name: declared[name] for name in table.columns
    }


def _table_of_datasets() -> dict[str, Any]:
    """Return the Glue table as it is deployed."""
    from aws_cdk import App, Stack, assertions, aws_s3

    from infra.constructs.project_tables import ProjectTables

    stack = Stack(App(), "Tables")
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Curated", BUCKET)
    project = make_project()
    ProjectTables(
        stack, "Of", project=project, curated=bucket, quarantine=bucket, predictions=bucket, database_name="db"
    )
    template = assertions.Template.from_stack(stack)
    found = [table["Properties"]["TableInput"] for table in template.find_resources("AWS::Glue::Table").values()]
    (table,) = [table for table in found if table["Name"].endswith("_datasets")]
    return dict(table)
