"""Data capture: requests and answers as JSON lines in S3, in SageMaker's layout; written in the background."""

from __future__ import annotations

import base64
import json
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri

FLUSH_SECONDS: Final = 1.0
MAX_RECORDS: Final = 10_000


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    endpoint: str
    variant: str
    inference_id: str | None
    content_type: str
    body: bytes
    answer_type: str
    answer: bytes
    moment: datetime


class DataCapture:
    """Collects exchanges and writes them every second. `add` never blocks; what overflows is counted."""

    def __init__(self, surroundings: Surroundings, *, seed: int) -> None:
        self._surroundings = surroundings
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._pending: list[tuple[str, str]] = []
        self.dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="data-capture", daemon=True)
        self._thread.start()

    def add(self, config: Mapping[str, Any] | None, exchange: Exchange) -> None:
        """Keep an exchange, if the configuration captures it."""
        if not config or not config.get("EnableCapture"):
            return
        with self._lock:
            if self._random.random() * 100 >= config["InitialSamplingPercentage"]:
                return
            if len(self._pending) >= MAX_RECORDS:
                self.dropped += 1
                return
            folder = f"{exchange.endpoint}/{exchange.variant}/{exchange.moment:%Y/%m/%d/%H}"
            place = f"{config['DestinationS3Uri'].rstrip('/')}/{folder}"
            self._pending.append((place, json.dumps(_record(config, exchange))))

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join(10)
        self.flush()

    def flush(self) -> None:
        """Write everything collected so far, one object per folder."""
        with self._lock:
            pending, self._pending = self._pending, []
        by_place: dict[str, list[str]] = defaultdict(list)
        for place, line in pending:
            by_place[place].append(line)
        for place, lines in by_place.items():
            bucket, prefix = split_s3_uri(place)
            moment = now()
            key = f"{prefix}/{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            body = ("\n".join(lines) + "\n").encode()
            try:
                self._surroundings.s3().put_object(Bucket=bucket, Key=key, Body=body)
            except Exception:  # S3 may be going down with the platform; capture is best effort, as on AWS
                self.dropped += len(lines)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()


def _record(config: Mapping[str, Any], exchange: Exchange) -> dict[str, Any]:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    both = "InputAndOutput" in modes
    data: dict[str, Any] = {}
    if both or "Input" in modes:
        data["endpointInput"] = _side(config, "INPUT", exchange.content_type, exchange.body)
    if both or "Output" in modes:
        data["endpointOutput"] = _side(config, "OUTPUT", exchange.answer_type, exchange.answer)
    metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{exchange.moment:%Y-%m-%dT%H:%M:%SZ}"}
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}


def _side(config: Mapping[str, Any], mode: str, content_type: str, body: bytes) -> dict[str, str]:
    """CSV and JSON are captured as text when their content type is listed, everything else as BASE64."""
    header = config.get("CaptureContentTypeHeader", {})
    kind = content_type.partition(";")[0].strip().lower()
    listed = {
        "CSV": [item.lower() for item in header.get("CsvContentTypes", ["text/csv"])],
        "JSON": [item.lower() for item in header.get("JsonContentTypes", ["application/json"])],
    }
    encoding = next((name for name, kinds in listed.items() if kind in kinds), "BASE64")
    text = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
