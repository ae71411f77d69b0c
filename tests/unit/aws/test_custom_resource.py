"""CloudFormation gets an answer in every case."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from passerelle.aws.custom_resource import Made, Resource, custom_resource
from passerelle.errors import InputError
from passerelle.settings import BuildImageSettings


class Context:
    """A Lambda context with a minute left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield (response URL, what was put to it)."""
    got: list[dict[str, Any]] = []

    class Bucket(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append({**json.loads(body), "type": self.headers["Content-Type"]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/answer", got
    server.shutdown()


def _event(url: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "RequestType": kind, "ResponseURL": url, "StackId": "s", "RequestId": "r", "LogicalResourceId": "l",
        "ResourceProperties": {"Tag": "1"}, **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_ENVIRONMENT", "dev")


def _make(resource: Resource, settings: BuildImageSettings) -> Made:
    if resource.properties["Tag"] == "bad":
        raise InputError("no such tag")
    if resource.properties["Tag"] == "defect":
        raise KeyError("Tag")
    return Made(f"{settings.environment}-{resource.properties['Tag']}", {"Uri": "u"})


handler = custom_resource("make", BuildImageSettings)(_make)


def test_what_was_made_is_told_with_its_attributes(answers: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = answers
    handler(_event(url, "Create"), Context())
    assert (got[0]["Status"], got[0]["PhysicalResourceId"], got[0]["Data"]) == ("SUCCESS", "dev-1", {"Uri": "u"})
    assert got[0]["type"] == ""


@pytest.mark.parametrize(("tag", "words"), [("bad", "no such tag"), ("defect", "KeyError: 'Tag'")])
def test_a_failure_is_told_with_its_reason_and_keeps_the_old_resource(
    tag: str, words: str, answers: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = answers
    event = _event(url, "Update", PhysicalResourceId="dev-0") | {"ResourceProperties": {"Tag": tag}}
    handler(event, Context())
    assert (got[0]["Status"], got[0]["Reason"], got[0]["PhysicalResourceId"]) == ("FAILED", words, "dev-0")


def test_a_reason_is_cut_to_what_cloudformation_takes(answers: tuple[str, list[dict[str, Any]]]) -> None:
    def fail(resource: Resource, settings: BuildImageSettings) -> Made:
        raise InputError("x" * 9_000)

    url, got = answers
    custom_resource("make", BuildImageSettings)(fail)(_event(url, "Create"), Context())
    assert got[0]["Status"] == "FAILED"
    assert len(json.dumps(got[0])) < 4_096


def test_deleting_does_nothing_and_succeeds(answers: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = answers
    event = _event(url, "Delete", PhysicalResourceId="dev-0") | {"ResourceProperties": {"Tag": "bad"}}
    handler(event, Context())
    assert (got[0]["Status"], got[0]["PhysicalResourceId"]) == ("SUCCESS", "dev-0")
