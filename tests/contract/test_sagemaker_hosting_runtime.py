"""InvokeEndpoint as its callers know it: limits, headers, throttling, time, errors, capture and shadow."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.arns import now
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting import connections
from laptop.sagemaker.hosting.backlog import Backlog
from laptop.sagemaker.hosting.capture import DataCapture, Exchange
from laptop.sagemaker.http import SageMakerHttp
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import ask, config, described, hold, measured, model, only_variant, serve
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["hold", "own"]
CAPTURE: dict[str, Any] = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://contract/captured",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}


@pytest.fixture
def served(own: Own) -> Own:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    return own


@pytest.fixture
def serverless(own: Own, hold: Path) -> Own:
    model(own, "one", HOLD=str(hold))
    config(own, "c", make.serverless("main", ModelName="one", ServerlessConfig__MaxConcurrency=2))
    serve(own, "c")
    return own


def refused(own: Own, body: bytes = b"hi", **headers: str) -> SageMakerError:
    with pytest.raises(SageMakerError) as caught:
        own.sagemaker.invoke_endpoint("e", headers, body)
    return caught.value


@pytest.mark.parametrize(("kind", "limit"), [("served", 6_291_456), ("serverless", 4_194_304)])
def test_a_body_of_the_limit_passes_and_one_byte_more_is_a_validation_error(
    request: pytest.FixtureRequest, hold: Path, kind: str, limit: int
) -> None:
    own = request.getfixturevalue(kind)
    hold.unlink()
    assert own.sagemaker.invoke_endpoint("e", {}, b"size:1".ljust(limit)).body == b"x"
    error = refused(own, b"x" * (limit + 1))
    assert (error.code, error.status) == ("ValidationError", 400)
    assert "oversize body" in error.message


@pytest.mark.parametrize(("kind", "limit"), [("served", 6_291_456), ("serverless", 4_194_304)])
def test_an_answer_beyond_the_limit_is_a_model_error(
    request: pytest.FixtureRequest, hold: Path, kind: str, limit: int
) -> None:
    own = request.getfixturevalue(kind)
    hold.unlink()
    assert len(own.sagemaker.invoke_endpoint("e", {}, b"size:%d" % limit).body) == limit
    error = refused(own, b"size:%d" % (limit + 1))
    assert error.code == "ModelError"
    assert str(limit) in error.message


def test_more_callers_than_a_serverless_endpoints_concurrency_are_throttled(serverless: Own, hold: Path) -> None:
    answers: list[str] = []
    callers = [threading.Thread(target=lambda: answers.append(ask(serverless)["name"])) for _ in range(2)]
    for caller in callers:
        caller.start()
    wait_for(lambda: only_variant(serverless)._busy == 2)
    error = refused(serverless)
    assert (error.code, error.status) == ("ThrottlingException", 400)
    hold.unlink()
    for caller in callers:
        caller.join()
    assert answers == ["one", "one"]
    assert ask(serverless)["name"] == "one", "there is room again"


PREFIX = "x-amzn-sagemaker-"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (f"{PREFIX}inference-id", ""),
        (f"{PREFIX}inference-id", " id"),
        (f"{PREFIX}inference-id", "x" * 65),
        (f"{PREFIX}custom-attributes", "x" * 1025),
        (f"{PREFIX}custom-attributes", "line\nbreak"),
        (f"{PREFIX}custom-attributes", "caf\u00e9"),
        ("content-type", "text/csv\r\nx-injected: 1"),
        (f"{PREFIX}target-variant", "nobody"),
        (f"{PREFIX}target-variant", "not a name"),
        (f"{PREFIX}target-model", "m.tar.gz"),
        (f"{PREFIX}inference-component", "ic"),
    ],
)
def test_a_header_that_invoke_endpoint_does_not_take_is_a_validation_error(
    served: Own, header: str, value: str
) -> None:
    error = refused(served, **{header: value})
    assert (error.code, error.status) == ("ValidationError", 400)


def test_a_container_that_drips_its_answer_has_no_more_time_than_another(
    served: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "INVOKE_SECONDS", 0.5)
    error = refused(served, b"drip")
    assert (error.code, error.status, error.members["OriginalStatusCode"]) == ("ModelError", 424, 0)
    assert "timed out" in error.message
    assert ask(served)["name"] == "one", "the next call has a connection of its own"


def test_an_answer_in_chunks_comes_whole_and_the_connection_is_used_again(served: Own) -> None:
    for _ in range(3):
        assert served.sagemaker.invoke_endpoint("e", {}, b"chunks").body == b"one two three"
        assert ask(served)["name"] == "one"
    assert only_variant(served)._connections._idle.qsize() == 1


@pytest.mark.parametrize(("body", "before"), [(b"hangup", 0), (b"half", 0), (b"half", 1)])
def test_a_request_that_the_container_took_is_not_sent_a_second_time(
    own: Own, tmp_path: Path, body: bytes, before: int
) -> None:
    calls = tmp_path / "calls"
    model(own, "one", CALLS=str(calls))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")
    for _ in range(before):
        ask(own)
    assert refused(own, body).code == "ServiceUnavailable"
    assert calls.read_bytes().split().count(body) == 1
    assert ask(own)["name"] == "one"


def test_a_kept_connection_that_the_container_closed_costs_no_call(served: Own) -> None:
    ask(served)
    variant = only_variant(served)
    kept = variant._connections._idle.get_nowait()
    kept.sock.shutdown(socket.SHUT_RDWR)
    variant._connections._idle.put(kept)
    assert ask(served)["name"] == "one"
    assert variant._connections._idle.qsize() == 1


def test_only_answers_count_in_the_latencies(served: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SageMakerError):
        ask(served, b"crash")
    values = {datum.name: datum.value for datum in measured(served)}
    assert (values["Invocations"], values["Invocation5XXErrors"], values["InvocationModelErrors"]) == (1, 1, 1)
    assert "ModelLatency" not in values
    assert "OverheadLatency" not in values


def test_every_call_is_counted_though_equal_values_are_sent_as_one(served: Own) -> None:
    for _ in range(30):
        ask(served)
    with pytest.raises(SageMakerError):
        ask(served, b"bad")
    data = measured(served)
    sums = {name: sum(datum.value * datum.count for datum in data if datum.name == name) for name in NAMES}
    assert (sums["Invocations"], sums["Invocation4XXErrors"], sums["Invocation5XXErrors"]) == (31, 1, 0)
    assert sum(datum.count for datum in data if datum.name == "ModelLatency") == 31
    assert sum(datum.name == "Invocations" for datum in data) < 31


NAMES = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")


def test_describing_is_not_kept_waiting_by_calls_that_are(own: Own, hold: Path) -> None:
    model(own, "one", HOLD=str(hold))
    config(own, "c", make.variant("main", ModelName="one"))
    serve(own, "c")

    async def crowd() -> tuple[int, bool]:
        http = SageMakerHttp(own.sagemaker)
        calls = [
            asyncio.ensure_future(http.handle_request("POST", "/endpoints/e/invocations", {}, b"hi", {}))
            for _ in range(100)
        ]
        await asyncio.to_thread(wait_for, lambda: only_variant(own)._busy == len(calls), 30.0)
        target = {"x-amz-target": "SageMaker.DescribeEndpoint"}
        answer = await http.handle_request("POST", "/", target, b'{"EndpointName": "e"}', {})
        waiting = not any(call.done() for call in calls)
        hold.unlink()
        assert {(await call)[0] for call in calls} == {200}
        return answer[0], waiting

    assert asyncio.run(crowd()) == (200, True)


# Capture


def captured(own: Own, variant: str = "main") -> list[dict[str, Any]]:
    folder = own.around.bucket.folder / "contract" / "captured" / "e"
    files = wait_for(lambda: list(folder.glob(f"{variant}/*/*/*/*/*.jsonl")))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def capturing(own: Own, **changes: Any) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one"), DataCaptureConfig={**CAPTURE, **changes})
    serve(own, "c")


@pytest.mark.parametrize(
    ("header", "content_type", "body", "encoding"),
    [
        (None, "application/json", b"{}", "BASE64"),
        (None, "text/csv", b"1,2", "BASE64"),
        ({"CsvContentTypes": ["text/csv"]}, "text/csv; charset=utf-8", b"1,2", "CSV"),
        ({"CsvContentTypes": ["text/csv"]}, "application/json", b"{}", "BASE64"),
        ({"JsonContentTypes": ["application/jsonlines"]}, "application/jsonlines", b"{}", "JSON"),
        ({"CsvContentTypes": ["text/csv"]}, "text/csv", b"\xff\xfe", "BASE64"),
    ],
)
def test_what_is_not_listed_as_text_is_captured_as_base64(
    own: Own, header: dict[str, Any] | None, content_type: str, body: bytes, encoding: str
) -> None:
    capturing(own, **({"CaptureContentTypeHeader": header} if header else {}))
    ask(own, body, **{"content-type": content_type})
    side = captured(own)[0]["captureData"]["endpointInput"]
    assert (side["encoding"], side["observedContentType"]) == (encoding, content_type)
    assert (base64.b64decode(side["data"]) if encoding == "BASE64" else side["data"].encode()) == body


def test_capture_is_enabled_unless_it_is_disabled(own: Own) -> None:
    model(own, "one")
    enabled = {key: value for key, value in CAPTURE.items() if key != "EnableCapture"}
    config(own, "c", make.variant("main", ModelName="one"), DataCaptureConfig=enabled)
    serve(own, "c")
    assert described(own)["DataCaptureConfig"]["CaptureStatus"] == "Started"
    ask(own)
    assert captured(own)


def test_a_serverless_variant_refuses_capture_that_is_enabled_by_default(own: Own) -> None:
    model(own, "one")
    enabled = {key: value for key, value in CAPTURE.items() if key != "EnableCapture"}
    with pytest.raises(SageMakerError, match="serverless"):
        config(own, "c", make.serverless("main", ModelName="one"), DataCaptureConfig=enabled)


def test_a_destination_that_is_not_s3_is_refused(own: Own) -> None:
    model(own, "one")
    elsewhere = {**CAPTURE, "DestinationS3Uri": "https://h/x"}
    with pytest.raises(SageMakerError, match="DestinationS3Uri"):
        config(own, "c", make.variant("main", ModelName="one"), DataCaptureConfig=elsewhere)


def test_captured_data_is_encrypted_with_the_key_that_is_named(own: Own) -> None:
    given: list[dict[str, Any]] = []
    own.around.bucket.put_object = lambda **request: given.append(request)  # type: ignore[method-assign]
    key = "arn:aws:kms:us-east-1:000000000000:key/1"
    capturing(own, KmsKeyId=key)
    ask(own)
    (request,) = wait_for(lambda: given)
    assert (request["ServerSideEncryption"], request["SSEKMSKeyId"]) == ("aws:kms", key)


def exchange(body: bytes) -> Exchange:
    return Exchange("e", "main", None, "text/csv", body, "text/csv", b"", now())


def test_payloads_that_wait_for_s3_are_bounded_in_bytes_and_what_overflows_is_counted(own: Own) -> None:
    writing, go = threading.Event(), threading.Event()
    put = own.around.bucket.put_object

    def slow(**rest: Any) -> None:
        writing.set()
        assert go.wait(60)
        put(**rest)

    own.around.bucket.put_object = slow  # type: ignore[method-assign]
    capture = DataCapture(own.around, seed=0, max_bytes=1000)
    capture.add(CAPTURE, exchange(b"x"))
    assert writing.wait(30), "S3 takes its time"
    for _ in range(5):
        capture.add(CAPTURE, exchange(b"x" * 300))
    assert capture.dropped == 2
    go.set()
    capture.close()
    assert sum(len(line) > 0 for line in captured(own)) == 4


def test_a_backlog_holds_no_more_items_and_no_more_bytes_than_it_may() -> None:
    backlog: Backlog[str] = Backlog(max_items=2, max_bytes=10)
    assert [backlog.offer(name, size) for name, size in (("a", 6), ("b", 5), ("c", 4), ("d", 0))] == [
        True, False, True, False,
    ]  # fmt: skip
    assert backlog.take() == "a"
    assert backlog.offer("e", 6)
    assert backlog.take_all() == ["c", "e"]
    assert backlog.refused == 2
    backlog.close()
    assert backlog.take() is None
    assert not backlog.offer("f", 0)


def test_a_shadow_that_hangs_costs_bounded_memory_and_no_answer(own: Own, hold: Path) -> None:
    model(own, "one")
    model(own, "held", HOLD=str(hold))
    config(own, "c", make.variant("main", ModelName="one"),
           ShadowProductionVariants=[make.variant("shadow", ModelName="held")])  # fmt: skip
    serve(own, "c")
    body = b"x" * 6_000_000
    for _ in range(20):
        assert ask(own, body)["name"] == "one"
    shadows = own.sagemaker.hosting.runtime._shadows
    assert shadows.refused > 0
    assert shadows._bytes <= 64 * 1024**2
