"""Transform jobs: which objects they take, how they split, send, filter, join and write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own

__all__ = ["own"]

MANIFEST = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://contract/lists/today.manifest"}}


def scored(own: Own, **changes: Any) -> dict[str, Any]:
    """Run a transform job; returns its description at the end."""
    own.call("CreateModel", make.model("contract-model"))
    own.call("CreateTransformJob", make.transform("job", **changes))
    return own.ended("TransformJob", "job")


def calls(path: Path) -> list[str]:
    """Return the bodies that the server was sent, with an empty one for the end of each."""
    return path.read_text().splitlines()


def test_a_manifest_names_the_objects_and_their_places_below_the_output(own: Own) -> None:
    for key in ("in/a.csv", "in/2024/b.csv", "in/left-out.csv"):
        own.put(f"s3://contract/{key}", "1\n")
    own.put("s3://contract/lists/today.manifest", '[{"prefix": "s3://contract/in/"}, "2024/b.csv", "a.csv"]')
    job = scored(own, TransformInput__DataSource=MANIFEST)
    assert job["TransformJobStatus"] == "Completed", job
    written = own.around.bucket.path("contract", "scored")
    found = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert found == {"2024/b.csv.out", "a.csv.out"}


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("[", "not JSON"),
        ('["a.csv"]', "prefix"),
        ('[{"prefix": "https://contract/in/"}, "a.csv"]', "prefix"),
        ('[{"prefix": "s3://contract/in/"}]', "at least one object"),
        ('[{"prefix": "s3://contract/in/"}, 3]', "as a string"),
        ('[{"prefix": "s3://contract/in/"}, "nobody.csv"]', "does not exist"),
        (None, "Failed to download"),
    ],
)
def test_a_manifest_that_is_none_fails_the_job_with_its_fault(own: Own, manifest: str | None, reason: str) -> None:
    if manifest is not None:
        own.put("s3://contract/lists/today.manifest", manifest)
    job = scored(own, TransformInput__DataSource=MANIFEST)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert reason in job["FailureReason"]


def test_as_many_requests_are_under_way_as_the_job_says_and_the_output_keeps_the_order(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "".join(f"{number}\n" for number in range(6)))
    job = scored(own, MaxConcurrentTransforms=3, BatchStrategy="SingleRecord", Environment={"TOGETHER": "3"})
    assert job["TransformJobStatus"] == "Completed", job
    lines = own.read("s3://contract/scored/a.csv.out").splitlines()
    assert [json.loads(line)["body"] for line in lines] == [f"{number}\n" for number in range(6)]


def test_the_container_says_what_suits_it_where_the_job_does_not(own: Own, tmp_path: Path) -> None:
    own.put("s3://contract/batch/a.csv", "1\n2\n")
    wanted = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    job = scored(own, MaxConcurrentTransforms=0, Environment={"PARAMETERS": json.dumps(wanted), "TOGETHER": "2"})
    assert job["TransformJobStatus"] == "Completed", job
    assert len(own.read("s3://contract/scored/a.csv.out").splitlines()) == 2
    told = [text for _, stream, text in own.around.lines if stream.endswith("/data-log")]
    assert told[0].endswith("MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD")


@pytest.mark.parametrize("parameters", ["", "[]", '{"MaxConcurrentTransforms": "many", "BatchStrategy": "ALL"}'])
def test_what_the_job_says_counts_more_than_the_container_and_nonsense_not_at_all(own: Own, parameters: str) -> None:
    own.put("s3://contract/batch/a.csv", "1\n2\n")
    job = scored(own, MaxPayloadInMB=2, BatchStrategy="MultiRecord", Environment={"PARAMETERS": parameters})
    assert job["TransformJobStatus"] == "Completed", job
    told = [text for _, stream, text in own.around.lines if stream.endswith("/data-log")]
    assert told[0].endswith("MaxConcurrentTransforms=1, MaxPayloadInMB=2, BatchStrategy=MULTI_RECORD")


def test_batches_hold_as_many_records_as_fit_the_payload(own: Own, tmp_path: Path) -> None:
    line = "x" * 400_000 + "\n"
    own.put("s3://contract/batch/a.csv", line * 3)
    seen = tmp_path / "calls"
    job = scored(own, MaxPayloadInMB=1, Environment={"CALLS": str(seen), "COUNT": "1"})
    assert job["TransformJobStatus"] == "Completed", job
    assert calls(seen) == [line.strip(), line.strip(), "", line.strip(), ""]
    assert own.read("s3://contract/scored/a.csv.out") == b"1\n1\n1\n"


def test_an_object_that_is_not_split_is_sent_whole_or_refused_above_the_payload(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "1,2\n3,4\n")
    own.put("s3://contract/batch/b.csv", "1\n" * 600_000)
    job = scored(own, MaxPayloadInMB=1, TransformInput__SplitType="None", Environment={"COUNT": "1"})
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    assert own.read("s3://contract/scored/a.csv.out") == b"2\n2\n"
    assert any("batch/b.csv: Too much data for max payload size" in text for _, _, text in own.around.lines)


def test_gzip_objects_are_unpacked_and_others_fail(own: Own) -> None:
    own.around.bucket.put_object(Bucket="contract", Key="batch/a.csv.gz", Body=gzip.compress(b"1,2,3\n"))
    own.put("s3://contract/batch/b.csv.gz", "1\n")
    job = scored(own, TransformInput__CompressionType="Gzip", Environment={"COUNT": "1"})
    assert job["TransformJobStatus"] == "Failed"
    assert own.read("s3://contract/scored/a.csv.gz.out") == b"3\n"
    assert any("batch/b.csv.gz: Failed to decompress" in text for _, _, text in own.around.lines)


def test_csv_rows_are_filtered_for_the_model_and_joined_with_its_answer(own: Own, tmp_path: Path) -> None:
    own.put("s3://contract/batch/a.csv", 'id-1,"a, b",2\nid-2,c,3\n')
    seen = tmp_path / "calls"
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    job = scored(own, DataProcessing=processing, Environment={"COUNT": "1", "CALLS": str(seen)})
    assert job["TransformJobStatus"] == "Completed", job
    assert calls(seen) == ['"a, b",2', "c,3", ""]
    assert own.read("s3://contract/scored/a.csv.out") == b"id-1,3\nid-2,2\n"


def test_json_lines_keep_the_record_and_the_answer_beside_it(own: Own) -> None:
    own.put("s3://contract/batch/a.jsonl", '{"id": 1, "features": [7, 8]}\n{"id": 2, "features": [9]}\n')
    job = scored(
        own,
        TransformInput__ContentType="application/jsonlines",
        DataProcessing={
            "InputFilter": "$.features",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
        Environment={"COUNT": "1"},
    )
    assert job["TransformJobStatus"] == "Completed", job
    lines = [json.loads(line) for line in own.read("s3://contract/scored/a.jsonl.out").splitlines()]
    assert lines == [{"id": 1, "SageMakerOutput": 2}, {"id": 2, "SageMakerOutput": 1}]


def test_a_join_of_more_records_than_answers_fails_with_sagemakers_words(own: Own) -> None:
    own.put("s3://contract/batch/a.jsonl", "[1]\n[2]\n")
    job = scored(own, TransformInput__ContentType="application/jsonlines", DataProcessing={"JoinSource": "Input"})
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    words = "Fail to join data: mismatched line count between the input (2) and the output (1)"
    assert any(words in text for _, _, text in own.around.lines)


def test_outputs_are_encrypted_by_the_key_of_the_job(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "1\n")
    job = scored(own, TransformOutput__KmsKeyId="alias/own")
    assert job["TransformJobStatus"] == "Completed", job
    assert own.around.bucket.encryption["scored/a.csv.out"] == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/own",
    }
