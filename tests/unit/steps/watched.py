"""A served model and what was recorded of its predictions, for the steps that watch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts import zones
from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.container import PERFORMANCE_FILE
from passerelle.contracts.monitoring import WINDOW, WindowRecord
from passerelle.contracts.prediction import DECISION, SCORE, prediction_columns
from passerelle.contracts.promotions import PREFIX, Promotion
from passerelle.contracts.runs import StageRecord
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.sums import Money
from passerelle.settings import WatchDriftSettings
from passerelle.steps.artefacts import BUNDLE, result_key, training_key

from . import results
from .world import MOMENT, ROLE, Aws

#: A Sunday; the model serves from the hour after.
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
AIRPORTS = ("EWR", "JFK", "LGA")
TYPES: dict[str, ColumnType] = {
    "distance": "number", "origin": "category", "time_hour": "datetime", SCORE: "number", DECISION: "boolean",
}  # fmt: skip
Rows = list[dict[str, Any]]


def rows_of(
    count: int, moment: datetime, *, seed: int = 0, shift: float = 0.0, version: str | None = "4", **changes: Any
) -> Rows:
    """Return predictions that were asked from a moment on, a second apart; `shift` moves distances by deviations."""
    random = np.random.default_rng([seed, int(moment.timestamp())])
    distances = random.normal(1000 + 300 * shift, 300, count)
    scores = random.beta(2, 5, count)
    return [
        {
            "inference_id": f"{moment:%Y%m%d%H}-{seed}-{number}",
            "request_row": 0,
            "event_time": moment + timedelta(seconds=number),
            "model": "flights-laptop",
            "version": version,
            "variant": "champion",
            "entity_id": f"e{number}",
            "input_distance": float(round(distances[number])),
            "input_origin": AIRPORTS[int(random.integers(3))],
            "input_time_hour": moment + timedelta(hours=number % 24),
            "score": float(scores[number]),
            "decision": str(bool(scores[number] >= 0.5)).lower(),
            "latency_ms": 1.0,
            **changes,
        }
        for number in range(count)
    ]


def reference() -> Reference:
    """Return what the model was trained on: the same law as `rows_of` without a shift."""
    random = np.random.default_rng(7)
    scores = random.beta(2, 5, 20_000)
    columns = {
        "distance": np.round(random.normal(1000, 300, 20_000)),
        "origin": np.array(AIRPORTS, object)[random.integers(3, size=20_000)],
        "time_hour": np.datetime64("2026-06-01T00", "s") + random.integers(0, 100 * 86_400, 20_000),
        SCORE: scores,
        DECISION: scores >= 0.5,
    }
    return make_reference(columns, TYPES)


def performance() -> PerformanceReference:
    """Return what the model's errors were like: its scores mean what they say."""
    random = np.random.default_rng(8)
    scores = random.beta(2, 5, 8_000)
    labels = (random.random(8_000) < scores).astype(float)
    columns = {
        "distance": np.round(random.normal(1000, 300, 8_000)),
        "origin": np.array(AIRPORTS, object)[random.integers(3, size=8_000)],
    }
    types: dict[str, ColumnType] = {"distance": "number", "origin": "category"}
    return make_performance_reference(
        "binary",
        scores,
        labels,
        columns=columns,
        types=types,
        money=Money(true_positive=40, false_positive=-12, false_negative=-40),
        blocks=np.arange(8_000) // 400,
    )


@dataclass
class Watched:
    """One environment in which a model serves since `FIRST`."""

    aws: Aws
    job_from_mib: int = 64
    topic: str = field(init=False)
    queue: str = field(init=False)

    def __post_init__(self) -> None:
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        self.topic = sns.create_topic(Name="alerts")["TopicArn"]
        self.queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    @property
    def settings(self) -> WatchDriftSettings:
        return WatchDriftSettings(
            **self.aws.shared,
            zones=self.aws.buckets,
            alerts_topic_arn=self.topic,
            image_uri="image",
            judge_role_arn=ROLE,
            kms_key_arn="",
            prepare_instance_type="ml.m5.large",
            job_from_mib=self.job_from_mib,
        )

    def serve(
        self,
        profile: str | bytes | None = None,
        *,
        run_id: str = "r1",
        version: str = "4",
        at: datetime = FIRST,
        errors: PerformanceReference | None = None,
    ) -> None:
        """Let a run's model be the champion since a moment; `profile` is its bundle's, b"" for none.

        `errors` are those that `evaluate` saw, if it left any.
        """
        if errors is not None:
            key = result_key("flights", run_id, 1, f"evaluate/{PERFORMANCE_FILE}")
            self.aws.s3.put_object(Bucket=self.aws.buckets["curated"], Key=key, Body=errors.to_json().encode())
        job = f"flights-{run_id}-train-1"
        stage = StageRecord(stage="train", status="done", started_at=MOMENT, job_name=job)
        self.aws.begin_run(run_id, stages=(stage,), model_version=version)
        promotion = Promotion(version=version, run_id=run_id, at=at.isoformat())
        self.aws.table.put("flights", f"{PREFIX}{at.isoformat()}", promotion=promotion.model_dump_json())
        text = reference().to_json() if profile is None else profile
        body = text.encode() if isinstance(text, str) else text
        packed = results.archive({"profile.json": body} if body else {"other": b""})
        self.aws.s3.put_object(Bucket=self.aws.buckets["models"], Key=training_key("flights", job, BUNDLE), Body=packed)

    def record(self, rows: Rows, *, name: str = "a") -> str:
        """Put a file of predictions; returns its key."""
        inputs: Sequence[tuple[str, ColumnType]] = (
            ("distance", "number"), ("origin", "category"), ("time_hour", "datetime")
        )  # fmt: skip
        day = f"{rows[0]['event_time']:%Y-%m-%d}"
        key = f"{zones.prediction_records_prefix('flights')}/{day}/{name}.parquet"
        with tempfile.TemporaryDirectory() as folder:
            body = write_parquet(Path(folder) / "part.parquet", prediction_columns(inputs), rows).read_bytes()
        self.aws.s3.put_object(Bucket=self.aws.buckets["predictions"], Key=key, Body=body)
        return key

    def window(self, start: datetime) -> WindowRecord:
        item = self.aws.table.item("flights", f"{WINDOW}{start:%Y-%m-%dT%H:%MZ}")
        assert item
        return WindowRecord.model_validate_json(item["record"])

    def file(self, start: datetime, name: str) -> bytes:
        key = f"{zones.window_prefix('flights', f'{start:%Y-%m-%dT%H:%MZ}')}/{name}"
        return bytes(self.aws.s3.get_object(Bucket=self.aws.buckets["reports"], Key=key)["Body"].read())

    def told(self) -> list[tuple[str, str]]:
        """Return, and take away, the messages that people got."""
        sqs, found = boto3.client("sqs"), list[tuple[str, str]]()
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", ()):
            for message in messages:
                body = json.loads(message["Body"])
                found.append((body["Subject"], body["Message"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


def day(number: int) -> datetime:
    """Return the beginning of a day after `FIRST`."""
    return FIRST + timedelta(days=number)
