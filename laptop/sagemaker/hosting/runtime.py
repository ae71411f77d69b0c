"""InvokeEndpoint: choose a variant, ask it, mirror to the shadow, capture, measure."""

from __future__ import annotations

import http.client
import queue
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting.capture import DataCapture, Exchange
from laptop.sagemaker.hosting.metrics import EndpointMetrics
from laptop.sagemaker.hosting.variant import ContainerAnswer, Variant
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

#: InvokeEndpoint: Body. Real-time endpoints take 6 MiB, serverless ones 4 MB.
MAX_BYTES: Final = 6_291_456
MAX_SERVERLESS_BYTES: Final = 4_194_304
MAX_SHADOW_QUEUE: Final = 256
_PREFIX: Final = "x-amzn-sagemaker-"
_FORWARDED: Final = ("custom-attributes", "target-model", "target-variant", "target-container-hostname",
                     "inference-id", "enable-explanations", "session-id")  # fmt: skip
_INFERENCE_ID: Final = re.compile(r"\A\S[\x20-\x7e]{0,63}\Z")


@dataclass(frozen=True)
class Invocation:
    """The answer to a caller."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Fleet:
    """What an endpoint serves with now. Replaced as a whole, so a caller sees the old or the new, never between."""

    config: Mapping[str, Any]
    production: dict[str, tuple[Variant, float]]
    shadow: tuple[str, Variant, float] | None = None
    serverless: bool = False
    limit: threading.BoundedSemaphore | None = None

    def variants(self) -> list[Variant]:
        return [variant for variant, _ in self.production.values()] + ([self.shadow[1]] if self.shadow else [])


@dataclass
class _Shadowed:
    endpoint: str
    fleet: Fleet
    headers: dict[str, str]
    body: bytes
    inference_id: str | None


@dataclass
class Runtime:
    """Answers InvokeEndpoint for every endpoint in service."""

    settings: LaptopSettings
    surroundings: Surroundings
    fleets: dict[str, Fleet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random, self._random_lock = random.Random(self.settings.seed), threading.Lock()
        self.capture = DataCapture(self.surroundings, seed=self.settings.seed)
        self.metrics = EndpointMetrics(self.surroundings)
        self._shadows: queue.Queue[_Shadowed | None] = queue.Queue(MAX_SHADOW_QUEUE)
        self._mirrors = [threading.Thread(target=self._mirror, name=f"shadow-{i}", daemon=True) for i in range(4)]
        for thread in self._mirrors:
            thread.start()

    def close(self) -> None:
        for _ in self._mirrors:
            self._shadows.put(None)
        self.capture.close()
        self.metrics.close()

    def invoke(self, name: str, headers: Mapping[str, str], body: bytes) -> Invocation:
        """Ask an endpoint.

        Raises SageMakerError as the runtime API documents its errors.
        """
        started = time.perf_counter()
        fleet = self.fleets.get(name)
        if fleet is None:
            raise SageMakerError("ValidationError", f"Endpoint {name} of account {self.settings.account_id} not found.")
        self._check_size(fleet, body)
        inference_id = headers.get(f"{_PREFIX}inference-id")
        if inference_id is not None and not _INFERENCE_ID.match(inference_id):
            raise SageMakerError("ValidationError", "InferenceId must have 1 to 64 printable characters")
        chosen = self._choose(fleet, headers.get(f"{_PREFIX}target-variant"))
        forwarded = _forwarded(headers)
        if fleet.shadow:
            self._offer_to_shadow(_Shadowed(name, fleet, forwarded, body, inference_id))
        with _Limited(fleet.limit):
            answer = self._ask(name, chosen, fleet.production[chosen][0], forwarded, body, started)
        self._captured(name, chosen, fleet, forwarded, body, answer, inference_id)
        if not 200 <= answer.status < 300:
            raise self._model_error(name, chosen, fleet.production[chosen][0], answer)
        return Invocation(_answered(answer, chosen), answer.body)

    def _check_size(self, fleet: Fleet, body: bytes) -> None:
        limit = MAX_SERVERLESS_BYTES if fleet.serverless else MAX_BYTES
        if len(body) > limit:
            raise SageMakerError(
                "ValidationError",
                f"1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length "
                f"less than or equal to {limit} (got {len(body)})",
                status=413,
            )

    def _choose(self, fleet: Fleet, target: str | None) -> str:
        if target is not None:
            if target not in fleet.production:
                known = ", ".join(fleet.production)
                raise SageMakerError("ValidationError", f"Variant {target} not found; the endpoint has {known}")
            return target
        names = list(fleet.production)
        if len(names) == 1:
            return names[0]
        with self._random_lock:
            return self._random.choices(names, [fleet.production[name][1] for name in names])[0]

    def _ask(
        self, endpoint: str, name: str, variant: Variant, headers: dict[str, str], body: bytes, started: float
    ) -> ContainerAnswer:
        try:
            answer = variant.invoke(headers, body)
        except (OSError, http.client.HTTPException) as error:
            self.metrics.record(endpoint, name, status=0, model=0, overhead=0)
            if isinstance(error, TimeoutError):
                message = "Your invocation timed out while waiting for a response from container primary."
                raise self._failed_model(endpoint, name, variant, 0, message) from error
            raise SageMakerError(
                "ServiceUnavailable", f"Variant {name} does not answer: {error}", status=503
            ) from error
        total = int((time.perf_counter() - started) * 1_000_000)
        overhead = max(0, total - answer.microseconds)
        self.metrics.record(endpoint, name, status=answer.status, model=answer.microseconds, overhead=overhead)
        return answer

    def _model_error(self, endpoint: str, name: str, variant: Variant, answer: ContainerAnswer) -> SageMakerError:
        text = answer.body.decode("utf-8", "replace")
        return self._failed_model(endpoint, name, variant, answer.status, text)

    def _failed_model(self, endpoint: str, name: str, variant: Variant, status: int, text: str) -> SageMakerError:
        region, account = self.settings.region, self.settings.account_id
        stream = f"arn:aws:logs:{region}:{account}:log-group:{variant.log_group}"
        kind = "client" if 400 <= status < 500 else "server"
        return SageMakerError(
            "ModelError",
            f'Received {kind} error ({status}) from primary with message "{text[:2000]}". See {stream} '
            f"in account {account} for more information.",
            status=424,
            members={"OriginalStatusCode": status, "OriginalMessage": text, "LogStreamArn": stream},
        )

    # Shadow and capture

    def _offer_to_shadow(self, shadowed: _Shadowed) -> None:
        fleet = shadowed.fleet
        assert fleet.shadow is not None
        main_weight = next(weight for _, weight in fleet.production.values())
        share = min(1.0, fleet.shadow[2] / main_weight) if main_weight else 0.0
        with self._random_lock:
            wanted = self._random.random() < share
        if wanted:
            try:
                self._shadows.put_nowait(shadowed)
            except queue.Full:  # a shadow that is too slow loses requests; callers must not wait for it
                return

    def _mirror(self) -> None:
        while (item := self._shadows.get()) is not None:
            assert item.fleet.shadow is not None
            name, variant, _ = item.fleet.shadow
            try:
                answer = self._ask(item.endpoint, name, variant, item.headers, item.body, time.perf_counter())
            except SageMakerError:
                continue
            self._captured(item.endpoint, name, item.fleet, item.headers, item.body, answer, item.inference_id)

    def _captured(
        self,
        endpoint: str,
        variant: str,
        fleet: Fleet,
        headers: Mapping[str, str],
        body: bytes,
        answer: ContainerAnswer,
        inference_id: str | None,
    ) -> None:
        content_type = headers.get("Content-Type", "application/octet-stream")
        answer_type = answer.headers.get("content-type", "application/octet-stream")
        exchange = Exchange(endpoint, variant, inference_id, content_type, body, answer_type, answer.body, now())
        self.capture.add(fleet.config.get("DataCaptureConfig"), exchange)

    def endpoint_arn(self, name: str) -> str:
        """Return an endpoint's ARN."""
        return arn(self.settings, "endpoint", name)


class _Limited:
    """A serverless endpoint's MaxConcurrency: more callers at once are throttled."""

    def __init__(self, limit: threading.BoundedSemaphore | None) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        if self._limit and not self._limit.acquire(blocking=False):
            raise SageMakerError("ThrottlingException", "Rate exceeded: MaxConcurrency is reached", status=429)

    def __exit__(self, *exception: object) -> None:
        if self._limit:
            self._limit.release()


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that reach the container: all others are stripped."""
    kept = {"Content-Type": headers.get("content-type", "application/octet-stream")}
    accept = headers.get(f"{_PREFIX}accept") or headers.get("accept")
    if accept:
        kept["Accept"] = accept
    for name in _FORWARDED:
        if f"{_PREFIX}{name}" in headers:
            kept[f"X-Amzn-SageMaker-{name.title()}"] = headers[f"{_PREFIX}{name}"]
    return kept


def _answered(answer: ContainerAnswer, variant: str) -> dict[str, str]:
    headers = {
        "content-type": answer.headers.get("content-type", "application/octet-stream"),
        "x-amzn-invoked-production-variant": variant,
    }
    custom = f"{_PREFIX}custom-attributes"
    if custom in answer.headers:
        headers[custom] = answer.headers[custom]
    return headers
