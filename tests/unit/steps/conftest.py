"""One environment's table, buckets and pipeline in moto; every call goes through the real boto3 clients."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.aws import clients
from passerelle.contracts import naming, zones
from passerelle.settings import ClaimDropSettings, GatherDropSettings

ROOT = Path(__file__).parents[3]
ENVIRONMENT = "laptop"
BUCKETS = {zone: f"test-{zone}" for zone in zones.ZONES}


class Aws:
    """What the tests look at and change."""

    def __init__(self) -> None:
        self.s3, self.sfn = boto3.client("s3"), boto3.client("stepfunctions")
        self.pipeline = self._pipeline()
        claims = {"environment": ENVIRONMENT, "runs_table": "runs"}
        self.claim_settings = ClaimDropSettings(
            **claims, raw_bucket=BUCKETS["raw"], reports_bucket=BUCKETS["reports"], pipeline_arn=self.pipeline
        )
        self.gather_settings = GatherDropSettings(
            **claims,
            zones=BUCKETS,
            image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/passerelle-training:1",
            job_role_arn="arn:aws:iam::123456789012:role/jobs",
            region="us-east-1",
            kms_key_arn="",
            prepare_instance_type="ml.m5.large",
            git_sha="abc",
            lock_hash="def",
            quiet_window_seconds=0,
            poll_seconds=7,
        )

    def _pipeline(self) -> str:
        definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
        role = "arn:aws:iam::123456789012:role/pipeline"
        made = self.sfn.create_state_machine(name="pipeline", definition=definition, roleArn=role)
        return str(made["stateMachineArn"])

    def drop(self, key: str, body: bytes, *, sequencer: str = "01") -> dict[str, Any]:
        """Put a raw object; returns its EventBridge event."""
        put = self.s3.put_object(Bucket=BUCKETS["raw"], Key=key, Body=body)
        item = {"key": key, "version-id": put["VersionId"], "etag": put["ETag"].strip('"'), "size": len(body)}
        return {
            "time": "2026-11-21T05:00:00Z",
            "detail": {"bucket": {"name": BUCKETS["raw"]}, "object": {**item, "sequencer": sequencer}},
        }

    def executions(self) -> list[str]:
        """Names of all pipeline executions."""
        return [item["name"] for item in self.sfn.list_executions(stateMachineArn=self.pipeline)["executions"]]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.client.cache_clear()
    with mock_aws():
        _build()
        yield Aws()
    clients.client.cache_clear()


def _build() -> None:
    s3 = boto3.client("s3")
    for bucket in BUCKETS.values():
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    boto3.client("dynamodb").create_table(
        TableName="runs",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(ROOT / "projects/flights/project.yaml", "project.yaml")
    s3.put_object(Bucket=BUCKETS["curated"], Key="flights.zip", Body=archive.getvalue())
    where = json.dumps({"uri": f"s3://{BUCKETS['curated']}/flights.zip", "hash": "h1"})
    name = naming.project_parameter(ENVIRONMENT, "flights")
    boto3.client("ssm").put_parameter(Name=name, Value=where, Type="String")
