"""Let a Python Lambda's exception class reach Step Functions.

MiniStack reports every failure as Runtime.HandlerError; on AWS errorType is the exception's class, which Retry and
Catch name. The worker puts the class in front of the message, and the executor's answer is split again.
"""

from __future__ import annotations

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
    """Return an executor's answer with errorType and errorMessage told apart."""
    body = result.get("body") if isinstance(result, dict) else None
    if isinstance(body, dict) and _MARK in str(body.get("errorMessage", "")):
        kind, _, message = body["errorMessage"].partition(_MARK)
        return result | {"body": body | {"errorType": kind, "errorMessage": message}}
    return result
