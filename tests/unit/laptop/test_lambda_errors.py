"""An executor's answer is told apart into the members that AWS gives a failed invocation."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.ministack.lambdas import split_error


def _failed(message: str, log: str = "") -> dict[str, Any]:
    return {"error": True, "log": log, "body": {"errorMessage": message, "errorType": "Runtime.HandlerError"}}


def test_class_message_and_trace_are_separate_members() -> None:
    trace = 'printed\nTraceback (most recent call last):\n  File "h.py", line 3, in handler\n    raise X()\nX: no'
    body = split_error(_failed("TransientError\x1fMLflow: down: again", trace))["body"]
    assert body == {
        "errorType": "TransientError",
        "errorMessage": "MLflow: down: again",
        "stackTrace": ['  File "h.py", line 3, in handler', "    raise X()"],
    }


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        ("Worker process died", "Runtime.ExitError", "Worker process died"),
        ("Worker init failed: No module named 'x'", "Runtime.ImportModuleError", "No module named 'x'"),
        ("Worker init failed: bad setting", "Runtime.Unknown", "bad setting"),
        ("Task timed out after 3.00 seconds", "Runtime.HandlerError", "Task timed out after 3.00 seconds"),
    ],
)
def test_failures_outside_of_the_handler_have_awss_names(message: str, kind: str, told: str) -> None:
    body = split_error(_failed(message))["body"]
    assert (body["errorType"], body["errorMessage"]) == (kind, told)


def test_an_answer_that_is_no_error_is_left_as_it_is() -> None:
    for answer in ({"body": {"errorMessage": "a value of the function"}}, {"body": None}, "text"):
        assert split_error(answer) == answer
