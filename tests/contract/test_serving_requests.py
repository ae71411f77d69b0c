"""What callers get wrong is refused with code, field, row and remedy, or read as it was meant: real process, real HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import CSV_LINE, GOOD_ROW, GOOD_VALUES, NAMES, RunningServer, make_bundle, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("serving")
    make_bundle("binary", base / "model", candidate="logistic", threshold=0.4)
    with running_server(base) as running:
        yield running


def refused(server: RunningServer, body: Any, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
    """Post, and return the error of the refusal with its status; every refusal has a remedy and an id."""
    answer = server.post(body, content_type=content_type, **headers)
    error: dict[str, Any] = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert error["remedy"].strip()
    assert error["message"].strip()
    assert error["request_id"]
    return error | {"status": answer.status_code}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD_ROW.items() if key != name}


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", "application/jsonlines"])
@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_called_empty(server: RunningServer, body: bytes, content_type: str) -> None:
    error = refused(server, body, content_type)
    assert (error["status"], error["code"]) == (400, "empty_body")


@pytest.mark.parametrize("content_type", ["application/x-npy", "text/plain", "multipart/form-data; boundary=x", "json"])
def test_a_content_type_that_is_not_read_is_refused_with_those_that_are(
    server: RunningServer, content_type: str
) -> None:
    error = refused(server, b"1,2", content_type)
    assert (error["status"], error["code"]) == (415, "unsupported_content_type")
    assert "text/csv" in error["remedy"]


def test_a_charset_other_than_utf_8_is_refused_and_never_misread(server: RunningServer) -> None:
    error = refused(server, CSV_LINE.encode("utf-16"), "text/csv; charset=utf-16")
    assert (error["status"], error["code"]) == (415, "unsupported_charset")


def test_a_body_without_content_type_is_json(server: RunningServer) -> None:
    body = json.dumps({"dataframe_records": [GOOD_ROW]}).encode()
    assert server.post(body, content_type=None).status_code == 200


@pytest.mark.parametrize("size", [6_291_457, 40_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_however_it_is_sent(server: RunningServer, size: int, chunked: bool) -> None:
    pieces = (b" " * min(1_000_000, size - start) for start in range(0, size, 1_000_000))
    content: Any = pieces if chunked else b" " * size
    answer = server.client.post("/invocations", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert "batch transform" in answer.json()["error"]["remedy"]


def test_a_chunked_body_is_read(server: RunningServer) -> None:
    body = json.dumps({"dataframe_records": [GOOD_ROW]}).encode()
    pieces = (body[start : start + 50] for start in range(0, len(body), 50))
    answer = server.client.post("/invocations", content=pieces, headers={"content-type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["d" * 1_000_000] * 2, "data": []}},
        {"dataframe_records": [{"d" * 1_000_000: 1}]},
        {"dataframe_records": [GOOD_ROW | {"distance": "d" * 1_000_000}]},
        {"dataframe_split": {"columns": [f"distanc{number}" for number in range(100_000)], "data": []}},
    ],
    ids=["twice", "unknown", "value", "many"],
)  # fmt: skip
def test_a_refusal_stays_short_however_long_the_names_are(server: RunningServer, body: dict[str, Any]) -> None:
    error = refused(server, body)
    assert error["status"] == 400
    assert len(json.dumps(error)) < 3_000


def test_a_warning_stays_short_however_long_the_names_are(server: RunningServer) -> None:
    answer = server.post({"dataframe_records": [GOOD_ROW | {"x" * 1_000_000: 1}]})
    assert answer.status_code == 200
    assert len(answer.content) < 3_000


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_in_json_are_refused_with_null_as_the_remedy(server: RunningServer, word: str) -> None:
    body = json.dumps({"dataframe_records": [GOOD_ROW]}).replace("12.5", word)
    error = refused(server, body)
    assert (error["status"], error["code"]) == (400, "not_json")
    assert "null" in error["remedy"]


@pytest.mark.parametrize("number", ["1e999", "-1e400", "3.5e38"])
def test_a_number_beyond_every_float_names_its_field(server: RunningServer, number: str) -> None:
    error = refused(server, json.dumps({"dataframe_records": [GOOD_ROW]}).replace("1400.5", number))
    assert error["status"] == 400
    assert error["code"] in ("wrong_type", "not_json")


def test_missing_columns_are_all_named(server: RunningServer) -> None:
    error = refused(server, {"dataframe_records": [{"carrier": "UA"}]})
    assert (error["code"], error["field"]) == ("missing_column", "hour")
    assert all(repr(name) in error["message"] for name in ("distance", "holiday", "time_hour"))
    assert "'wind'" not in error["message"], "a nullable column may be left out"


def test_a_misspelt_column_is_recognised(server: RunningServer) -> None:
    error = refused(server, {"dataframe_records": [{**without("distance"), "distanse": 1.0}]})
    assert error["remedy"] == "Rename 'distanse' to 'distance'."


def test_a_column_left_out_of_one_row_only_names_that_row(server: RunningServer) -> None:
    error = refused(server, {"dataframe_records": [GOOD_ROW, without("distance")]})
    assert (error["code"], error["field"], error["row"]) == ("null", "distance", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hour", 1.5), ("distance", "far"), ("holiday", 1), ("carrier", 7), ("time_hour", 1359590400000),
     ("time_hour", "31/01/2013"), ("tailnum", ["N1"]), ("wind", {"kn": 3})],
)  # fmt: skip
def test_a_wrong_type_names_row_column_and_remedy(server: RunningServer, name: str, value: Any) -> None:
    error = refused(server, {"dataframe_records": [GOOD_ROW, GOOD_ROW, {**GOOD_ROW, name: value}]})
    assert (error["status"], error["code"], error["field"], error["row"]) == (400, "wrong_type", name, 2)


@pytest.mark.parametrize("value", ["12", True, 1e300, -(10**400), 0.5, [1]])
def test_one_wrong_number_in_a_long_column_is_found(server: RunningServer, value: Any) -> None:
    rows = [GOOD_ROW] * 60 + [GOOD_ROW | {"hour": value}] + [GOOD_ROW] * 60
    error = refused(server, {"dataframe_records": rows})
    assert (error["status"], error["code"], error["field"], error["row"]) == (400, "wrong_type", "hour", 60)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", json.dumps({"dataframe_split": {"columns": [*NAMES, "hour"], "data": [[*GOOD_VALUES, 3]]}})),
        ("application/json", json.dumps({"dataframe_records": [GOOD_ROW]}).replace('{"hour"', '{"hour": 3, "hour"')),
        ("application/json", json.dumps({"inputs": {n: [v] for n, v in GOOD_ROW.items()}}).replace('"hour"', '"hour": [3], "hour"')),
        ("application/jsonlines", json.dumps(GOOD_ROW).replace('"hour"', '"hour" : 3, "hour"')),
        ("text/csv", f"{','.join(NAMES)},hour\n{CSV_LINE},3\n"),
    ],
    ids=["split", "records", "inputs", "lines", "csv"],
)  # fmt: skip
def test_a_column_given_twice_is_refused_in_every_form(server: RunningServer, content_type: str, body: str) -> None:
    error = refused(server, body, content_type)
    assert (error["status"], error["code"], error["field"]) == (400, "duplicate_column", "hour")


def test_a_colon_after_a_quote_inside_a_text_is_no_repeated_name(server: RunningServer) -> None:
    row = GOOD_ROW | {"carrier": '"hour": 3, "hour": 4'}
    assert server.post({"dataframe_records": [row, row]}).status_code == 200


def test_every_layout_of_the_same_rows_gives_the_same_probabilities(server: RunningServer) -> None:
    line, header = json.dumps(GOOD_ROW), ",".join(NAMES)
    bodies = [
        ("application/json", json.dumps({"dataframe_split": {"columns": NAMES, "index": [0], "data": [GOOD_VALUES]}})),
        ("application/json", json.dumps({"dataframe_split": {"columns": NAMES[::-1], "data": [GOOD_VALUES[::-1]]}})),
        ("application/json", json.dumps({"inputs": [GOOD_VALUES]})),
        ("application/json", json.dumps({"instances": [GOOD_ROW]})),
        ("application/json; charset=UTF-8", "﻿" + json.dumps({"dataframe_records": [GOOD_ROW]})),
        ("application/jsonlines", line + "\r\n\r\n"),
        ("application/x-ndjson", json.dumps(GOOD_VALUES) + "\n"),
        ("text/csv", f"{CSV_LINE}\r\n"),
        ("text/csv", f"﻿{header}\r\n{CSV_LINE}\r\n"),
        ("text/csv; header=present", f" {' , '.join(NAMES)} \n{CSV_LINE}"),
        ("TEXT/CSV; header=absent", CSV_LINE.replace(",", " , ").replace("UA", '"UA"')),
    ]  # fmt: skip
    answers = [server.post(body.encode(), content_type=content_type) for content_type, body in bodies]
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({json.dumps(answer.json()["probabilities"]) for answer in answers[:-1]}) == 1


def test_a_header_that_is_declared_absent_is_a_row(server: RunningServer) -> None:
    error = refused(server, f"{','.join(NAMES)}\n{CSV_LINE}", "text/csv; header=absent")
    assert (error["code"], error["row"]) == ("wrong_type", 0)


@pytest.mark.parametrize("word", ["", "NA", "N/A", "null", "NULL", "NaN", "nan"])
def test_a_null_word_is_a_missing_value_in_csv_and_in_json(server: RunningServer, word: str) -> None:
    empty = server.post({"dataframe_records": [GOOD_ROW | {"wind": None, "tailnum": None}]}).json()
    csv = server.post(CSV_LINE.replace("12.5", word).replace("N14228", word), content_type="text/csv").json()
    words = server.post({"dataframe_records": [GOOD_ROW | {"wind": word, "tailnum": word}]}).json()
    assert csv["probabilities"] == words["probabilities"] == empty["probabilities"]
    error = refused(server, CSV_LINE.replace("1400.5", word), "text/csv")
    assert (error["code"], error["field"], error["row"]) == ("null", "distance", 0)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/jsonlines", "application/jsonlines"),
        ("application/x-ndjson", "application/jsonlines"),
        ("image/png, text/csv;q=0.5, application/json;q=0.9", "application/json"),
        ("application/json;q=0, text/csv", "text/csv"),
        ("text/csv, */*;q=0.1", "text/csv"),
    ],
)
def test_the_answer_comes_in_the_form_that_the_caller_likes_best(server: RunningServer, accept: str, kind: str) -> None:
    answer = server.post({"dataframe_records": [GOOD_ROW, GOOD_ROW]}, accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    if kind != "application/json":
        assert len(answer.text.splitlines()) == 2


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/html, application/xml"])
def test_a_form_that_is_not_offered_is_refused(server: RunningServer, accept: str) -> None:
    error = refused(server, {"dataframe_records": [GOOD_ROW]}, accept=accept)
    assert (error["status"], error["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("POST", "/ping", 405),
                                                        ("DELETE", "/version", 405), ("GET", "/nothing", 404)])  # fmt: skip
def test_a_wrong_path_or_method_says_what_there_is(server: RunningServer, method: str, path: str, status: int) -> None:
    answer = server.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["remedy"].startswith("Use ")


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{",
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"\x00\x01\x02 nothing of HTTP",
    ],
    ids=["cut body", "cut chunk", "header of bytes", "no HTTP"],
)
def test_a_caller_that_hangs_up_or_speaks_no_http_leaves_the_server_as_it_was(
    server: RunningServer, raw: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(raw)
    assert server.post({"dataframe_records": [GOOD_ROW]}).status_code == 200
    assert not [line for line in server.lines if "Traceback" in line or '"defect"' in line]


def test_headers_without_end_are_refused_before_they_fill_the_memory(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as caller:
        caller.sendall(b"GET /ping HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            caller.sendall(b"a" * 10_000_000)
    assert server.client.get("/ping").status_code == 200


def test_callers_that_send_their_bodies_slowly_keep_nobody_waiting(server: RunningServer) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    callers = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(40)]
    try:
        for caller in callers:
            caller.sendall(head)
        assert server.client.get("/ping").status_code == 200
        assert server.post({"dataframe_records": [GOOD_ROW]}).status_code == 200
    finally:
        for caller in callers:
            caller.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["content-type", "accept", "x-amzn-sagemaker-inference-id"]),
       value=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80))  # fmt: skip
def test_no_header_makes_a_server_error(server: RunningServer, name: str, value: str) -> None:
    body = json.dumps({"dataframe_records": [GOOD_ROW]}).encode()
    headers = {"content-type": b"application/json", name: value.strip().encode("latin-1")}
    answer = server.client.post("/invocations", content=body, headers=headers)
    assert answer.status_code in (200, 400, 406, 415), answer.text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(CSV_LINE)), wild=st.text(max_size=6), cut=st.integers(0, 4), header=st.booleans())
def test_a_csv_with_anything_in_it_is_answered_or_refused_with_a_remedy(
    server: RunningServer, place: int, wild: str, cut: int, header: bool
) -> None:
    line = CSV_LINE[:place] + wild + CSV_LINE[place + cut :]
    body = f"{','.join(NAMES)}\n{line}" if header else line
    answer = server.post(body.encode(), content_type="text/csv")
    assert answer.status_code in (200, 400), answer.text
    assert answer.status_code == 200 or answer.json()["error"]["remedy"]


def test_a_transform_job_is_told_what_suits_the_server(server: RunningServer) -> None:
    answer = server.client.get("/execution-parameters")
    wanted = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
    assert (answer.status_code, answer.json()) == (200, wanted)
    assert server.client.post("/execution-parameters").headers["allow"] == "GET"


def test_the_openapi_document_names_every_input_and_every_part_of_a_refusal(server: RunningServer) -> None:
    document = server.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == NAMES
    assert "wind" not in schemas["Row"]["required"]
    error = server.post({"dataframe_records": [GOOD_ROW | {"hour": "x"}]}).json()["error"]
    assert error.keys() == schemas["Error"]["properties"]["error"]["properties"].keys()
    statuses = document["paths"]["/invocations"]["post"]["responses"]
    assert statuses.keys() == {"200", "400", "406", "413", "415"}
