"""Lines that match a subscription filter reach its function asynchronously, as CloudWatch Logs packs them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ministack.core.responses import request_scope
from ministack.services import cloudwatch_logs as logs

from laptop.ministack import log_deliveries

ARN = "arn:aws:lambda:us-east-1:000000000000:function:record"
GROUP = {"logGroupName": "/aws/sagemaker/Endpoints/e"}
STREAM = {**GROUP, "logStreamName": "champion/i-1"}


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Return what reaches the function, as one line after the other is logged into a group that has a filter."""
    found: list[dict[str, Any]] = []

    def invoke(arn: str, payload: str) -> None:
        assert arn == ARN
        found.append(json.loads(gzip.decompress(base64.b64decode(json.loads(payload)["awslogs"]["data"]))))

    monkeypatch.setattr(log_deliveries, "invoke_function", invoke)
    monkeypatch.setattr(logs, "_fanout_to_subscription_filters", None)
    log_deliveries.install_log_deliveries()
    with request_scope("000000000000", "us-east-1"):
        logs._create_log_group(GROUP)
        logs._create_log_stream(STREAM)
        wanted = {"filterName": "predictions", "filterPattern": "served_prediction", "destinationArn": ARN}
        logs._put_subscription_filter({**GROUP, **wanted})
        yield found
        logs._delete_log_group(GROUP)


def _log(*messages: str) -> None:
    events = [{"timestamp": 7, "message": message} for message in messages]
    assert logs._put_log_events({**STREAM, "logEvents": events})[0] == 200


def test_matching_lines_are_one_batch_and_others_are_left_out(delivered: list[dict[str, Any]]) -> None:
    _log('{"event": "served_prediction", "n": 1}', '{"event": "request"}', '{"event": "served_prediction", "n": 2}')
    (batch,) = delivered
    assert (batch["messageType"], batch["logGroup"], batch["logStream"]) == (
        "DATA_MESSAGE", GROUP["logGroupName"], "champion/i-1",
    )  # fmt: skip
    assert [json.loads(event["message"])["n"] for event in batch["logEvents"]] == [1, 2]
    assert len({event["id"] for event in batch["logEvents"]}) == 2
    _log('{"event": "request"}')
    assert len(delivered) == 1


def test_what_cannot_be_delivered_is_logged_all_the_same(
    delivered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_deliveries, "invoke_function", lambda arn, payload: 1 / 0)
    _log("served_prediction")
    kept = json.loads(logs._get_log_events(STREAM)[2])["events"]
    assert [event["message"] for event in kept] == ["served_prediction"]
    assert "delivers nothing" in caplog.text
    assert not delivered
