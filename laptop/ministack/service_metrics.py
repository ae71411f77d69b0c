"""Metrics that services of AWS emit and MiniStack does not: executions of state machines, and messages that wait.

Step Functions developer guide, "Monitoring metrics"; SQS developer guide, "Available CloudWatch metrics". Without them
the alarms on failed runs and on dead letter queues would never ring on a laptop.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import Any, Final

from laptop.settings import LaptopSettings

LOG: Final = logging.getLogger(__name__)
#: SQS reports once a minute; a laptop's alarms are looked at more often.
QUEUES_SECONDS: Final = 10.0
#: A queue reports for six hours after it was used last, so that an alarm on it goes out.
ACTIVE_SECONDS: Final = 6 * 3600.0
_ENDED: Final = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "ABORTED": "ExecutionsAborted",
    "TIMED_OUT": "ExecutionsTimedOut",
}


def install_service_metrics(settings: LaptopSettings) -> None:
    """Count each change of an execution's status, and look at the queues from time to time."""
    from ministack.services import stepfunctions as sfn

    emit = sfn._emit_execution_status_event

    def emit_and_count(execution: dict[str, Any]) -> None:
        _count(execution)
        emit(execution)

    sfn._emit_execution_status_event = emit_and_count
    threading.Thread(target=_watch_queues, args=(settings,), name="queues", daemon=True).start()


def _count(execution: dict[str, Any]) -> None:
    from ministack.services import cloudwatch

    place, status = {"StateMachineArn": execution["stateMachineArn"]}, execution["status"]
    if status == "RUNNING":
        cloudwatch.record_metric("AWS/States", "ExecutionsStarted", 1, "Count", place)
    elif status in _ENDED:
        cloudwatch.record_metric("AWS/States", _ENDED[status], 1, "Count", place)
        if execution.get("startDate") and execution.get("stopDate"):
            took = _moment(execution["stopDate"]) - _moment(execution["startDate"])
            cloudwatch.record_metric("AWS/States", "ExecutionTime", took * 1000, "Milliseconds", place)


def _moment(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()


def _watch_queues(settings: LaptopSettings) -> None:
    from ministack.core.responses import request_scope

    active: dict[str, float] = {}
    while True:
        time.sleep(QUEUES_SECONDS)
        try:
            with request_scope(settings.account_id, settings.region):
                measure_queues(active)
        except Exception:
            LOG.exception("the watch over queues goes on")


def measure_queues(active: dict[str, float]) -> None:
    """Record how many messages can be received; `active` is when each queue had some last (seconds since 1970)."""
    from ministack.services import cloudwatch, sqs

    now = time.time()
    for queue in list(sqs._queues.values()):
        name = queue["name"]
        visible = sum(message["visible_at"] <= now for message in list(queue["messages"]))
        if visible:
            active[name] = now
        if now < active.get(name, 0.0) + ACTIVE_SECONDS:
            place = {"QueueName": name}
            cloudwatch.record_metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, "Count", place)
