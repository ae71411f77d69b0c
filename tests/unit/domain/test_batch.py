"""What of a prefix is left to score, and the transform job that scores it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from laptop.sagemaker.jobs.rules import check_transform
from laptop.sagemaker.validation import validate
from passerelle.contracts.batch import BatchPlan
from passerelle.contracts.prediction import LOG_VARIABLE
from passerelle.domain.batch import StoredObject, Work, WrittenPlan, form_of, inputs_of, payload_mb, work_of
from passerelle.domain.requests.batch import BatchJob, batch_tags, transform_job
from passerelle.domain.requests.manifest import manifest
from passerelle.errors import InputError
from training.serve.settings import read_settings

BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
WHERE = "s3://b/flights/batch/x/"


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def stored(name: str, minute: int = 0, *, etag: str = "e1", size: int = 10) -> StoredObject:
    return StoredObject(name, etag, size, at(minute))


def planned(minute: int, *inputs: StoredObject, model: str = "m1", joined: bool = False) -> WrittenPlan:
    listed = tuple(each.as_input for each in inputs)
    plan = BatchPlan(job=f"j{minute}", project="flights", model=model, joined=joined, inputs=listed)
    return WrittenPlan(plan, at(minute))


def names(work: Work) -> tuple[list[str], list[str]]:
    return [each.name for each in work.done], [each.name for each in work.left]


def work(
    inputs: list[StoredObject], outputs: list[StoredObject], *plans: WrittenPlan, **options: Any
) -> tuple[list[str], list[str]]:
    by_name = {each.name: each for each in outputs}
    return names(work_of(inputs, by_name, plans, **{"model": "m1", "joined": False, **options}))


A, B = stored("a.csv"), stored("sub/b.csv")


def test_at_first_everything_is_left() -> None:
    assert work([A, B], []) == ([], ["a.csv", "sub/b.csv"])


def test_after_a_job_that_failed_midway_only_the_rest_is_left() -> None:
    assert work([A, B], [stored("a.csv.out", 7)], planned(5, A, B)) == (["a.csv"], ["sub/b.csv"])


def test_a_changed_input_is_scored_again_and_then_no_more() -> None:
    changed = stored("a.csv", 10, etag="e2")
    first, output = planned(5, A), stored("a.csv.out", 7)
    assert work([changed], [output], first) == ([], ["a.csv"])
    second = planned(12, changed)
    assert work([changed], [output], first, second) == ([], ["a.csv"])  # that job has not come to it yet
    assert work([changed], [stored("a.csv.out", 14)], second, first) == (["a.csv"], [])


def test_an_input_that_was_written_again_with_the_same_bytes_is_scored_again() -> None:
    assert work([replace(A, modified=at(10))], [stored("a.csv.out", 7)], planned(5, A)) == ([], ["a.csv"])


@pytest.mark.parametrize("options", [{"model": "m2"}, {"joined": True}])
def test_another_model_or_form_of_output_scores_everything_again(options: dict[str, Any]) -> None:
    assert work([A], [stored("a.csv.out", 7)], planned(5, A), **options) == ([], ["a.csv"])


def test_an_output_of_unknown_origin_is_written_anew() -> None:
    assert work([A], [stored("a.csv.out", 3)], planned(5, A)) == ([], ["a.csv"])
    assert work([A], [stored("a.csv.out", 7)], planned(5, B)) == ([], ["a.csv"])


def test_an_output_of_the_model_before_is_not_taken_for_the_new_ones() -> None:
    plans = (planned(5, A, model="m0"), planned(8, A))
    assert work([A], [stored("a.csv.out", 7)], *plans) == ([], ["a.csv"])
    assert work([A], [stored("a.csv.out", 9)], *plans) == (["a.csv"], [])


def test_outputs_plans_and_hidden_objects_are_no_inputs() -> None:
    listed = [A, stored("a.csv.out"), stored("_batch/j.json"), stored("folder/"), stored(".x"), stored("y/_SUCCESS"), B]
    assert inputs_of(listed) == (A, B)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "aws s3 cp"),
        ([stored("a.parquet")], r"a\.parquet: cannot tell the format"),
        ([A, stored("b.jsonl")], r"mixes formats \(a\.csv and b\.jsonl\)"),
        ([stored("a.csv", size=100 * 1024**2 + 1)], "100 MB at once"),
    ],
)
def test_inputs_that_no_job_could_score_are_refused_with_what_to_do(inputs: list[StoredObject], says: str) -> None:
    with pytest.raises(InputError, match=says):
        form_of(inputs, WHERE)


def test_json_lines_of_any_size_are_sent_in_pieces_and_csv_whole() -> None:
    lines = [stored("a.jsonl", size=10**10), stored("b.ndjson")]
    assert payload_mb(form_of(lines, WHERE), lines) == 6
    for size, sent in ((10, 6), (6 * 1024**2, 6), (6 * 1024**2 + 1, 7), (100 * 1024**2, 100)):
        tables = [A, stored("b.CSV", size=size)]
        assert payload_mb(form_of(tables, WHERE), tables) == sent


def request(*inputs: StoredObject, **changes: Any) -> dict[str, Any]:
    job = BatchJob(
        name="flights-batch-20261121000000-abcdef", model_name="m", manifest_uri="s3://b/m", output_uri="s3://b/out",
        form=form_of(inputs, WHERE), inputs=inputs, joined=False, instance_type="ml.m5.xlarge",
        kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1", tags={"team": "blue"},
    )  # fmt: skip
    return transform_job(replace(job, **changes))


@pytest.mark.parametrize(("name", "joined"), [("a.csv", False), ("a.jsonl", False), ("a.jsonl", True)])
def test_sagemaker_takes_the_request(name: str, joined: bool) -> None:
    made = request(stored(name, size=90 * 1024**2), joined=joined)
    validate("CreateTransformJob", made)
    check_transform(made)
    assert made["TransformOutput"]["KmsKeyId"] == made["TransformResources"]["VolumeKmsKeyId"]
    assert ("DataProcessing" in made) == joined


def test_a_worker_a_processor_answers_and_one_where_the_type_is_unknown() -> None:
    assert request(A)["Environment"]["SAGEMAKER_MODEL_SERVER_WORKERS"] == "4"
    assert request(A, instance_type="ml.new.huge")["Environment"]["SAGEMAKER_MODEL_SERVER_WORKERS"] == "1"


def test_a_serverless_endpoints_model_logs_no_prediction_of_a_batch() -> None:
    model_logs = {LOG_VARIABLE: json.dumps(["entity"])}
    assert read_settings(model_logs).logged_columns == ("entity",)
    assert read_settings(model_logs | request(A)["Environment"]).logged_columns is None


def test_the_manifest_has_sagemakers_form() -> None:
    assert json.loads(manifest(WHERE, ["a.csv", "sub/b.csv"])) == [{"prefix": WHERE}, "a.csv", "sub/b.csv"]


def test_a_batch_has_its_endpoints_tags_but_not_its_first_run() -> None:
    given = {
        "passerelle:project": "flights",
        "passerelle:run": "r1",
        "aws:cloudformation:stack-id": "s",
        "team": "blue",
    }
    found = batch_tags([{"Key": key, "Value": value} for key, value in given.items()])
    assert found == {"passerelle:project": "flights", "team": "blue"}
