"""Run Step Functions executions with what MiniStack's own runner lacks.

Redrive from the failed state; an abort that stays an abort, and stops the jobs that the execution waits for; an
idempotent StartExecution; the state machine's timeout; `Execution.RedriveCount` in the context; executions that go on
after a restart of the platform as if nothing had been. The states themselves are MiniStack's.
"""

from __future__ import annotations

import contextvars
import copy
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
_REDRIVABLE: Final = ("FAILED", "ABORTED", "TIMED_OUT")


class HaltedError(Exception):
    """The execution of this thread was stopped, timed out or taken over by a redrive: its outcome counts no more."""


#: (execution, its run) of this thread; a redrive is a new run, whose predecessor's thread may still sleep in a Wait.
CURRENT: contextvars.ContextVar[tuple[str, int] | None] = contextvars.ContextVar("execution", default=None)


class Executions:
    """Replaces MiniStack's runner of executions; one per process."""

    def __init__(self) -> None:
        self._stoppers: dict[tuple[str, int], dict[str, Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._interrupted: list[tuple[str, str, str]] = []
        self._frozen = threading.Event()

    def install(self) -> None:
        """Put this runner in the place of MiniStack's."""
        import ministack.app as app
        from ministack.core.responses import json_response
        from ministack.services import stepfunctions as sfn

        sfn._run_execution = self.run
        stop, describe, start = sfn._stop_execution, sfn._describe_execution, sfn._start_execution
        execute, load = sfn._execute_task, sfn.load_persisted_state

        def stop_execution(data: dict[str, Any]) -> Any:
            answer = stop(data)
            self._stop_jobs(str(data.get("executionArn")))
            return answer

        def describe_execution(data: dict[str, Any]) -> Any:
            return self._add_redrive(data, describe(data))

        def start_execution(data: dict[str, Any]) -> Any:
            same = self._same_execution(data)
            return json_response(same) if same else start(data)

        def execute_task(state: Any, value: Any, execution: dict[str, Any], context: Any) -> Any:
            self.check()
            try:
                return execute(state, value, execution, context)
            finally:
                self.check()

        def load_persisted_state(data: Any) -> None:
            running = [key for key, item in data["executions"]._data.items() if item["status"] == "RUNNING"]
            load(data)
            self._interrupted = [key for key in running if self._keep_running(key)]

        sfn._stop_execution, sfn._describe_execution = stop_execution, describe_execution
        sfn._start_execution, sfn._execute_task = start_execution, execute_task
        sfn.load_persisted_state = load_persisted_state
        handler = app.SERVICE_HANDLERS["states"]
        app.SERVICE_HANDLERS["states"] = self._handler(handler)

    @contextmanager
    def stopping(self, name: str, stop: Callable[[], object]) -> Iterator[None]:
        """While this lasts, stopping the current execution calls `stop`; `name` identifies what is stopped."""
        current = CURRENT.get()
        if current is None:
            yield
            return
        with self._lock:
            self._stoppers.setdefault(current, {})[name] = stop
        try:
            # An abort that came before the registration has not called `stop`.
            if not self._alive(current):
                stop()
            yield
        finally:
            with self._lock:
                self._stoppers.get(current, {}).pop(name, None)

    def check(self) -> None:
        """Raise HaltedError when the execution of this thread is over; while the platform stops, wait for its end."""
        current = CURRENT.get()
        if self._frozen.is_set():
            # What fails because the platform goes down must not fail the execution: it goes on after the restart.
            threading.Event().wait()
        if current is not None and not self._alive(current):
            raise HaltedError(f"{current[0]} is over")

    def freeze(self) -> None:
        """Let no execution change any more: the platform stops."""
        self._frozen.set()

    def busy(self) -> bool:
        """Return whether any execution runs."""
        from ministack.services import stepfunctions as sfn

        return any(execution["status"] == "RUNNING" for execution in list(sfn._executions._data.values()))

    def resumed(self) -> bool:
        """Return whether the current execution was at work when the platform went down: jobs may exist already."""
        current = CURRENT.get()
        execution = _record(current[0]) if current else None
        return bool(execution and execution.get("_resumed"))

    def _alive(self, current: tuple[str, int]) -> bool:
        execution = _record(current[0])
        return bool(execution and execution["status"] == "RUNNING" and execution.get("_run", 0) == current[1])

    def _stop_jobs(self, execution: str) -> None:
        with self._lock:
            keys = [key for key in self._stoppers if key[0] == execution]
            stoppers = [item for key in keys for item in self._stoppers.pop(key).items()]
        for name, stop in stoppers:
            try:
                stop()
            except Exception:
                LOG.exception("job %s was not stopped with its execution", name)

    def _handler(self, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def handle(method: str, path: str, headers: Any, body: bytes | str, query: Any) -> Any:
            action = headers.get("x-amz-target", "").rpartition(".")[2]
            if action == "RedriveExecution":
                return self.redrive(json.loads(body))
            return await handler(method, path, headers, body, query)

        return handle

    def _same_execution(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """Return the running execution of that name and input: on AWS, starting it again is not an error."""
        from ministack.services import stepfunctions as sfn

        machine = sfn._state_machines.get(data.get("stateMachineArn", ""))
        name = data.get("name")
        if not machine or not name:
            return None
        arn = data["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{name}"
        execution = sfn._executions.get(arn)
        if not execution or execution["status"] != "RUNNING" or execution["input"] != data.get("input", "{}"):
            return None
        return {"executionArn": arn, "startDate": execution["startDate"]}

    def _add_redrive(self, data: dict[str, Any], answer: tuple[int, Any, bytes]) -> tuple[int, Any, bytes]:
        from ministack.services import stepfunctions as sfn

        status, headers, body = answer
        execution = sfn._executions.get(data.get("executionArn"))
        if status != 200 or not execution:
            return answer
        document = json.loads(body)
        document["redriveCount"] = execution.get("redriveCount", 0)
        if execution.get("redriveDate"):
            document["redriveDate"] = execution["redriveDate"]
        if execution["status"] in _REDRIVABLE:
            document["redriveStatus"] = "REDRIVABLE"
        else:
            document["redriveStatus"] = "NOT_REDRIVABLE"
            document["redriveStatusReason"] = f"Execution is {execution['status']} and cannot be redriven"
        return status, headers, json.dumps(document).encode()

    def redrive(self, data: dict[str, Any]) -> Any:
        """RedriveExecution: go on from the state that failed, with its input, under the same ARN."""
        from ministack.core.responses import error_response_json, json_response
        from ministack.services import stepfunctions as sfn

        arn = data.get("executionArn", "")
        execution = sfn._executions.get(arn)
        if not execution:
            return error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
        if execution["status"] not in _REDRIVABLE:
            message = f"Execution is not redrivable: its status is {execution['status']}"
            return error_response_json("ExecutionNotRedrivable", message, 400)
        moment = sfn.now_iso()
        count = execution.get("redriveCount", 0) + 1
        execution.update(redriveCount=count, redriveDate=moment, _run=execution.get("_run", 0) + 1, _resumed=False)
        _reopen(execution)
        sfn._add_event(execution, "ExecutionRedriven", {"executionRedrivenEventDetails": {"redriveCount": count}})
        sfn._emit_execution_status_event(execution)
        self._go_on(arn)
        return json_response({"redriveDate": sfn._timestamp_response_value(moment)})

    def redrive_interrupted(self) -> list[str]:
        """Go on with what ran when the platform went down; returns the ARNs. To AWS's API they never stopped."""
        from ministack.core.responses import request_scope

        for account, region, arn in self._interrupted:
            with request_scope(account, region):
                self._go_on(arn)
        return [arn for _, _, arn in self._interrupted]

    def _keep_running(self, key: tuple[str, str, str]) -> bool:
        """MiniStack fails what ran; an express execution stays failed, as its caller is gone."""
        from ministack.services import stepfunctions as sfn

        execution = sfn._executions._data.get(key)
        if not execution or execution.get("sync"):
            return False
        execution["_resumed"] = True
        _reopen(execution)
        return True

    def _go_on(self, arn: str) -> None:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self.run, arn), daemon=True).start()

    def run(self, arn: str) -> None:
        """Walk an execution from its start, or from the state in which it failed or was interrupted."""
        from ministack.services import stepfunctions as sfn

        execution = _record(arn)
        machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
        if not execution or not machine:
            return
        current = (arn, execution.setdefault("_run", 0))
        token = CURRENT.set(current)
        # A redrive and a resumption use the definition that the execution began with (RedriveExecution, API reference).
        definition = json.loads(execution.setdefault("_definition", machine["definition"]))
        timer = self._timer(definition, execution, current)
        try:
            output = self._walk(execution, machine, definition)
            self.check()
            _end(execution, "SUCCEEDED", output=json.dumps(output))
            execution.pop("_definition", None)
        except HaltedError:
            LOG.debug("%s ended meanwhile", arn)
        except sfn._ExecutionError as error:
            self._fail(execution, error.error, error.cause)
        except Exception as error:
            LOG.exception("execution %s", arn)
            self._fail(execution, "States.Runtime", f"{type(error).__name__}: {error}")
        finally:
            timer.cancel()
            CURRENT.reset(token)

    def _fail(self, execution: dict[str, Any], error: str, cause: str) -> None:
        """An execution that was aborted meanwhile stays aborted."""
        try:
            self.check()
        except HaltedError:
            return
        _end(execution, "FAILED", error=error, cause=cause)

    def _timer(
        self, definition: dict[str, Any], execution: dict[str, Any], current: tuple[str, int]
    ) -> threading.Timer:
        """Return the started clock of the state machine's TimeoutSeconds; a redrive begins it anew."""
        begun = datetime.fromisoformat(execution.get("redriveDate") or execution["startDate"])
        spent = (datetime.now(UTC) - begun.astimezone(UTC)).total_seconds()
        # threading cannot wait for longer than some ten days at once on every system.
        left = min(max(0.0, definition.get("TimeoutSeconds", 10**6) - spent), 10**6)

        def time_out() -> None:
            if self._alive(current) and not self._frozen.is_set():
                _end(execution, "TIMED_OUT", error="States.Timeout", cause="")
                self._stop_jobs(current[0])

        context = contextvars.copy_context()
        timer = threading.Timer(left, context.run, args=(time_out,))
        timer.daemon = True
        if "TimeoutSeconds" in definition:
            timer.start()
        return timer

    def _walk(self, execution: dict[str, Any], machine: dict[str, Any], definition: dict[str, Any]) -> Any:
        from ministack.services import stepfunctions as sfn

        name: str | None
        name, value, variables = _starting_point(execution, definition)
        context: dict[str, Any] = {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution["executionArn"],
                "Input": json.loads(execution["input"]),
                "Name": execution["name"],
                "StartTime": execution["startDate"],
                **({"RedriveCount": execution["redriveCount"]} if execution.get("redriveCount") else {}),
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": variables,
        }
        while name:
            self.check()
            state = definition["States"][name]
            context["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
            entered = {"stateEnteredEventDetails": {"name": name, "input": json.dumps(value)}}
            sfn._add_event(execution, f"{state['Type']}StateEntered", entered)
            execution["_variables"] = copy.deepcopy(context["variables"])
            value, following = _step(state, value, execution, context)
            self.check()
            execution["_resumed"] = False  # the interrupted state is done; from here on all is new
            exited = {"stateExitedEventDetails": {"name": name, "output": json.dumps(value)}}
            sfn._add_event(execution, f"{state['Type']}StateExited", exited)
            name = following
        return value


def _record(arn: str) -> dict[str, Any] | None:
    from ministack.services import stepfunctions as sfn

    execution: dict[str, Any] | None = sfn._executions.get(arn)
    return execution


def _reopen(execution: dict[str, Any]) -> None:
    execution.update(status="RUNNING", stopDate=None, output=None)
    for key in ("error", "cause"):
        execution.pop(key, None)


def _step(state: dict[str, Any], value: Any, execution: dict[str, Any], context: dict[str, Any]) -> tuple[Any, Any]:
    """Execute one state; returns (output, next state or None)."""
    from ministack.services import stepfunctions as sfn

    kind = state["Type"]
    if kind == "Succeed":
        if context["QueryLanguage"] == "JSONata" or state.get("QueryLanguage") == "JSONata":
            return sfn._apply_jsonata_output(state, value, context, default=value), None
        return sfn._apply_output_path(state, sfn._apply_input_path(state, value, context), context), None
    if kind == "Fail":
        raise sfn._ExecutionError(*sfn._fail_state_error(state, value, context))
    if kind in ("Task", "Parallel", "Map"):
        function = {"Task": sfn._execute_task, "Parallel": sfn._execute_parallel, "Map": sfn._execute_map}[kind]
        output, following = function(state, value, execution, context)
    else:
        function = {"Pass": sfn._execute_pass, "Choice": sfn._execute_choice, "Wait": sfn._execute_wait}[kind]
        output, following = function(state, value, context)
    return output, following


def _starting_point(execution: dict[str, Any], definition: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """Return (state, its input, variables) to begin with: those of the last state entered, else of StartAt."""
    for event in reversed(execution["events"]):
        details = event.get("stateEnteredEventDetails")
        if details:
            return details["name"], json.loads(details["input"]), copy.deepcopy(execution.get("_variables", {}))
    return definition["StartAt"], json.loads(execution["input"]), {}


def _end(execution: dict[str, Any], status: str, **fields: Any) -> None:
    from ministack.services import stepfunctions as sfn

    execution.update(status=status, stopDate=sfn.now_iso(), **fields)
    kind = {"SUCCEEDED": "ExecutionSucceeded", "FAILED": "ExecutionFailed", "TIMED_OUT": "ExecutionTimedOut"}[status]
    sfn._add_event(execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": fields})
    sfn._emit_execution_status_event(execution)
