"""EventBridge Scheduler on the laptop: schedules fire on time, in their time zone, at every kind of target.

MiniStack looks every ten seconds, takes every expression for UTC, forgets at a restart what has fired, drops what its
CloudFormation type does not know (time zone, dates) and knows no universal targets
(`arn:aws:scheduler:::aws-sdk:service:operation`). A target's role is assumed to be allowed what it does.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from laptop.ministack.deliveries import report
from laptop.ministack.schedule_times import check, epoch, next_time

LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1
#: When a schedule fired last, kept with it: seconds since 1970.
FIRED: Final = "LastInvocation"
#: What was missed by more than this, while the laptop was down, is made up for once.
LATE_SECONDS: Final = 60.0
_TYPE: Final = "AWS::Scheduler::Schedule"
_PROPERTIES: Final = (
    "ActionAfterCompletion", "Description", "EndDate", "FlexibleTimeWindow", "GroupName", "KmsKeyArn",
    "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "State", "Target",
)  # fmt: skip
#: Step Functions names operations in the same way as Scheduler does, and MiniStack knows how to call them from there.
_UNIVERSAL: Final = re.compile(r"arn:aws:(?:scheduler|states):::(aws-sdk:\w+:\w+)")
Answer = tuple[int, dict[str, str], bytes]


def install_schedules() -> None:
    """Patch the watch over schedules, their requests and their type; before deliveries, which retry what fails here."""
    from ministack.services import eventbridge, scheduler
    from ministack.services.cloudformation import provisioners

    scheduler._tick_schedules, scheduler._SCHEDULE_TICK_INTERVAL = tick, LOOK_SECONDS
    scheduler._create_schedule = _checked(scheduler._create_schedule)
    scheduler._update_schedule = _checked(scheduler._update_schedule)
    eventbridge._invoke_target = _with_universal(eventbridge._invoke_target)
    delete = provisioners._RESOURCE_HANDLERS[_TYPE]["delete"]
    provisioners._RESOURCE_HANDLERS[_TYPE] = {"create": _create, "update": _update, "delete": delete}
    provisioners._REPLACING_PROPERTIES[_TYPE] = ("Name", "GroupName")
    provisioners._CUSTOM_NAME_REPLACEMENT[_TYPE] = {"name": "Name"}


def tick() -> None:
    """Fire every schedule that is due."""
    from ministack.core.responses import request_scope
    from ministack.services import scheduler

    for (account, region, key), schedule in list(scheduler._schedules._data.items()):
        try:
            with request_scope(account, region):
                _look(key, schedule, time.time())
        except Exception:
            LOG.exception("the watch over schedules goes on after %s", key)


def _look(key: str, schedule: dict[str, Any], now: float) -> None:
    from ministack.services import scheduler

    if schedule.get("State") != "ENABLED":
        return
    due = _due(schedule)
    if due is not None and due <= now:
        schedule[FIRED] = due if now - due < LATE_SECONDS else now
        _fire(schedule, due)
        due = _due(schedule)
    if due is None and schedule.get("ActionAfterCompletion") == "DELETE":
        scheduler._schedules.pop(key, None)


def _due(schedule: Mapping[str, Any]) -> float | None:
    fired = schedule.get(FIRED)
    return next_time(schedule, fired or schedule["LastModificationDate"], fired=fired is not None)


def _fire(schedule: Mapping[str, Any], due: float) -> None:
    """Give the target its input, on a thread of its own: an operation may take minutes."""
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import eventbridge

    id_, moment = str(uuid.uuid4()), datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    target = dict(schedule["Target"])
    # User guide, "Adding context attributes".
    attributes = {"schedule-arn": schedule["Arn"], "scheduled-time": moment, "execution-id": id_, "attempt-number": "1"}
    for name, value in attributes.items():
        if "Input" in target:
            target["Input"] = target["Input"].replace(f"<aws.scheduler.{name}>", value)
    event = {
        "EventId": id_,
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": due,
        "Resources": [schedule["Arn"]],
        "Account": get_account_id(),
        "Region": get_region(),
    }
    arguments = (eventbridge._invoke_target, target, event, schedule)
    threading.Thread(target=contextvars.copy_context().run, args=arguments, name="schedule", daemon=True).start()


def _with_universal(invoke: Callable[..., None]) -> Callable[..., None]:
    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: Any, view: Any = None) -> None:
        from ministack.services import stepfunctions as sfn

        universal = _UNIVERSAL.fullmatch(target.get("Arn", ""))
        if not universal:
            invoke(target, event, rule, view)
            return
        try:
            sfn._invoke_resource(f"arn:aws:states:::{universal[1]}", json.loads(target.get("Input") or "{}"))
        except sfn._ExecutionError as error:
            report(error.error, error.cause)
        except ValueError as error:
            report("INVALID_PARAMETER", f"The input is no JSON: {error}")

    return invoke_target


def _checked(put: Callable[[str, dict[str, Any]], Answer]) -> Callable[[str, dict[str, Any]], Answer]:
    def put_checked(name: str, body: dict[str, Any]) -> Answer:
        from ministack.services import scheduler

        try:
            if body.get("ScheduleExpression"):
                check(body)
        except ValueError as error:
            answer: Answer = scheduler._error(400, "ValidationException", str(error))
            return answer
        return put(name, body)

    return put_checked


def _create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    from ministack.services import scheduler
    from ministack.services.cloudformation import provisioners

    name = properties.get("Name") or provisioners._physical_name(stack, logical, max_len=64)
    return name, _attributes(scheduler._create_schedule(name, _body(properties)))


def _update(physical: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    from ministack.services import scheduler

    return physical, _attributes(scheduler._update_schedule(physical, _body(new)))


def _body(properties: Mapping[str, Any]) -> dict[str, Any]:
    body = {name: properties[name] for name in _PROPERTIES if name in properties}
    return body | {name: epoch(body[name]) for name in ("StartDate", "EndDate") if name in body}


def _attributes(answer: Answer) -> dict[str, Any]:
    document = json.loads(answer[2])
    if answer[0] != 200:
        raise ValueError(document["Message"])
    return {"Arn": document["ScheduleArn"]}
