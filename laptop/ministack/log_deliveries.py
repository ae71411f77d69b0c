"""Deliver log lines to functions as CloudWatch Logs does: asynchronously, so that the function's own retries follow.

MiniStack calls the function once; what this cannot do then, or when it is busy, would be lost (CloudWatch Logs user
guide, "Log group-level subscription filters"; Lambda developer guide, "How Lambda handles errors and retries with
asynchronous invocation").
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from laptop.ministack.deliveries import invoke_function

LOG: Final = logging.getLogger(__name__)


def install_log_deliveries() -> None:
    """Patch MiniStack's delivery to subscription filters."""
    from ministack.services import cloudwatch_logs

    cloudwatch_logs._fanout_to_subscription_filters = _deliver


def _deliver(group: str, stream: str, events: Sequence[Mapping[str, Any]]) -> None:
    from ministack.services import cloudwatch_logs as logs

    found: Mapping[str, Any] = logs._log_groups.get(group) or {}
    for name, item in found.get("subscriptionFilters", {}).items():
        pattern = item["filterPattern"]
        passed = [event for event in events if logs._subscription_pattern_matches(pattern, event["message"])]
        if not passed:
            continue
        try:
            invoke_function(
                item["destinationArn"], json.dumps({"awslogs": {"data": _packed(group, stream, name, passed)}})
            )
        except Exception:  # what is logged is kept, whoever else wanted to have it
            LOG.exception("filter %s of %s delivers nothing", name, group)


def _packed(group: str, stream: str, name: str, events: Sequence[Mapping[str, Any]]) -> str:
    from ministack.core.responses import get_account_id

    message = {
        "messageType": "DATA_MESSAGE",
        "owner": get_account_id(),
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": [name],
        "logEvents": [
            {"id": uuid.uuid4().hex, "timestamp": event["timestamp"], "message": event["message"]} for event in events
        ],
    }
    return base64.b64encode(gzip.compress(json.dumps(message).encode())).decode()
