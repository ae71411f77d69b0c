"""AWS/SageMaker metrics per variant, gathered and sent once a second so that a call costs nothing."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from laptop.surroundings import MetricDatum, Surroundings

FLUSH_SECONDS: Final = 1.0


class EndpointMetrics:
    """Counts and latencies; latencies in microseconds, as SageMaker emits them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings, self._lock = surroundings, threading.Lock()
        self._pending: Counter[tuple[str, str, str, float, str]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint-metrics", daemon=True)
        self._thread.start()

    def record(
        self, endpoint: str, variant: str, *, instances: int, status: int, model: int | None, overhead: int | None
    ) -> None:
        """Record one invocation: the container's HTTP status (0 when it did not answer) and its latencies.

        InvocationsPerInstance: "1/numberOfInstances is sent as the value on each request" (Monitoring, CloudWatch).
        """
        values = [
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / max(1, instances), "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status == 0 or status >= 500), "None"),
            ("InvocationModelErrors", float(not 200 <= status < 300), "None"),
        ]
        for name, latency in (("ModelLatency", model), ("OverheadLatency", overhead)):
            if latency is not None:
                values.append((name, float(latency), "Microseconds"))
        with self._lock:
            self._pending.update((endpoint, variant, *value) for value in values)

    def flush(self) -> None:
        """Send what was gathered; equal values as one, so that a million calls do not fill CloudWatch's memory."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
        data = [
            MetricDatum(
                name=name, value=value, unit=unit, count=count,
                dimensions={"EndpointName": endpoint, "VariantName": variant},
            )
            for (endpoint, variant, name, value, unit), count in pending.items()
        ]  # fmt: skip
        if data:
            self._surroundings.put_metrics(data)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
