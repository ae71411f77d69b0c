"""Complete S3's EventBridge events: on AWS, `detail.object` of a versioned bucket carries `version-id`."""

from __future__ import annotations

import json
from typing import Any


def add_version_ids() -> None:
    """Patch MiniStack's dispatch of events."""
    from ministack.services import eventbridge

    dispatch = eventbridge._dispatch_event

    def dispatch_with_version(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if event.get("Source") == "aws.s3" and event.get("DetailType") == "Object Created":
            event = event | {"Detail": _with_version(event["Detail"])}
        return dispatch(event, *args, **kwargs)

    eventbridge._dispatch_event = dispatch_with_version


def _with_version(text: str) -> str:
    from ministack.services import s3

    detail = json.loads(text)
    item = detail["object"]
    versions = s3._object_versions.get((detail["bucket"]["name"], item["key"])) or []
    for version in reversed(versions):
        record = version.get("obj_record") or version
        if str(record.get("etag", "")).strip('"') == item["etag"]:
            item["version-id"] = version["version_id"]
            break
    return json.dumps(detail)
