"""CloudWatch log streams: the real one of a job, and where a person reads it."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import client

LOG: Final = logging.getLogger(__name__)


def newest_stream(group: str, prefix: str = "") -> str | None:
    """Return the log stream below a prefix that was written last; None when there is none, or nobody may say.

    It serves the explanation of a failure, which must not itself fail for want of a log.
    """
    request = {"logGroupName": group, **({"logStreamNamePrefix": prefix} if prefix else {})}
    try:
        pages = client("logs").get_paginator("describe_log_streams").paginate(**request)
        streams = [stream for page in pages for stream in page["logStreams"]]
    except (ClientError, BotoCoreError) as error:
        LOG.warning("no log stream of %s %s: %s", group, prefix, error)
        return None
    newest = max(streams, key=lambda item: item.get("lastEventTimestamp", item.get("creationTime", 0)), default=None)
    return str(newest["logStreamName"]) if newest else None


def console_link(group: str, stream: str) -> str | None:
    """Return the address of a log stream in the AWS console; None where there is no console (the laptop)."""
    meta = client("logs").meta
    if not str(urlsplit(meta.endpoint_url).hostname).endswith(".amazonaws.com"):
        return None
    # The console's own router wants names encoded twice, with "$" for "%".
    where = f"log-groups/log-group/{_twice(group)}/log-events/{_twice(stream)}"
    region = meta.region_name
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:{where}"


def _twice(text: str) -> str:
    return quote(quote(text, safe=""), safe="").replace("%", "$")
