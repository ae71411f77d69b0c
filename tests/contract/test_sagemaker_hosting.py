"""Endpoints are real servers: created, updated without a gap, mirrored, captured, measured, restarted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from laptop.sagemaker.errors import SageMakerError
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import ask, config, model, serve, status
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own"]


@pytest.fixture
def served(own: Own) -> Own:
    model(own, "one")
    config(own, "first", make.variant("main", ModelName="one"))
    serve(own, "first")
    return own


def test_an_endpoint_answers_with_only_the_documented_headers(served: Own) -> None:
    headers = {"content-type": "text/plain", "x-secret": "s", "x-amzn-sagemaker-custom-attributes": "c"}
    answer = served.sagemaker.invoke_endpoint("e", headers, b"hi")
    seen = json.loads(answer.body)
    assert seen["name"] == "one"
    assert seen["headers"]["content-type"] == "text/plain"
    assert seen["headers"]["x-amzn-sagemaker-custom-attributes"] == "c"
    assert "x-secret" not in seen["headers"]
    assert answer.headers["x-amzn-invoked-production-variant"] == "main"


def test_the_containers_refusal_is_a_model_error_with_its_words(served: Own) -> None:
    with pytest.raises(SageMakerError) as caught:
        ask(served, b"bad")
    assert (caught.value.code, caught.value.status) == ("ModelError", 424)
    assert caught.value.members["OriginalStatusCode"] == 400
    assert "bad" in caught.value.members["OriginalMessage"]


def test_too_large_a_body_never_reaches_the_container(served: Own) -> None:
    with pytest.raises(SageMakerError, match="6291456") as caught:
        ask(served, b"x" * 6_291_457)
    assert caught.value.code == "ValidationError"


def test_an_update_loses_no_request_and_stops_the_old_server(served: Own) -> None:
    model(served, "two")
    config(served, "second", make.variant("main", ModelName="two"))
    old = served.sagemaker.hosting.runtime.fleets["e"].variants()[0]
    names: list[str] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            names.append(ask(served)["name"])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    served.call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "second"})
    wait_for(lambda: status(served) == "InService" and "two" in names[-4:])
    done.set()
    for caller in callers:
        caller.join()
    assert set(names) == {"one", "two"}
    wait_for(lambda: not old.alive)
    assert served.call("DescribeEndpoint", {"EndpointName": "e"})["EndpointConfigName"] == "second"


def test_a_failing_update_leaves_the_old_model_in_service(served: Own) -> None:
    model(served, "broken", EXIT_AT_START="1")
    config(served, "second", make.variant("main", ModelName="broken"))
    served.call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "second"})
    wait_for(lambda: status(served) == "InService")
    described = served.call("DescribeEndpoint", {"EndpointName": "e"})
    assert described["EndpointConfigName"] == "first"
    assert "cannot load the model" in described["FailureReason"]
    assert ask(served)["name"] == "one"


def test_an_endpoint_whose_container_never_answers_fails_with_its_log(own: Own) -> None:
    model(own, "broken", EXIT_AT_START="1")
    config(own, "c", make.variant("main", ModelName="broken"))
    own.call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})
    wait_for(lambda: status(own) == "Failed")
    reason = own.call("DescribeEndpoint", {"EndpointName": "e"})["FailureReason"]
    assert "cannot load the model" in reason
    assert "/aws/sagemaker/Endpoints/e" in reason


def test_a_configuration_in_use_cannot_be_deleted(served: Own) -> None:
    with pytest.raises(SageMakerError, match="used by endpoint e"):
        served.call("DeleteEndpointConfig", {"EndpointConfigName": "first"})


def test_a_dead_server_is_started_again(served: Own) -> None:
    with pytest.raises(SageMakerError) as caught:
        ask(served, b"crash")
    assert caught.value.code == "ServiceUnavailable"

    def answers() -> bool:
        try:
            return bool(ask(served)["name"] == "one")
        except SageMakerError:
            return False

    wait_for(answers)


def test_a_restart_of_the_platform_brings_endpoints_back(served: Own) -> None:
    served.reopen()
    wait_for(lambda: "e" in served.sagemaker.hosting.runtime.fleets)
    assert ask(served)["name"] == "one"


def test_deleting_an_endpoint_leaves_no_process(served: Own) -> None:
    variant = served.sagemaker.hosting.runtime.fleets["e"].variants()[0]
    served.call("DeleteEndpoint", {"EndpointName": "e"})
    wait_for(lambda: not variant.alive)
    with pytest.raises(SageMakerError, match="Could not find"):
        wait_for(lambda: status(served) == "gone")


def test_weights_share_the_calls_and_a_target_overrides_them(own: Own) -> None:
    model(own, "one")
    model(own, "two")
    one = make.variant("a", ModelName="one", InitialVariantWeight=3.0)
    config(own, "c", one, make.variant("b", ModelName="two", InitialVariantWeight=1.0))
    serve(own, "c")
    counts = Counter(ask(own)["name"] for _ in range(400))
    assert 240 < counts["one"] < 360
    assert ask(own, **{"x-amzn-sagemaker-target-variant": "b"})["name"] == "two"


def test_a_slow_shadow_never_delays_the_answer_and_is_captured_and_measured(own: Own, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    model(own, "one")
    model(own, "slow", HOLD=str(hold))
    capture = {"EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://contract/captured",
               "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
               "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]}}  # fmt: skip
    shadow = make.variant("shadow", ModelName="slow")
    main = make.variant("main", ModelName="one")
    config(own, "c", main, ShadowProductionVariants=[shadow], DataCaptureConfig=capture)
    serve(own, "c")
    answer = ask(own, b'{"a": 1}', **{"content-type": "application/json", "x-amzn-sagemaker-inference-id": "id-1"})
    assert answer["name"] == "one", "answered while the shadow holds its request"
    folder = own.around.bucket.folder / "contract" / "captured" / "e"
    record = json.loads(wait_for(lambda: [*folder.glob("main/*/*/*/*/*.jsonl")])[0].read_text())
    assert not [*folder.glob("shadow/*/*/*/*/*.jsonl")]
    hold.unlink()
    wait_for(lambda: [*folder.glob("shadow/*/*/*/*/*.jsonl")])
    assert record["eventVersion"] == "0"
    assert record["eventMetadata"]["inferenceId"] == "id-1"
    assert record["captureData"]["endpointInput"] == {
        "observedContentType": "application/json", "mode": "INPUT", "data": '{"a": 1}', "encoding": "JSON"
    }  # fmt: skip
    own.sagemaker.hosting.runtime.metrics.flush()
    measured = {(datum.dimensions["VariantName"], datum.name) for datum in own.around.metrics}
    for name in ("Invocations", "ModelLatency", "OverheadLatency", "Invocation4XXErrors", "Invocation5XXErrors"):
        assert {("main", name), ("shadow", name)} <= measured
