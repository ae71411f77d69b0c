"""Let a Python Lambda's exception class reach Step Functions, and every invocation its metrics.

MiniStack reports every failure as Runtime.HandlerError; on AWS errorType is the exception's class, which Retry and
Catch name. The worker puts the class in front of the message, and the executor's answer is split again. MiniStack
counts direct invocations only; on AWS those by Step Functions, EventBridge and S3 count too.
"""

from __future__ import annotations

import contextvars
import time
from typing import Any, Final

_MARK: Final = "\x1f"
_PLAIN: Final = '"error": str(e)'
_MARKED: Final = '"error": type(e).__name__ + chr(31) + str(e)'


def keep_error_classes() -> None:
    """Patch MiniStack's Python worker and executor.

    Raises RuntimeError when an upgrade has moved what is patched.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if _MARKED in script:
        return
    if _PLAIN not in script:
        raise RuntimeError("MiniStack's Python worker has changed: its error line is not where it was")
    # Only the handler's own failure is marked, which is the last place that reports an error.
    head, _, tail = script.rpartition(_PLAIN)
    lambda_runtime._PYTHON_WORKER_SCRIPT = head + _MARKED + tail
    execute = lambda_svc._execute_function_warm

    def execute_and_split(func: Any, event: Any, request_id: str) -> Any:
        return split_error(execute(func, event, request_id))

    lambda_svc._execute_function_warm = execute_and_split


def split_error(result: Any) -> Any:
    """Return an executor's answer with errorType, errorMessage and stackTrace told apart."""
    body = result.get("body") if isinstance(result, dict) else None
    if not isinstance(body, dict) or not result.get("error"):
        return result
    message = str(body.get("errorMessage", ""))
    if _MARK in message:
        kind, _, message = message.partition(_MARK)
        trace = [line for line in result.get("log", "").splitlines() if line.startswith("  ")]
        return result | {"body": {"errorMessage": message, "errorType": kind, "stackTrace": trace}}
    if message in _AWS_NAMES:
        return result | {"body": body | {"errorType": _AWS_NAMES[message]}}
    if message.startswith(_INIT_FAILED):
        detail = message.removeprefix(_INIT_FAILED)
        kind = "Runtime.ImportModuleError" if detail.startswith("No module named") else "Runtime.Unknown"
        return result | {"body": body | {"errorType": kind, "errorMessage": detail}, "log": detail}
    return result


#: What MiniStack says -> what AWS calls it (Lambda developer guide, "Troubleshoot execution issues").
_AWS_NAMES: Final = {"Worker process died": "Runtime.ExitError"}
_INIT_FAILED: Final = "Worker init failed: "


def count_every_invocation() -> None:
    """Emit AWS/Lambda metrics where every invocation passes, once."""
    from ministack.services import lambda_svc

    emit, dispatch = lambda_svc._emit_lambda_metrics, lambda_svc._execute_function_dispatch

    def emit_throttles_only(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if throttle:
            emit(function_name, duration_ms, error, throttle)

    def dispatch_and_count(function: Any, configuration: Any, *arguments: Any) -> Any:
        started = time.monotonic()
        result = dispatch(function, configuration, *arguments)
        failed = isinstance(result, dict) and bool(result.get("error"))
        emit(configuration.get("FunctionName", "unknown"), (time.monotonic() - started) * 1000, failed, False)
        return result

    lambda_svc._emit_lambda_metrics = emit_throttles_only
    lambda_svc._execute_function_dispatch = dispatch_and_count


def keep_throttled_events() -> None:
    """Let an event wait for a busy function: on AWS a throttle of an asynchronous invocation is no failed attempt.

    MiniStack counts it as one of the three, so that events of files dropped together would be lost
    (Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation").
    """
    from ministack.services import lambda_svc

    invoke, execute = lambda_svc.invoke_async_with_retry, lambda_svc._execute_function
    patient: contextvars.ContextVar[bool] = contextvars.ContextVar("patient", default=False)

    def invoke_patiently(function: Any, event: Any) -> None:
        token = patient.set(True)
        try:
            invoke(function, event)  # copies the context into its thread
        finally:
            patient.reset(token)

    def execute_when_free(function: Any, event: Any) -> Any:
        deadline = time.monotonic() + _EVENT_AGE_SECONDS
        while True:
            result = execute(function, event)
            throttled = isinstance(result, dict) and result.get("throttle")
            if not throttled or not patient.get() or time.monotonic() > deadline:
                return result
            time.sleep(_THROTTLED_SECONDS)

    lambda_svc.invoke_async_with_retry, lambda_svc._execute_function = invoke_patiently, execute_when_free


_EVENT_AGE_SECONDS: Final = 6 * 3600.0
_THROTTLED_SECONDS: Final = 0.25
