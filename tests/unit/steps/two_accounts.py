"""Two environments in two accounts: staging, which trained a model, and prod, which is to serve that very model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3

from passerelle.aws import clients
from passerelle.contracts import naming, zones
from passerelle.contracts.runs import RunRecord, StageRecord
from passerelle.domain.project import load_project
from passerelle.settings import ImportRunSettings
from passerelle.steps.artefacts import seal_results, seal_training
from passerelle.steps.import_run import import_run

from . import results
from .world import IMAGE, MOMENT, ROOT, Aws

STAGING, PROD = "222222222222", "333333333333"
ROLE: Final = f"arn:aws:iam::{STAGING}:role/passerelle-staging-models-for-prod"
REQUEST: Final[dict[str, Any]] = {"project": "flights", "run_id": "r1", "attempt": 1}
JOB: Final = naming.job_name("flights", "r1", "train", 2)
CARRIED: Final = f"{PROD}.dkr.ecr.us-east-1.amazonaws.com/passerelle-prod-carried"
_NAMES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@contextmanager
def signed_in(keys: dict[str, str]) -> Iterator[None]:
    """Let everything that is made meanwhile belong to the account of these keys."""
    before = {name: os.environ.pop(name) for name in _NAMES if name in os.environ}
    os.environ.update(keys)
    boto3.setup_default_session()
    clients.client.cache_clear()
    try:
        yield
    finally:
        for name in keys:
            os.environ.pop(name, None)
        os.environ.update(before)
        boto3.setup_default_session()
        clients.client.cache_clear()


class Staging(Aws):
    """Where run r1 was trained at its second attempt; its jobs left `bundle` and what they found out about it."""

    def __init__(self, name: str, bundle: bytes, *, image_uri: str = IMAGE, **fields: Any) -> None:
        super().__init__(name, "staging")
        self.bundle = bundle
        found = {
            "runs-table": self.runs_table,
            "models-bucket": self.buckets["models"],
            "curated-bucket": self.buckets["curated"],
        }
        for resource, value in found.items():
            parameter = naming.resource_parameter("staging", resource)
            boto3.client("ssm").put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)
        prefix = f"{zones.training_output_prefix('flights')}/{JOB}/output"
        candidate = {"candidates/forest/model/MLmodel": b"flavors: {}"}
        whole = results.archive({"result.json": results.trained().model_dump_json().encode(), **candidate})
        self.s3.put_object(Bucket=self.buckets["models"], Key=f"{prefix}/model.tar.gz", Body=bundle)
        self.s3.put_object(Bucket=self.buckets["models"], Key=f"{prefix}/output.tar.gz", Body=whole)
        self._put("prepare/result.json", results.prepared(contract_hash=contract_hash()).model_dump_json())
        self._put("evaluate/result.json", results.evaluated().model_dump_json())
        self._put("evaluate/card.md", "# What it is")
        base = {"project": "flights", "run_id": "r1", "attempt": 2}
        sealed = seal_training(self.buckets["models"], "flights", JOB) | seal_results(self.buckets["curated"], base)
        stage = {"status": "done", "started_at": MOMENT, "ended_at": MOMENT}
        train = StageRecord.model_validate(
            {"stage": "train", "job_name": JOB, "instance_type": "ml.m5.xlarge", "cost_usd": 0.5, **stage}
        )
        gate = results.evaluated().model_dump(mode="json")
        known: dict[str, Any] = {
            "status": "succeeded", "dataset_id": "d1", "image_uri": image_uri, "stages": (train,), "gate": gate,
            "chosen": "forest", "artefacts": sealed,
        }  # fmt: skip
        self.record: RunRecord = self.begin_run(attempt=2, **known | fields)

    def _put(self, name: str, text: str) -> None:
        stage, _, rest = name.partition("/")
        key = f"{zones.result_prefix('flights', 'r1', 2, stage)}/{rest}"
        self.s3.put_object(Bucket=self.buckets["curated"], Key=key, Body=text.encode())

    def tamper(self, zone: str, ending: str) -> str:
        """Change one byte of an artefact; returns its key."""
        listed = self.s3.list_objects_v2(Bucket=self.buckets[zone])["Contents"]
        (key,) = [item["Key"] for item in listed if item["Key"].endswith(ending)]
        body = bytearray(self.s3.get_object(Bucket=self.buckets[zone], Key=key)["Body"].read())
        body[-1] ^= 1
        self.s3.put_object(Bucket=self.buckets[zone], Key=key, Body=bytes(body))
        return str(key)


def contract_hash() -> str:
    """The contract of the project that both environments have deployed."""
    return load_project((ROOT / "projects/flights/project.yaml").read_text(), source="project.yaml").contract_hash()


def bundle_of(**changes: Any) -> bytes:
    """A bundle as far as carrying reads it."""
    metadata = {"run_id": "r1", "dataset_id": "d1", "git_sha": "0123abc", "lock_hash": "l0ck"} | changes
    return results.archive({"metadata.json": json.dumps(metadata).encode(), "model.skops": bytes(range(256)) * 99})


def settings_of(prod: Aws, **changes: Any) -> ImportRunSettings:
    values = {
        **prod.shared, "zones": prod.buckets, "image_uri": IMAGE, "carried_repository": "",
        "source_environment": "staging", "source_account": STAGING, "source_region": "us-east-1",
        "reader_role_arn": ROLE, "poll_seconds": 1,
    }  # fmt: skip
    return ImportRunSettings(**values | changes)


def sha256_of(aws: Aws, zone: str, key: str) -> str:
    body = aws.s3.get_object(Bucket=aws.buckets[zone], Key=key)["Body"].read()
    return hashlib.sha256(body).hexdigest()


def carry_run(prod: Aws, attempt: int = 1, **settings: Any) -> dict[str, Any]:
    return import_run(REQUEST | {"attempt": attempt}, settings_of(prod, **settings), execution_arn="arn:e")
