"""The steps' world in moto; every call goes through the real boto3 clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from passerelle.aws import clients

from .world import Aws


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.client.cache_clear()
    with mock_aws():
        yield Aws()
    clients.client.cache_clear()
