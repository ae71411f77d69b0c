"""An image is built once per content, and a build that fails says why."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from passerelle.aws import images
from passerelle.aws.custom_resource import Resource
from passerelle.errors import PasserelleError, TransientError
from passerelle.steps.build_image import build_image

PROPERTIES = {"Project": "p", "Repository": "passerelle-dev-training", "RepositoryUri": "r/training", "Tag": "abc"}


class Registry:
    """ECR and CodeBuild: a build takes some questions, and pushes the image when it succeeds."""

    def __init__(self, *, statuses: list[str], digest: str | None = None, pushes: bool = True) -> None:
        self.statuses, self.digest, self.pushes = statuses, digest, pushes
        self.started: list[str] = []

    def describe_images(self, **request: Any) -> dict[str, Any]:
        if self.digest is None:
            raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": ""}}, "DescribeImages")
        return {"imageDetails": [{"imageDigest": self.digest}]}

    def start_build(self, **request: Any) -> dict[str, Any]:
        self.started.append(request["idempotencyToken"])
        return {"build": {"id": "p:1"}}

    def batch_get_builds(self, **request: Any) -> dict[str, Any]:
        status = self.statuses.pop(0)
        if status == "SUCCEEDED" and self.pushes:
            self.digest = "sha256:1"
        phase = {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit status 1"}]}
        phases = [phase] if status == "FAILED" else []
        return {"builds": [{"id": "p:1", "buildStatus": status, "logs": {"deepLink": "https://log"}, "phases": phases}]}


def _use(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "client", lambda service: registry)


def _resource(seconds: float = 60) -> Resource:
    return Resource(PROPERTIES, time.monotonic() + seconds)


def test_an_image_that_is_there_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(statuses=[], digest="sha256:0")
    _use(registry, monkeypatch)
    made = build_image(_resource())
    assert registry.started == []
    assert made.attributes == {"Digest": "sha256:0", "Uri": "r/training@sha256:0"}
    assert made.physical_id == "passerelle-dev-training-abc"


def test_an_image_that_is_not_there_is_built_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(statuses=["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"])
    _use(registry, monkeypatch)
    assert build_image(_resource(), poll_seconds=0).attributes["Digest"] == "sha256:1"
    assert registry.started == ["abc"]


@pytest.mark.parametrize(
    ("statuses", "pushes", "words"),
    [
        (["IN_PROGRESS", "FAILED"], True, "ended FAILED.*BUILD: exit status 1.*https://log"),
        (["SUCCEEDED"], False, "has no image abc"),
    ],
)
def test_a_build_that_makes_no_image_says_why(
    statuses: list[str], pushes: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(Registry(statuses=statuses, pushes=pushes), monkeypatch)
    with pytest.raises(PasserelleError, match=words):
        build_image(_resource(), poll_seconds=0)


def test_a_build_that_outlasts_the_function_can_be_waited_for_by_the_next_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _use(Registry(statuses=["IN_PROGRESS"] * 3), monkeypatch)
    with pytest.raises(TransientError, match="Deploy again"):
        build_image(_resource(seconds=-1), poll_seconds=0)
