"""AWS/SageMaker metrics per variant, gathered and sent once a second so that a call costs nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from laptop.surroundings import MetricDatum, Surroundings

FLUSH_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Place:
    """Where an invocation went: what its metrics can be filtered by."""

    endpoint: str
    variant: str
    config: str
    component: str | None = None

    def dimensions(self) -> list[dict[str, str]]:
        """Return all sets of dimensions: CloudWatch adds nothing up, an alarm reads exactly the set that it names.

        With EndpointConfigName it watches the new fleet alone ("Auto-Rollback Configuration and Monitoring").
        """
        variant = {"EndpointName": self.endpoint, "VariantName": self.variant}
        own = [{"InferenceComponentName": self.component}] if self.component else []
        return [variant, variant | {"EndpointConfigName": self.config}, *own]


class EndpointMetrics:
    """Counts and latencies; latencies in microseconds, as SageMaker emits them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings, self._lock = surroundings, threading.Lock()
        self._pending: Counter[tuple[Place, str, float, str]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint-metrics", daemon=True)
        self._thread.start()

    def record(self, place: Place, *, instances: int, status: int, model: int | None, overhead: int | None) -> None:
        """Record one invocation: the container's HTTP status (0 when it did not answer) and its latencies.

        InvocationsPerInstance: "1/numberOfInstances is sent as the value on each request" (Monitoring, CloudWatch).
        """
        values = [
            ("Invocations", 1.0, "None"),
            ("InvocationsPerCopy" if place.component else "InvocationsPerInstance", 1.0 / max(1, instances), "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status == 0 or status >= 500), "None"),
            ("InvocationModelErrors", float(not 200 <= status < 300), "None"),
        ]
        for name, latency in (("ModelLatency", model), ("OverheadLatency", overhead)):
            if latency is not None:
                values.append((name, float(latency), "Microseconds"))
        self._add(place, values)

    def gauge(self, place: Place, name: str, value: float) -> None:
        """Record a value that is neither a count nor a latency."""
        self._add(place, [(name, value, "None")])

    def _add(self, place: Place, values: Iterable[tuple[str, float, str]]) -> None:
        with self._lock:
            self._pending.update((place, *value) for value in values)

    def flush(self) -> None:
        """Send what was gathered; equal values as one, so that a million calls do not fill CloudWatch's memory."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
        data = [
            MetricDatum(name=name, value=value, unit=unit, count=count, dimensions=dimensions)
            for (place, name, value, unit), count in pending.items()
            for dimensions in place.dimensions()
        ]
        if data:
            self._surroundings.put_metrics(data)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
