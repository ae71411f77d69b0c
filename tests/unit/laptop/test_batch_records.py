"""JSONPath as batch transform knows it, and how records and answers are joined."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.jobs.batch.failures import ObjectError
from laptop.sagemaker.jobs.batch.joining import Joining
from laptop.sagemaker.jobs.batch.jsonpath import JsonPath, JsonPathError

RECORD = {"id": 7, "a": {"b": [1, 2, 3], "c-d": "x"}, "rows": [{"k": 1}, {"k": 2}]}


@pytest.mark.parametrize(
    ("text", "value", "selected"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 7),
        ("$.a.b[1]", RECORD, 2),
        ("$['a']['c-d']", RECORD, "x"),
        ("$.['id','a']", RECORD, {"id": 7, "a": RECORD["a"]}),
        ("$.a.b[-1]", RECORD, 3),
        ("$.rows[*].k", RECORD, [1, 2]),
        ("$.a.*", RECORD, [[1, 2, 3], "x"]),
        ("$[1:]", [0, 1, 2], [1, 2]),
        ("$[:-1]", [0, 1, 2], [0, 1]),
        ("$[0,5:]", list(range(8)), [0, 5, 6, 7]),
        ("$[0,2]", [0, 1, 2], [0, 2]),
    ],
)
def test_an_expression_selects_what_the_developer_guide_says(text: str, value: Any, selected: Any) -> None:
    assert JsonPath.parse(text).select(value) == selected


@pytest.mark.parametrize("text", ["id", "$..id", "$[?(@.k>1)]", "$['a','b'].c", "$[0:2:2]", "$.", "$[a]", ""])
def test_other_json_paths_are_refused(text: str) -> None:
    with pytest.raises(JsonPathError):
        JsonPath.parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("$.nobody", RECORD), ("$[3]", [1, 2, 3]), ("$[0]", RECORD), ("$.a", [1]), ("$.id.*", RECORD)]
)
def test_a_record_that_has_not_what_is_named_is_an_error(text: str, value: Any) -> None:
    with pytest.raises(JsonPathError):
        JsonPath.parse(text).select(value)


def joining(kind: str, *, split: str = "Line", **processing: str) -> Joining:
    found = Joining.of({"TransformInput": {"ContentType": kind, "SplitType": split}, "DataProcessing": processing})
    assert found is not None
    return found


def test_a_job_without_filters_and_join_leaves_everything_as_it_is() -> None:
    job = {"TransformInput": {}, "DataProcessing": {"InputFilter": "$", "JoinSource": "None"}}
    assert Joining.of(job) is None


def test_an_input_that_is_no_object_is_put_beside_the_answer() -> None:
    whole = joining("application/json", split="None", JoinSource="Input")
    assert whole.result(b"[1, 2]", b'"yes"') == b'{"SageMakerInput": [1, 2], "SageMakerOutput": "yes"}'
    lines = joining("application/jsonlines", JoinSource="Input")
    assert lines.result(b"3\n", b"[4]\n") == b'{"SageMakerInput": 3, "SageMakerOutput": [4]}\n'


def test_the_output_filter_without_a_join_takes_from_the_answer() -> None:
    filtered = joining("text/csv; charset=utf-8", OutputFilter="$[0]")
    assert filtered.result(b"a,b\n", b"yes,0.7\n") == b"yes\n"


@pytest.mark.parametrize(("kind", "answer"), [("application/jsonlines", b"{"), ("text/csv", b"\xff")])
def test_an_answer_that_is_not_of_the_form_fails_the_object(kind: str, answer: bytes) -> None:
    with pytest.raises(ObjectError, match="Failed to parse output"):
        joining(kind, JoinSource="Input").result(b"1\n", answer)
