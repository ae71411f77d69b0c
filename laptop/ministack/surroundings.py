"""What the local SageMaker emits, put into MiniStack's services through their in-process functions."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config

from laptop.access import Keys, trust
from laptop.ministack.alarms import breaches, datapoints
from laptop.ministack.identities import Identities
from laptop.settings import LaptopSettings
from laptop.surroundings import MetricDatum

LOG: Final = logging.getLogger(__name__)
MAX_EVENTS_PER_CALL: Final = 10


class MiniStackSurroundings:
    """Implements `laptop.surroundings.Surroundings`. Nothing here raises: what cannot be emitted is logged."""

    def __init__(self, settings: LaptopSettings, identities: Identities) -> None:
        self._settings, self._identities = settings, identities
        self._clients: dict[Keys, Any] = {}
        self._lock = threading.Lock()

    def s3(self, role: str) -> Any:
        keys = self._keys(role)
        with self._lock:  # boto3's default session, which makes clients, is not thread-safe
            if keys not in self._clients:
                self._clients[keys] = boto3.client(
                    "s3",
                    endpoint_url=self._settings.endpoint_url,
                    region_name=self._settings.region,
                    config=Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=50),
                    **keys.arguments(),
                )
            return self._clients[keys]

    def credentials(self, role: str) -> Mapping[str, str]:
        address = {"AWS_ENDPOINT_URL": self._settings.endpoint_url}
        return {**address, **self._keys(role).environment(), **trust(self._settings)}

    def _keys(self, role: str) -> Keys:
        source = f"arn:aws:sagemaker:{self._settings.region}:{self._settings.account_id}:*"
        return self._identities.take_on(role, "sagemaker.amazonaws.com", source=source, session="SageMaker")

    def put_log_lines(self, group: str, stream: str, lines: Sequence[tuple[datetime, str]]) -> None:
        from ministack.services import cloudwatch_logs as logs

        def put() -> None:
            # Asked for each time: a deployment may have made the group meanwhile, or taken it away.
            logs._create_log_group({"logGroupName": group})
            logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
            events = [{"timestamp": int(moment.timestamp() * 1000), "message": line or " "} for moment, line in lines]
            logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})

        self._scoped(put)

    def put_event(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        from ministack.services import eventbridge

        entry = {
            "Source": "aws.sagemaker",
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "Resources": list(resources),
        }
        self._scoped(lambda: eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True))

    def put_metrics(self, data: Sequence[MetricDatum]) -> None:
        from ministack.services import cloudwatch

        by_namespace: dict[str, list[dict[str, Any]]] = {}
        for datum in data:
            dimensions = [{"Name": name, "Value": value} for name, value in datum.dimensions.items()]
            by_namespace.setdefault(datum.namespace, []).append(
                {"MetricName": datum.name, "Values": [datum.value], "Counts": [datum.count], "Unit": datum.unit,
                 "Dimensions": dimensions}
            )  # fmt: skip

        def put() -> None:
            for namespace, items in by_namespace.items():
                request = {"Namespace": namespace, "MetricData": items}
                cloudwatch._put_metric_data(None, request, False, is_json=True)

        self._scoped(put)

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        from ministack.services import cloudwatch

        states: dict[str, str] = {}

        def read() -> None:
            for name in names:
                alarm = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name)
                if alarm:
                    states[name] = alarm["StateValue"]

        self._scoped(read)
        return states

    def alarm_breach(self, action: str) -> float | None:
        found: list[float] = []

        def read() -> None:
            found.extend(breaches(action))

        self._scoped(read)
        return max(found, key=abs, default=None)

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str, seconds: float
    ) -> float | None:
        found: list[float | None] = []
        wanted = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        query = {"Namespace": namespace, "MetricName": name, "Dimensions": wanted, "Statistic": statistic,
                 "Period": seconds}  # fmt: skip

        def read() -> None:
            (point,) = datapoints(query, time.time(), 1)
            found.append(None if point is None else point.value)

        self._scoped(read)
        return found[0] if found else None

    def _scoped(self, function: Callable[[], Any]) -> None:
        """Run in the account and region of the platform; the callers are background threads."""
        from ministack.core.responses import request_scope

        try:
            with request_scope(self._settings.account_id, self._settings.region):
                function()
        except Exception:
            LOG.exception("the embedded AWS did not take what SageMaker emits")
