"""Put Application Auto Scaling into MiniStack, which has none: over HTTP, and as aws-sdk tasks of Step Functions."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from laptop.ministack.service import ServiceModule
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.scaling.service import Scaling

LOG: Final = logging.getLogger(__name__)
SERVICE: Final = "application-autoscaling"
TARGET_PREFIX: Final = "AnyScaleFrontendService"
_JSON: Final = "application/x-amz-json-1.1"


def register_autoscaling(scaling: Scaling) -> None:
    """Answer what boto3's `application-autoscaling` client and `aws-sdk:applicationautoscaling` tasks send."""
    import ministack.app as app
    from ministack.core import iam_actions, router
    from ministack.services import stepfunctions as sfn

    async def handle(
        method: str, path: str, headers: Mapping[str, str], body: bytes | str, query_params: Mapping[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        return await asyncio.to_thread(answer, scaling, headers.get("x-amz-target", ""), body)

    app._loaded_modules[SERVICE] = ServiceModule(handle)
    app.SERVICE_REGISTRY[SERVICE] = {"module": SERVICE}
    app.SERVICE_HANDLERS[SERVICE] = app._lazy_handler(SERVICE)
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": [f"{TARGET_PREFIX}."],
        "host_patterns": [r"application-autoscaling\."],
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    sfn._AWS_SDK_SERVICE_MAP["applicationautoscaling"] = {
        "target_prefix": TARGET_PREFIX, "protocol": "json", "service_key": SERVICE,
    }  # fmt: skip
    sfn._AWS_SDK_ERROR_PREFIX["applicationautoscaling"] = "ApplicationAutoScaling"


def answer(scaling: Scaling, target: str, body: bytes | str) -> tuple[int, dict[str, str], bytes]:
    """Answer one request of JSON 1.1."""
    operation, status = target.rpartition(".")[2], 200
    try:
        document = scaling.call(operation, json.loads(body or b"{}"))
    except SageMakerError as error:
        status, document = error.status, {"__type": error.code, "message": error.message, "Message": error.message}
    except ValueError as error:
        status, document = 400, {"__type": "SerializationException", "message": str(error)}
    except Exception:
        LOG.exception("defect in %s", operation)
        status, document = 500, {"__type": "InternalServiceException", "message": "defect of the laptop; see its log"}
    return status, {"content-type": _JSON}, json.dumps(document, default=_epoch).encode()


def _epoch(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not JSON")
