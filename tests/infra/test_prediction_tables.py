"""Predictions as Parquet files: the types that the Glue table declares, and each prediction once on read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from aws_cdk import App, Stack, assertions, aws_s3

from infra.constructs.project_tables import ProjectTables
from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts.prediction import once_sql
from passerelle.domain.predictions import Recorder, once, read_captured
from passerelle.domain.project import Project
from tests.serving import GOOD_ROW
from tests.unit.domain.prediction_projects import flights_like
from tests.unit.domain.test_predictions import ANSWER, captured
from tests.unit.infra.test_table_columns import ATHENA

pytestmark = pytest.mark.xdist_group("infra")
PROJECT = flights_like()


def _recorder() -> Recorder:
    return Recorder(PROJECT, model="flights", find_model=lambda exchange, run_id: None)


def _rows(count: int, *, moment: str = "2026-11-21T08:30:00.25Z", score: float = 0.5) -> list[dict[str, Any]]:
    answer = {**ANSWER, "probabilities": [[1 - score, score]] * count, "predictions": [0] * count}
    answer["decisions"] = [score >= 0.5] * count
    rows = [{**GOOD_ROW, "hour": index, "carrier": "it's “ß”\n"} for index in range(count)]
    line = captured({"dataframe_records": rows}, answer, inferenceId="mine", inferenceTime=moment)
    return _recorder().records(read_captured(line), "champion")


def _tables(project: Project = PROJECT) -> dict[str, dict[str, Any]]:
    stack = Stack(App(), "Tables")
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Zone", "zone")
    ProjectTables(
        stack, "Of", project=project, curated=bucket, quarantine=bucket, predictions=bucket, database_name="db"
    )
    found = assertions.Template.from_stack(stack).find_resources("AWS::Glue::Table").values()
    return {item["Properties"]["TableInput"]["Name"]: item["Properties"]["TableInput"] for item in found}


def test_the_declared_table_has_the_names_and_types_of_the_files(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", _recorder().columns, _rows(3))
    written = [(field.name, ATHENA[field.type]) for field in pq.read_schema(path)]
    table = _tables()["flights_predictions_delivered"]
    assert [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]] == written
    assert table["Parameters"]["storage.location.template"] == "s3://zone/flights/records/${day}/"


def test_rows_are_read_back_as_they_were_and_equal_rows_make_equal_bytes(tmp_path: Path) -> None:
    columns, rows = _recorder().columns, _rows(50)
    path = write_parquet(tmp_path / "a.parquet", columns, rows)
    assert pq.read_table(path).to_pylist() == rows
    assert rows[0]["event_time"] == datetime(2026, 11, 21, 8, 30, 0, 250_000)
    assert write_parquet(tmp_path / "b.parquet", columns, rows).read_bytes() == path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_several_classes_have_their_probabilities_in_files_table_and_view_and_older_files_none(tmp_path: Path) -> None:
    project = flights_like("multiclass")
    recorder = Recorder(project, model="flights", find_model=lambda exchange, run_id: None)
    answer = {"predictions": ["b"] * 3, "probabilities": [[0.25, 0.5, 0.25]] * 3, "model": {"version": "1"}}
    rows = [{**GOOD_ROW, "hour": index} for index in range(3)]
    records = recorder.records(
        read_captured(captured({"dataframe_records": rows}, answer, inferenceId="new")), "champion"
    )
    path = write_parquet(tmp_path / "b.parquet", recorder.columns, records)
    assert pq.read_table(path).to_pylist() == records
    written = [(field.name, ATHENA[field.type]) for field in pq.read_schema(path)]
    assert written[-1] == ("probabilities", "array<float>")
    tables = _tables(project)
    declared = tables["flights_predictions_delivered"]["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in declared] == written
    view = json.loads(base64.b64decode(tables["flights_predictions"]["ViewOriginalText"][16:-3]))
    assert {"name": "probabilities", "type": "array(real)"} in view["columns"]
    older = [{**record, "inference_id": "old"} for record in records]
    write_parquet(tmp_path / "a.parquet", recorder.columns[:-1], _without(older, "probabilities"))
    files = f"read_parquet('{tmp_path}/*.parquet', union_by_name = true)"
    query = once_sql(files, ["inference_id", "probabilities"])
    found = duckdb.sql(f"SELECT DISTINCT * FROM ({query}) ORDER BY ALL").fetchall()
    assert found == [("new", [0.25, 0.5, 0.25]), ("old", None)]
    frame = once(pd.concat(map(pd.read_parquet, sorted(tmp_path.glob("*.parquet")))))
    assert (len(frame), int(frame["probabilities"].isna().sum())) == (6, 3)


def test_athenas_view_and_pandas_keep_the_same_one_row_of_each_prediction(tmp_path: Path) -> None:
    columns = _recorder().columns
    for place, delivery in enumerate((_rows(2, score=0.7), _rows(3, moment="2026-11-21T08:29:00Z"), _rows(3))):
        write_parquet(tmp_path / f"{place}.parquet", columns, delivery)
    query = json.loads(base64.b64decode(_tables()["flights_predictions"]["ViewOriginalText"][16:-3]))
    assert query["schema"] == "db"
    files = f"SELECT *, strftime(event_time, '%Y-%m-%d') AS day FROM read_parquet('{tmp_path}/*.parquet')"
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW flights_predictions_delivered AS {files}")
    seen = connection.execute(f"{query['originalSql']} ORDER BY request_row")
    assert [item[0] for item in seen.description] == [column["name"] for column in query["columns"]]
    by_athena = seen.fetchall()
    assert [row[2] for row in by_athena] == [datetime(2026, 11, 21, 8, 29)] * 3
    frame = pd.concat(map(pd.read_parquet, sorted(tmp_path.glob("*.parquet"))))
    assert len(frame) == 8
    assert list(once(frame).sort_values("request_row")["score"]) == [row[-4] for row in by_athena] == [0.5] * 3
    names = [name for name, _ in columns]
    plain = connection.execute(once_sql(f"read_parquet('{tmp_path}/*.parquet')", names)).fetchall()
    assert len(plain) == 3


def test_files_from_before_a_column_was_added_are_read_with_those_that_have_it(tmp_path: Path) -> None:
    import awswrangler as wr
    import boto3
    from moto import mock_aws

    columns = _recorder().columns
    older = tuple(column for column in columns if column[0] != "input_passenger")
    rows = [{**row, "input_passenger": "p"} for row in _rows(2)]
    write_parquet(tmp_path / "0.parquet", older, _without(rows, "input_passenger"))
    write_parquet(tmp_path / "1.parquet", columns, [{**row, "inference_id": "other"} for row in rows])
    files = f"read_parquet('{tmp_path}/*.parquet', union_by_name = true)"
    query = f"SELECT inference_id, input_passenger FROM ({once_sql(files, [name for name, _ in columns])}) ORDER BY ALL"
    expected = [("mine", None), ("mine", None), ("other", "p"), ("other", "p")]
    assert duckdb.sql(query).fetchall() == expected
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="zone")
        for path in tmp_path.iterdir():
            s3.upload_file(str(path), "zone", f"flights/records/2026-11-21/{path.name}")
        session = boto3.Session(region_name="us-east-1")
        frame = once(wr.s3.read_parquet("s3://zone/flights/records/", dataset=True, boto3_session=session))
    assert sorted(frame["input_passenger"].dropna()) == ["p", "p"]
    assert len(frame) == 4


def _without(rows: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in rows]
