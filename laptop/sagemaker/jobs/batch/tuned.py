"""GET /execution-parameters: what a container would rather have where CreateTransformJob does not say.

Developer guide, "How Containers Serve Requests": optional, and JSON with MaxConcurrentTransforms, BatchStrategy and
MaxPayloadInMB.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final

_SECONDS: Final = 2.0
_STRATEGIES: Final = {"SINGLE_RECORD": "SingleRecord", "MULTI_RECORD": "MultiRecord"}
#: As CreateTransformJob: MaxConcurrentTransforms * MaxPayloadInMB.
MOST_MB: Final = 100


def tuned(job: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return a job with the container's values for what it leaves open; a MaxConcurrentTransforms of 0 is open too."""
    given = {key: value for key, value in job.items() if not (key == "MaxConcurrentTransforms" and value == 0)}
    wanted = _asked(port)
    found: dict[str, Any] = {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 6}
    for key in found:
        if isinstance(wanted.get(key), int) and wanted[key] >= (1 if key == "MaxConcurrentTransforms" else 0):
            found[key] = wanted[key]
    if wanted.get("BatchStrategy") in _STRATEGIES:
        found["BatchStrategy"] = _STRATEGIES[wanted["BatchStrategy"]]
    merged = found | given
    if "MaxConcurrentTransforms" not in given and merged["MaxPayloadInMB"]:
        most = max(1, MOST_MB // merged["MaxPayloadInMB"])
        merged["MaxConcurrentTransforms"] = min(merged["MaxConcurrentTransforms"], most)
    return merged


def _asked(port: int) -> Mapping[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/execution-parameters")
        answer = connection.getresponse()
        document = json.loads(answer.read()) if answer.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return document if isinstance(document, dict) else {}
