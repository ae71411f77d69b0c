"""Data capture: requests and answers as JSON lines in S3, in SageMaker's layout; written in the background."""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.hosting.backlog import MAX_BYTES, Backlog
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri

LOG: Final = logging.getLogger(__name__)
FLUSH_SECONDS: Final = 1.0


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
    #: In whose name SageMaker writes it: the model's.
    role: str = ""


class DataCapture:
    """Collects exchanges and writes them every second. `add` never waits; what overflows is counted."""

    def __init__(self, surroundings: Surroundings, *, seed: int, max_bytes: int = MAX_BYTES) -> None:
        self._surroundings = surroundings
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._pending: Backlog[tuple[Mapping[str, Any], Exchange]] = Backlog(max_bytes=max_bytes)
        self._lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="data-capture", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many exchanges were to be captured and were not."""
        return self._lost + self._pending.refused

    def add(self, config: Mapping[str, Any] | None, exchange: Exchange) -> None:
        """Keep an exchange, if the configuration captures it (EnableCapture "defaults to enabled")."""
        if not config or not config.get("EnableCapture", True):
            return
        with self._lock:
            if self._random.random() * 100 >= config["InitialSamplingPercentage"]:
                return
        self._pending.offer((config, exchange), len(exchange.body) + len(exchange.answer))

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join(10)
        self.flush()
        self._pending.close()

    def flush(self) -> None:
        """Write everything collected so far, one object per folder."""
        by_place: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for config, exchange in self._pending.take_all():
            folder = f"{exchange.endpoint}/{exchange.variant}/{exchange.moment:%Y/%m/%d/%H}"
            place = f"{config['DestinationS3Uri'].rstrip('/')}/{folder}"
            by_place[place, config.get("KmsKeyId", ""), exchange.role].append(json.dumps(_record(config, exchange)))
        for (place, key, role), lines in by_place.items():
            self._write(place, key, role, lines)

    def _write(self, place: str, key: str, role: str, lines: list[str]) -> None:
        moment = now()
        name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        body = ("\n".join(lines) + "\n").encode()
        try:
            bucket, prefix = split_s3_uri(place)
            self._surroundings.s3(role).put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=body, **encryption)
        except Exception as error:  # S3 may be going down with the platform; capture is best effort, as on AWS
            LOG.warning("%d captured requests are lost: %s: %s", len(lines), place, error)
            self._lost += len(lines)

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
    """Listed content types are captured as text, everything else as BASE64 (CaptureContentTypeHeader)."""
    header = config.get("CaptureContentTypeHeader", {})
    kind = content_type.partition(";")[0].strip().lower()
    encoding, text = "BASE64", ""
    for name, key in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if kind in (listed.lower() for listed in header.get(key, ())):
            encoding, text = _text(name, body)
            break
    if encoding == "BASE64":
        text = base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _text(encoding: str, body: bytes) -> tuple[str, str]:
    """What is no text would not come back as it was."""
    try:
        return encoding, body.decode()
    except UnicodeDecodeError:
        return "BASE64", ""
