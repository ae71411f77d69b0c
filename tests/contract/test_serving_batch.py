"""A transform job with the real container: what `serve` answers is what lies beside the inputs' keys."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from laptop.settings import DEFAULT_IMAGES
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own
from tests.serving import CSV_LINE, GOOD_ROW, make_bundle


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    home = tmp_path_factory.mktemp("batch")
    service = Own(home, images=DEFAULT_IMAGES)
    make_bundle("binary", home / "model", candidate="logistic")
    archive = service.around.bucket.path("contract", "model.tar.gz")
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        for path in (home / "model").iterdir():
            tar.add(path, path.name)
    container = {"Image": next(iter(DEFAULT_IMAGES)), "ModelDataUrl": "s3://contract/model.tar.gz"}
    service.call("CreateModel", make.model("contract-model", PrimaryContainer=container))
    yield service
    service.sagemaker.close()


def scored(own: Own, name: str, **changes: Any) -> dict[str, Any]:
    own.call("CreateTransformJob", make.transform(name, **changes))
    return own.ended("TransformJob", name)


def test_csv_without_a_header_and_json_lines_get_the_same_answers(own: Own) -> None:
    own.put("s3://contract/batch/csv/a.csv", f"{CSV_LINE.strip()}\n" * 3)
    own.put("s3://contract/batch/lines/a.jsonl", f"{json.dumps(GOOD_ROW)}\n" * 3)
    kinds = {"csv": "text/csv", "lines": "application/jsonlines"}
    for name, kind in kinds.items():
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://contract/batch/{name}/"}}
        job = scored(
            own, name, TransformInput__DataSource=source, TransformInput__ContentType=kind, TransformOutput__Accept=kind
        )
        assert job["TransformJobStatus"] == "Completed", (job, own.around.lines)
    rows = [line.split(",") for line in own.read("s3://contract/scored/a.csv.out").decode().splitlines()]
    lines = [json.loads(line) for line in own.read("s3://contract/scored/a.jsonl.out").splitlines()]
    assert len(rows) == len(lines) == 3
    for (label, *shares), line in zip(rows, lines, strict=True):
        assert (label, [float(share) for share in shares]) == (str(line["prediction"]), line["probabilities"])
    told = [text for _, stream, text in own.around.lines if stream.endswith("/data-log")]
    assert all(
        text.endswith("MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD") for text in told
    )


def test_records_are_joined_with_their_answers_and_columns_for_people_never_reach_the_model(own: Own) -> None:
    own.put("s3://contract/ids/a.csv", f"flight-1,{CSV_LINE.strip()}\nflight-2,{CSV_LINE.strip()}\n")
    job = scored(
        own,
        "joined",
        TransformInput__DataSource__S3DataSource__S3Uri="s3://contract/ids/",
        TransformOutput={"S3OutputPath": "s3://contract/joined", "AssembleWith": "Line", "Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-3]"},
    )
    assert job["TransformJobStatus"] == "Completed", (job, own.around.lines)
    rows = [line.split(",") for line in own.read("s3://contract/joined/a.csv.out").decode().splitlines()]
    assert [row[0] for row in rows] == ["flight-1", "flight-2"]
    assert {row[1] for row in rows} <= {"0", "1"}


def test_a_record_that_the_model_refuses_fails_the_job_and_the_data_log_says_which_and_why(own: Own) -> None:
    own.put("s3://contract/bad/refused.jsonl", f"{json.dumps(GOOD_ROW)}\n{json.dumps(GOOD_ROW | {'hour': 'noon'})}\n")
    job = scored(
        own,
        "refused",
        TransformInput__DataSource__S3DataSource__S3Uri="s3://contract/bad/",
        TransformInput__ContentType="application/jsonlines",
    )
    assert (job["TransformJobStatus"], job["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    told = "\n".join(text for _, stream, text in own.around.lines if stream.startswith("refused/") and "data" in stream)
    assert "contract/bad/refused.jsonl: ClientError: 400" in told
    assert '"field":"hour"' in told
    assert '"row":1' in told
    assert not own.around.bucket.path("contract", "scored/refused.jsonl.out").exists()


def test_an_empty_csv_is_refused_with_a_remedy_and_empty_json_lines_have_an_empty_output(own: Own) -> None:
    own.put("s3://contract/empty/csv/a.csv", "")
    own.put("s3://contract/empty/lines/b.jsonl", "")
    for name, split, kind in (("csv", "None", "text/csv"), ("lines", "Line", "application/jsonlines")):
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://contract/empty/{name}/"}}
        changes = {"DataSource": source, "SplitType": split, "ContentType": kind}
        job = scored(own, f"empty-{name}", **{f"TransformInput__{key}": value for key, value in changes.items()})
        assert job["TransformJobStatus"] == {"csv": "Failed", "lines": "Completed"}[name]
    told = "\n".join(text for _, stream, text in own.around.lines if stream.startswith("empty-csv/"))
    assert "empty/csv/a.csv: ClientError: 400" in told
    assert '"code":"empty_body"' in told
    assert own.read("s3://contract/scored/b.jsonl.out") == b""
