"""Deliver EventBridge's events as AWS does: functions are invoked asynchronously, what cannot be delivered is retried.

MiniStack invokes a function once and drops what its target does not take. On AWS the function's own retries and
dead-letter queue follow an accepted event, and a target that does not take it is tried again, then the event goes to
the rule target's DeadLetterConfig with what went wrong as attributes (EventBridge user guide, "Using dead-letter
queues to process undelivered events"). AWS tries for 24 hours and up to 185 times; a laptop for a second.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
DELAYS_SECONDS: Final = (0.2, 0.8)
Failure = tuple[str, str]
#: Filled by a dispatch that its target did not take.
_FAILURES: contextvars.ContextVar[list[Failure] | None] = contextvars.ContextVar("failures", default=None)


def install_deliveries() -> None:
    """Patch MiniStack's dispatch to targets; Scheduler uses the same."""
    from ministack.services import eventbridge

    eventbridge._dispatch_to_lambda = invoke_function
    queue, machine, topic = (
        eventbridge._dispatch_to_sqs,
        eventbridge._dispatch_to_stepfunctions,
        eventbridge._dispatch_to_sns,
    )
    eventbridge._dispatch_to_sqs = _guarded(queue, _queue_exists)
    eventbridge._dispatch_to_stepfunctions = _guarded(machine, _machine_exists)
    eventbridge._dispatch_to_sns = _guarded(topic, _topic_exists)
    invoke = eventbridge._invoke_target

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: Any, view: Any = None) -> None:
        failed = _attempt(invoke, target, event, rule, view)
        if failed:
            again = contextvars.copy_context()
            arguments = (_retry, invoke, queue, (target, event, rule, view), failed)
            threading.Thread(target=again.run, args=arguments, daemon=True).start()

    eventbridge._invoke_target = invoke_target


def _attempt(invoke: Callable[..., None], *arguments: Any) -> Failure | None:
    failures: list[Failure] = []
    token = _FAILURES.set(failures)
    try:
        invoke(*arguments)
    finally:
        _FAILURES.reset(token)
    return failures[0] if failures else None


def _retry(
    invoke: Callable[..., None], queue: Callable[..., None], arguments: tuple[Any, ...], failed: Failure
) -> None:
    target, event, rule, _ = arguments
    wanted = int((target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", len(DELAYS_SECONDS)))
    for delay in DELAYS_SECONDS[:wanted]:
        time.sleep(delay)
        again = _attempt(invoke, *arguments)
        if again is None:
            return
        failed = again
    LOG.warning("event not delivered to %s: %s", target.get("Arn"), failed[1])
    dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
    if dead_letters:
        _bury(queue, dead_letters, target, event, rule, failed)


def _bury(queue: Callable[..., None], arn: str, target: Any, event: Any, rule: Any, failed: Failure) -> None:
    from ministack.core.arn import parse_arn
    from ministack.services import eventbridge, sqs

    body = json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
    queue(parse_arn(arn), body, {})
    found = sqs._queue_by_arn(arn)
    if not found:
        LOG.warning("the dead-letter queue %s does not exist", arn)
        return
    texts = {
        "RULE_ARN": str(rule.get("Arn", "")),
        "TARGET_ARN": str(target.get("Arn", "")),
        "ERROR_CODE": failed[0],
        "ERROR_MESSAGE": failed[1],
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items() if text}
    message = next(item for item in reversed(found["messages"]) if item["body"] == body)
    message["message_attributes"] = attributes
    message["md5_attrs"] = sqs._md5_msg_attrs(attributes)


def report(code: str, message: str) -> None:
    """Say that the target does not take the event that is being dispatched."""
    failures = _FAILURES.get()
    if failures is not None:
        failures.append((code, message))


def _guarded(dispatch: Callable[..., None], exists: Callable[[Any], bool]) -> Callable[..., None]:
    """Return a dispatch that reports a target that is not there."""

    def guarded(target: Any, *arguments: Any) -> None:
        if exists(target):
            dispatch(target, *arguments)
        else:
            report("RESOURCE_NOT_FOUND", f"The target does not exist: {target}")

    return guarded


def _queue_exists(spec: Any) -> bool:
    from ministack.services import sqs

    return sqs._queue_by_arn(str(spec)) is not None


def _machine_exists(arn: str) -> bool:
    from ministack.services import stepfunctions

    return stepfunctions._resolve_state_machine_arn(arn) is not None


def _topic_exists(arn: str) -> bool:
    from ministack.services import sns

    return sns._topic_by_arn_any_scope(arn) is not None


def invoke_function(arn: str, payload: str) -> None:
    """Invoke asynchronously: retries, OnFailure destination and dead-letter queue of the function apply."""
    from ministack.services import lambda_svc

    function, configuration, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not configuration:
        report("RESOURCE_NOT_FOUND", f"The target does not exist: {arn}")
        return
    record = lambda_svc._execution_record_for_config(function, configuration)
    lambda_svc.invoke_async_with_retry(record, json.loads(payload))
