"""One environment's table, buckets and pipeline, in moto or in the embedded AWS: the steps' real boto3 clients see it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from laptop.settings import LaptopSettings
from passerelle.aws import clients
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming, zones
from passerelle.contracts.runs import RunRecord
from passerelle.settings import ClaimDropSettings, GatherDropSettings

ROOT = Path(__file__).parents[3]
MOMENT = "2026-11-21T05:00:00+00:00"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/passerelle-training:1"
GPU_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/passerelle-training-gpu:1"
ROLE = "arn:aws:iam::123456789012:role/jobs"


@contextmanager
def embedded(settings: LaptopSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the steps' clients talk to an embedded AWS, as a function's environment there does."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", settings.region)
    monkeypatch.setenv("AWS_ENDPOINT_URL", settings.endpoint_url)
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


class Aws:
    """What the tests look at and change. `name` begins every name, so that several worlds fit into one AWS."""

    def __init__(self, name: str = "test", environment: str = "laptop") -> None:
        self.s3, self.sfn, self.dynamodb = (boto3.client(service) for service in ("s3", "stepfunctions", "dynamodb"))
        self.name, self.environment, self.runs_table = name, environment, f"{name}-runs"
        self.buckets = {zone: f"{name}-{zone}" for zone in zones.ZONES}
        self._build()
        self.pipeline = self._pipeline()
        self.shared: dict[str, Any] = {"environment": environment, "runs_table": self.runs_table}
        self.claim_settings = ClaimDropSettings(
            **self.shared,
            raw_bucket=self.buckets["raw"],
            reports_bucket=self.buckets["reports"],
            pipeline_arn=self.pipeline,
        )
        self.jobs: dict[str, Any] = {
            **self.shared,
            "zones": self.buckets,
            "image_uri": IMAGE,
            "gpu_image_uri": GPU_IMAGE,
            "job_role_arn": ROLE,
            "region": "us-east-1",
            "kms_key_arn": "",
            "prepare_instance_type": "ml.m5.large",
            "git_sha": "abc",
            "lock_hash": "def",
        }
        self.gather_settings = GatherDropSettings(**self.jobs, quiet_window_seconds=0, poll_seconds=7)

    @property
    def table(self) -> RunsTable:
        return RunsTable(self.dynamodb, self.runs_table)

    def _build(self) -> None:
        for bucket in self.buckets.values():
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.dynamodb.create_table(
            TableName=self.runs_table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        )
        self.deploy_project()

    def deploy_project(self, **changes: Any) -> None:
        """Deploy flights; `changes` are merged into sections of its project.yaml."""
        document = yaml.safe_load((ROOT / "projects/flights/project.yaml").read_text())
        for section, values in changes.items():
            document[section] |= values
        self.deploy_document(document, pinned=bool(changes))

    def deploy_document(self, document: dict[str, Any], *, pinned: bool = True) -> None:
        """Deploy a project.yaml as flights."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("project.yaml", text := yaml.safe_dump(document))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        # Named by its content, as the CDK's assets are.
        key = f"flights-{digest}.zip" if pinned else "flights.zip"
        self.s3.put_object(Bucket=self.buckets["curated"], Key=key, Body=archive.getvalue())
        where = json.dumps({"uri": f"s3://{self.buckets['curated']}/{key}", "hash": digest})
        parameter = naming.project_parameter(self.environment, "flights")
        boto3.client("ssm").put_parameter(Name=parameter, Value=where, Type="String", Overwrite=True)

    def _pipeline(self) -> str:
        """A machine whose executions run until they are stopped."""
        states = {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}
        definition = json.dumps({"StartAt": "Wait", "States": states})
        made = self.sfn.create_state_machine(name=f"{self.name}-pipeline", definition=definition, roleArn=ROLE)
        return str(made["stateMachineArn"])

    def drop(self, key: str, body: bytes, *, sequencer: str = "01") -> dict[str, Any]:
        """Put a raw object; returns its EventBridge event."""
        put = self.s3.put_object(Bucket=self.buckets["raw"], Key=key, Body=body)
        item = {"key": key, "version-id": put["VersionId"], "etag": put["ETag"].strip('"'), "size": len(body)}
        return {
            "time": "2026-11-21T05:00:00Z",
            "detail": {"bucket": {"name": self.buckets["raw"]}, "object": {**item, "sequencer": sequencer}},
        }

    def executions(self) -> list[str]:
        """Names of all pipeline executions."""
        return [item["name"] for item in self.sfn.list_executions(stateMachineArn=self.pipeline)["executions"]]

    def execution_arn(self, run_id: str, attempt: int = 1) -> str:
        name = naming.execution_name("flights", run_id, attempt)
        return f"{self.pipeline.replace(':stateMachine:', ':execution:')}:{name}"

    def put_json(self, zone: str, key: str, document: Any) -> None:
        self.s3.put_object(Bucket=self.buckets[zone], Key=key, Body=json.dumps(document).encode())

    def begin_run(self, run_id: str = "r1", attempt: int = 1, **fields: Any) -> RunRecord:
        """Write a running run's record."""
        record = {"status": "running", "created_at": MOMENT, "updated_at": MOMENT, **fields}
        return self.table.save(RunRecord(project="flights", run_id=run_id, attempt=attempt, **record))
