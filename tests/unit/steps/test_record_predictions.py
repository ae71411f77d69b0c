"""What an endpoint captured becomes records: the same ones however often it is told, with every broken line told."""

from __future__ import annotations

import base64
import gzip
import io
import json
from datetime import datetime
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
import yaml

from passerelle.contracts import naming, zones
from passerelle.contracts.bundle import BundleMetadata, BundleSignature, SignatureColumn
from passerelle.contracts.runs import StageRecord
from passerelle.domain.predictions import once
from passerelle.errors import NotFoundError, SettingsError
from passerelle.settings import RecordPredictionsSettings
from passerelle.steps import record_predictions as step
from passerelle.steps.artefacts import BUNDLE, training_key
from passerelle.steps.record_predictions import record_predictions

from . import results
from .world import MOMENT, ROOT, Aws

ENDPOINT = naming.endpoint_name("laptop", "flights")
ROW = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "time_hour": "2013-01-01T10:00:00Z",
    "dest": "IAH",
    "distance": 1400,
}
MODEL = {"run_id": "r1", "version": "4"}
COLUMNS = ("distance", "origin")


def _side(kind: str, data: Any) -> dict[str, str]:
    text = data if isinstance(data, str) else json.dumps(data)
    return {"observedContentType": kind, "data": text, "encoding": "CSV" if kind == "text/csv" else "JSON"}


def _line(number: int, *, rows: int = 1, day: str = "2026-11-21", csv: bool = False) -> str:
    """Return a captured request; as CSV it says neither columns nor, in its answer, the model."""
    moment = f"{day}T08:30:{number % 60:02}Z"
    if csv:
        asked, told = _side("text/csv", "1400,EWR\n" * rows), _side("text/csv", "1,0.25,0.75\n" * rows)
    else:
        answer = {"predictions": [1] * rows, "probabilities": [[0.25, 0.75]] * rows, "decisions": [True] * rows}
        asked = _side("application/json", {"dataframe_records": [ROW] * rows})
        told = _side("application/json", {**answer, "threshold": 0.5, "model": MODEL})
    metadata = {"eventId": f"event-{number}", "inferenceTime": moment}
    return json.dumps({"captureData": {"endpointInput": asked, "endpointOutput": told}, "eventMetadata": metadata})


def _capture(
    aws: Aws, *lines: str, name: str = "a", variant: str = "champion", project: str = "flights"
) -> dict[str, Any]:
    """Put a captured object; returns its event."""
    key = f"{zones.capture_prefix(project)}/{ENDPOINT}/{variant}/2026/11/21/08/{name}.jsonl"
    aws.s3.put_object(Bucket=aws.buckets["predictions"], Key=key, Body="\n".join(lines).encode())
    return {"detail": {"bucket": {"name": aws.buckets["predictions"]}, "object": {"key": key}}}


def _settings(aws: Aws, **changes: str) -> RecordPredictionsSettings:
    return RecordPredictionsSettings(**aws.shared, zones=aws.buckets, **changes)


def _objects(aws: Aws, zone: str, prefix: str) -> dict[str, bytes]:
    listed = aws.s3.list_objects_v2(Bucket=aws.buckets[zone], Prefix=prefix).get("Contents", ())
    return {item["Key"]: aws.s3.get_object(Bucket=aws.buckets[zone], Key=item["Key"])["Body"].read() for item in listed}


def _files(aws: Aws) -> dict[str, list[dict[str, Any]]]:
    found = _objects(aws, "predictions", "flights/records/")
    return {key: pq.read_table(io.BytesIO(body)).to_pylist() for key, body in found.items()}


def _rows(aws: Aws) -> list[dict[str, Any]]:
    return [row for rows in _files(aws).values() for row in rows]


def _serve(aws: Aws, promoted_at: str) -> None:
    """Let a run's model be the champion since a moment."""
    job = "flights-r1-train-1"
    stage = StageRecord(stage="train", status="done", started_at=MOMENT, job_name=job)
    aws.begin_run(stages=(stage,), model_version="4")
    aws.table.put("flights", "CHAMPION", run_id="r1", model_version="4", promoted_at=promoted_at)
    columns = {"distance": "number", "origin": "category"}
    inputs = tuple(SignatureColumn(name=name, type=columns[name]) for name in COLUMNS)
    signature = BundleSignature(task="binary", inputs=inputs, classes=("0", "1"), positive_class="1")
    texts = dict.fromkeys(set(BundleMetadata.__struct_fields__) - {"metrics", "params", "versions", "machine"}, "x")
    metadata = BundleMetadata(**{**texts, "seed": 1, "threshold": 0.8, "fast_path": None})
    files = {"signature.json": signature.to_json(), "metadata.json": metadata.to_json()}
    packed = results.archive({name: text.encode() for name, text in files.items()})
    aws.s3.put_object(Bucket=aws.buckets["models"], Key=training_key("flights", job, BUNDLE), Body=packed)


def test_what_was_captured_lies_by_day_as_parquet_with_model_version_variant_entity_and_inputs(aws: Aws) -> None:
    event = _capture(aws, _line(1, rows=2), _line(2, day="2026-11-22"), variant="challenger")
    answer = record_predictions(event, _settings(aws))
    assert answer == {"outcome": "recorded", "project": "flights", "variant": "challenger", "records": 3, "files": 2,
                      "refused": 0, "broken": 0}  # fmt: skip
    files = _files(aws)
    assert [key.split("/")[2] for key in files] == ["2026-11-21", "2026-11-22"]
    (row,) = next(rows for key, rows in files.items() if "2026-11-22" in key)
    assert (row["inference_id"], row["request_row"], row["variant"]) == ("event-2", 0, "challenger")
    assert (row["model"], row["version"]) == (naming.registered_model_name("laptop", "flights"), "4")
    assert row["entity_id"] == "UA|1545|EWR|2013-01-01 10:00:00"
    assert (row["input_distance"], row["input_time_hour"]) == (1400.0, datetime(2013, 1, 1, 10))
    assert (row["score"], row["decision"], row["latency_ms"]) == (0.75, "true", None)


def test_an_object_that_is_told_twice_is_written_to_the_same_places_with_the_same_bytes(aws: Aws) -> None:
    event = _capture(aws, *(_line(number) for number in range(5)))
    record_predictions(event, _settings(aws))
    first = _objects(aws, "predictions", "flights/records/")
    record_predictions(event, _settings(aws))
    assert _objects(aws, "predictions", "flights/records/") == first
    assert len(first) == 1


def test_a_prediction_that_lies_in_two_objects_is_one_row_on_read(aws: Aws) -> None:
    import awswrangler as wr

    for name, numbers in (("a", range(4)), ("b", range(2, 6))):
        record_predictions(_capture(aws, *(_line(number) for number in numbers), name=name), _settings(aws))
    prefix = zones.s3_uri(aws.buckets["predictions"], zones.prediction_records_prefix("flights"))
    delivered = wr.s3.read_parquet(prefix + "/", dataset=True)
    assert len(delivered) == 8
    assert sorted(once(delivered)["inference_id"]) == [f"event-{number}" for number in range(6)]


def test_broken_lines_are_counted_and_told_where_they_lie_and_the_others_are_recorded(aws: Aws) -> None:
    refusal = json.loads(_line(7))
    refusal["captureData"]["endpointOutput"] = _side("application/json", {"error": {"code": "null"}})
    event = _capture(aws, _line(1), "{broken", "", '{"a": 1}', json.dumps(refusal), _line(2))
    answer = record_predictions(event, _settings(aws))
    assert (answer["records"], answer["broken"], answer["refused"]) == (2, 2, 1)
    (report,) = (json.loads(body) for body in _objects(aws, "quarantine", "flights/predictions/").values())
    assert report["source"].endswith(event["detail"]["object"]["key"])
    assert [(item["line"], item["reason"].split(":")[0]) for item in report["lines"]] == [
        (2, "the line is not JSON"),
        (4, "not a captured request with its answer"),
    ]
    assert "{broken" not in json.dumps(report)


def test_an_answer_that_does_not_name_its_model_has_the_champions_version_if_that_served_then(aws: Aws) -> None:
    _serve(aws, "2026-11-21T08:30:30.000+00:00")
    event = _capture(aws, _line(29, csv=True), _line(31, rows=2, csv=True))
    answer = record_predictions(event, _settings(aws))
    # Without names of columns, and before it is known whose order they are in, nothing is guessed.
    assert (answer["records"], answer["broken"]) == (2, 1)
    for row in _rows(aws):
        assert (row["version"], row["input_distance"], row["input_origin"]) == ("4", 1400.0, "EWR")
        assert (row["score"], row["decision"]) == (0.75, "false")  # its own threshold is 0.8


def test_a_challengers_values_without_names_are_read_by_the_run_that_its_answer_names(aws: Aws) -> None:
    _serve(aws, "2027-01-01T00:00:00+00:00")
    line = json.loads(_line(1))
    line["captureData"]["endpointInput"] = _side("application/json", {"instances": [[1400, "EWR"]]})
    answer = record_predictions(_capture(aws, json.dumps(line), variant="challenger"), _settings(aws))
    assert (answer["records"], answer["broken"]) == (1, 0)
    assert (_rows(aws)[0]["input_origin"], _rows(aws)[0]["decision"]) == ("EWR", "true")


def test_many_rows_are_written_in_parts_none_of_which_is_larger_than_is_held(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "PART_ROWS", 4)
    answer = record_predictions(_capture(aws, *(_line(number, rows=3) for number in range(3))), _settings(aws))
    assert answer["files"] == 3
    assert sorted(len(rows) for rows in _files(aws).values()) == [1, 4, 4]
    assert {(row["inference_id"], row["request_row"]) for row in _rows(aws)} == {
        (f"event-{number}", row) for number in range(3) for row in range(3)
    }


def test_many_probabilities_make_smaller_parts(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = yaml.safe_load((ROOT / "projects/flights/project.yaml").read_text())["data"]["columns"]
    for column in columns:
        if column["name"] == "arr_delay":
            column.update({"type": "category", "min": None, "max": None})
    aws.deploy_project(
        data={"columns": columns, "label": {"column": "arr_delay"}}, task={"type": "multiclass", "metric": "log_loss"}
    )
    monkeypatch.setattr(step, "PART_NUMBERS", 4)
    answer = record_predictions(_capture(aws, _line(1, rows=5)), _settings(aws))
    assert (answer["records"], answer["files"]) == (5, 3)
    assert sorted(len(rows) for rows in _files(aws).values()) == [1, 2, 2]
    assert [row["probabilities"] for row in _rows(aws)] == [[0.25, 0.75]] * 5


def test_other_objects_and_one_that_is_gone_are_no_errors(aws: Aws) -> None:
    gone = _capture(aws, _line(1))
    aws.s3.delete_object(Bucket=aws.buckets["predictions"], Key=gone["detail"]["object"]["key"])
    other = {"detail": {"bucket": gone["detail"]["bucket"], "object": {"key": "flights/records/2026-11-21/a.parquet"}}}
    for event in (gone, other):
        assert record_predictions(event, _settings(aws))["outcome"] == "ignored"
    assert not _files(aws)


def test_what_a_project_that_is_not_deployed_was_asked_is_kept_for_a_person_to_look_at(aws: Aws) -> None:
    event = _capture(aws, _line(1), project="unknown")
    with pytest.raises(NotFoundError, match="not deployed"):  # tried again, then a dead letter
        record_predictions(event, _settings(aws))


def test_a_personal_entity_is_hashed_with_the_key_of_the_secret_and_nothing_is_written_without(aws: Aws) -> None:
    import yaml

    from .world import ROOT

    document = yaml.safe_load((ROOT / "projects/flights/project.yaml").read_text())
    for column in document["data"]["columns"]:
        if column["name"] == "flight":
            column["sensitivity"] = "personal"
    aws.deploy_document(document)
    event = _capture(aws, _line(1))
    with pytest.raises(SettingsError, match="Deploy again"):
        record_predictions(event, _settings(aws))
    assert not _files(aws)
    secret = boto3.client("secretsmanager").create_secret(Name="key", SecretString="k")["ARN"]
    record_predictions(event, _settings(aws, hash_key_secret=secret))
    (row,) = _rows(aws)
    assert len(row["entity_id"]) == 64
    assert not [value for value in row.values() if "1545" in str(value) and value != row["entity_id"]]
    assert "input_flight" not in row


def _logged(*numbers: int, group: str = f"/aws/sagemaker/Endpoints/{ENDPOINT}", kind: str = "DATA_MESSAGE") -> Any:
    """Return what a subscription filter passes on of a serverless server's log."""
    events = [
        {
            "id": f"e{number}",
            "timestamp": 0,
            "message": json.dumps(
                {"event": "served_prediction", "time": "2026-11-21T08:30:00Z", "inference_id": f"i{number}", "ms": 1.5,
                 "columns": ["distance", "origin"], "threshold": 0.5, "run_id": "r1", "version": "4", "first_row": 2,
                 "rows": [[[1400.0, "EWR"], 1, [0.25, 0.75], True]]}
            ) if number else "{broken",
        }
        for number in numbers
    ]  # fmt: skip
    batch = {"messageType": kind, "logGroup": group, "logStream": "champion/abc", "logEvents": events}
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}


def test_lines_of_a_serverless_servers_log_become_the_same_records_once_however_often_delivered(aws: Aws) -> None:
    answers = [record_predictions(_logged(1, 2, 0), _settings(aws)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[0]["records"], answers[0]["broken"], answers[0]["variant"]) == (2, 1, "champion")
    assert len(_files(aws)) == 1
    row = _rows(aws)[0]
    assert (row["inference_id"], row["request_row"], row["latency_ms"]) == ("i1", 2, 1.5)
    assert (row["input_distance"], row["score"], row["decision"], row["version"]) == (1400.0, 0.75, "true", "4")


def test_a_message_of_control_and_another_log_group_are_ignored(aws: Aws) -> None:
    for event in (_logged(1, kind="CONTROL_MESSAGE"), _logged(1, group="/aws/lambda/x")):
        assert record_predictions(event, _settings(aws))["outcome"] == "ignored"
    assert not _files(aws)
