"""The steps' world in moto; every call goes through the real boto3 clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.aws import clients

from .two_accounts import PROD, STAGING, Staging, bundle_of, signed_in
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


def _keys(account: str) -> dict[str, str]:
    """Keys of an account of moto's."""
    role = f"arn:aws:iam::{account}:role/admin"
    lent = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": lent["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lent["SecretAccessKey"],
        "AWS_SESSION_TOKEN": lent["SessionToken"],
    }


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, str]]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.client.cache_clear()
    with mock_aws():
        yield {account: _keys(account) for account in (STAGING, PROD)}
    clients.client.cache_clear()


@pytest.fixture
def prod(accounts: dict[str, dict[str, str]]) -> Iterator[Aws]:
    with signed_in(accounts[PROD]):
        yield Aws("prod", "prod")


@pytest.fixture
def train(accounts: dict[str, dict[str, str]], prod: Aws) -> Callable[..., Staging]:
    """Return a function that makes staging with its run."""

    def make(bundle: bytes | None = None, **fields: Any) -> Staging:
        with signed_in(accounts[STAGING]):
            return Staging("staging", bundle or bundle_of(), **fields)

    return make
