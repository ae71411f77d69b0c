"""Environments without stacks: versioned buckets, a runs table, and what runs have left in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
from moto import mock_aws

from passerelle.contracts.runs import RunFile, RunRecord
from passerelle.contracts.zones import ZONES
from passerelle.steps.back_up import Place

PROJECT: Final = "churn"
Make = Callable[[str], Place]


@contextmanager
def environments() -> Iterator[Make]:
    """Yield a function that makes an empty environment whose names begin with a word."""
    with mock_aws():
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        clients = {name: session.client(name) for name in ("s3", "dynamodb", "ssm")}

        def environment(word: str) -> Place:
            buckets = {zone: f"{word}-{zone}" for zone in ZONES}
            for bucket in buckets.values():
                clients["s3"].create_bucket(Bucket=bucket)
                versioned = {"Status": "Enabled"}
                clients["s3"].put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioned)
            keys = [{"AttributeName": name, "KeyType": kind} for name, kind in (("pk", "HASH"), ("sk", "RANGE"))]
            clients["dynamodb"].create_table(
                TableName=f"{word}-runs",
                KeySchema=keys,
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                BillingMode="PAY_PER_REQUEST",
            )
            return Place(
                environment="dev",
                account="111111111111",
                region="us-east-1",
                buckets=buckets,
                table=f"{word}-runs",
                tracking_url=f"http://{word}:5000",
                clients=clients.__getitem__,
                endpoint_status=lambda project: "InService",
            )

        yield environment


def put_object(place: Place, zone: str, key: str, body: bytes, **extra: Any) -> str:
    answer = place.clients("s3").put_object(Bucket=place.buckets[zone], Key=key, Body=body, **extra)
    return str(answer["VersionId"])


def put_item(place: Place, sk: str, **attributes: str) -> None:
    item = {"pk": {"S": f"PROJECT#{PROJECT}"}, "sk": {"S": sk}}
    place.items.put([item | {name: {"S": value} for name, value in attributes.items()}])


def fill(place: Place) -> dict[str, str]:
    """A key dropped twice, one dropped and deleted, one that nobody has claimed, a run at work, a champion."""
    versions = {
        "old": put_object(place, "raw", "churn/a.csv", b"one"),
        "new": put_object(place, "raw", "churn/a.csv", b"two"),
    }
    versions["gone"] = put_object(place, "raw", "churn/b.csv", b"three")
    place.clients("s3").delete_object(Bucket=place.buckets["raw"], Key="churn/b.csv")
    put_object(place, "raw", "churn/unclaimed.csv", b"four")
    put_object(place, "raw", "churn/twice.csv", b"never claimed")
    put_object(place, "raw", "churn/twice.csv", b"five")
    put_object(
        place, "models", "churn/model.tar.gz", b"model", ContentType="application/gzip", Metadata={"who": "train"}
    )
    bucket = place.buckets["raw"]
    for name, key in (("old", "churn/a.csv"), ("new", "churn/a.csv"), ("gone", "churn/b.csv")):
        version = versions[name]
        put_item(place, f"DROP#{key}#{version}", key=key, version_id=version, bucket=bucket, run_id="r1", etag="e")
    put_item(place, "CONTENT#abc", run_id="r1")
    document = {"key": "churn/a.csv", "version_id": versions["new"], "sha256": "x", "rows": 3, "curated_key": "c"}
    put_item(place, "FILE#churn/a.csv", file=json.dumps(document))
    put_item(place, "OPEN", run_id="r2")
    put_item(place, "LOCK", run_id="r2")
    model = f"s3://{place.buckets['models']}/churn/model.tar.gz"
    put_item(
        place, "CHAMPION", run_id="r1", model_version="1", model_data_url=model, endpoint_name="passerelle-dev-churn"
    )
    for run_id, status in (("r1", "succeeded"), ("r2", "running")):
        record = RunRecord(
            project=PROJECT,
            run_id=run_id,
            attempt=1,
            status=status,  # type: ignore[arg-type]
            created_at="2026-01-01T00:00:00",
            updated_at="2026-01-01T00:00:00",
            files=(RunFile(key="churn/a.csv", version_id=versions["new"], size=3, sha256="x"),),
            quarantine_uri=f"s3://{place.buckets['quarantine']}/churn/runs/r1",
            mlflow_url=f"{place.tracking_url}/#/experiments/1",
            image_uri="111111111111.dkr.ecr.us-east-1.amazonaws.com/passerelle-training@sha256:1",
        )
        put_item(place, f"RUN#{run_id}", record=record.model_dump_json())
    return versions
