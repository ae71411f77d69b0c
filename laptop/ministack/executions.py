"""Run Step Functions executions with what MiniStack's own runner lacks.

Redrive from the failed state; an abort that stays an abort, and stops the jobs that the execution waits for; an
idempotent StartExecution; the state machine's timeout; `Execution.RedriveCount` in the context. The states themselves
are MiniStack's.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
#: The execution whose thread this is; tasks register what an abort must stop.
CURRENT: contextvars.ContextVar[str | None] = contextvars.ContextVar("execution", default=None)
_REDRIVABLE: Final = ("FAILED", "ABORTED", "TIMED_OUT")


class Executions:
    """Replaces MiniStack's runner of executions; one per process."""

    def __init__(self) -> None:
        self._stoppers: dict[str, dict[str, Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Put this runner in the place of MiniStack's."""
        import ministack.app as app
        from ministack.services import stepfunctions as sfn

        sfn._run_execution = self.run
        stop, describe = sfn._stop_execution, sfn._describe_execution

        def stop_execution(data: dict[str, Any]) -> Any:
            answer = stop(data)
            self._stop_jobs(str(data.get("executionArn")))
            return answer

        def describe_execution(data: dict[str, Any]) -> Any:
            return self._add_redrive(data, describe(data))

        sfn._stop_execution, sfn._describe_execution = stop_execution, describe_execution
        handler = app.SERVICE_HANDLERS["states"]
        app.SERVICE_HANDLERS["states"] = self._handler(handler)

    def on_abort(self, name: str, stop: Callable[[], None]) -> None:
        """Register what to do if the current execution is stopped; `name` identifies the job."""
        execution = CURRENT.get()
        if execution:
            with self._lock:
                self._stoppers.setdefault(execution, {})[name] = stop

    def forget(self, name: str) -> None:
        """The job has ended: nothing to stop any more."""
        execution = CURRENT.get()
        if execution:
            with self._lock:
                self._stoppers.get(execution, {}).pop(name, None)

    def _stop_jobs(self, execution: str) -> None:
        with self._lock:
            stoppers = self._stoppers.pop(execution, {})
        for name, stop in stoppers.items():
            try:
                stop()
            except Exception:
                LOG.exception("job %s was not stopped with its execution", name)

    def _handler(self, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        from ministack.core.responses import json_response

        async def handle(method: str, path: str, headers: Any, body: bytes | str, query: Any) -> Any:
            action = headers.get("x-amz-target", "").rpartition(".")[2]
            if action == "RedriveExecution":
                return self.redrive(json.loads(body))
            if action == "StartExecution":
                same = self._same_execution(json.loads(body))
                if same:
                    return json_response(same)
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
        started = sfn._timestamp_response_value(execution["startDate"])
        return {"executionArn": arn, "startDate": started}

    def _add_redrive(self, data: dict[str, Any], answer: tuple[int, Any, bytes]) -> tuple[int, Any, bytes]:
        from ministack.services import stepfunctions as sfn

        status, headers, body = answer
        execution = sfn._executions.get(data.get("executionArn"))
        if status != 200 or not execution:
            return answer
        document = json.loads(body)
        document["redriveCount"] = execution.get("redriveCount", 0)
        document["redriveStatus"] = "REDRIVABLE" if execution["status"] in _REDRIVABLE else "NOT_REDRIVABLE"
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
        execution.update(status="RUNNING", stopDate=None, output=None, redriveCount=count, redriveDate=moment)
        for key in ("error", "cause"):
            execution.pop(key, None)
        sfn._add_event(execution, "ExecutionRedriven", {"executionRedrivenEventDetails": {"redriveCount": count}})
        sfn._emit_execution_status_event(execution)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self.run, arn), daemon=True).start()
        return json_response({"redriveDate": sfn._timestamp_response_value(moment)})

    def redrive_interrupted(self) -> list[str]:
        """Redrive what ran when the platform went down; returns their ARNs."""
        from ministack.core.responses import request_scope
        from ministack.services import stepfunctions as sfn

        redriven = []
        for (account, region, arn), execution in list(sfn._executions._data.items()):
            if execution.get("error") == "States.ServiceRestart":
                with request_scope(account, region):
                    self.redrive({"executionArn": arn})
                redriven.append(arn)
        return redriven

    def run(self, arn: str) -> None:
        """Walk an execution from its start, or from the state in which a redriven one failed."""
        from ministack.services import stepfunctions as sfn

        execution = sfn._executions.get(arn)
        machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
        if not execution or not machine:
            return
        token = CURRENT.set(arn)
        try:
            definition = json.loads(machine["definition"])
            name, value = _starting_point(execution, definition)
            deadline = time.monotonic() + definition.get("TimeoutSeconds", 99_999_999)
            output = self._walk(execution, machine, definition, name, value, deadline)
            if execution["status"] == "RUNNING":
                _end(execution, "SUCCEEDED", output=json.dumps(output))
        except sfn._ExecutionError as error:
            self._fail(execution, error.error, error.cause)
        except Exception as error:
            LOG.exception("execution %s", arn)
            self._fail(execution, "States.Runtime", f"{type(error).__name__}: {error}")
        finally:
            CURRENT.reset(token)
            with self._lock:
                self._stoppers.pop(arn, None)

    def _fail(self, execution: dict[str, Any], error: str, cause: str) -> None:
        """An execution that was aborted meanwhile stays aborted."""
        if execution["status"] == "RUNNING":
            status = "TIMED_OUT" if error == "States.Timeout" and cause == _TIMEOUT else "FAILED"
            _end(execution, status, error=error, cause=cause)

    def _walk(
        self,
        execution: dict[str, Any],
        machine: dict[str, Any],
        definition: dict[str, Any],
        name: str | None,
        value: Any,
        deadline: float,
    ) -> Any:
        from ministack.services import stepfunctions as sfn

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
            "variables": {},
        }
        while name and execution["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise sfn._ExecutionError("States.Timeout", _TIMEOUT)
            state = definition["States"][name]
            context["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
            entered = {"stateEnteredEventDetails": {"name": name, "input": json.dumps(value)}}
            sfn._add_event(execution, f"{state['Type']}StateEntered", entered)
            value, following = _step(state, value, execution, context)
            exited = {"stateExitedEventDetails": {"name": name, "output": json.dumps(value)}}
            sfn._add_event(execution, f"{state['Type']}StateExited", exited)
            name = following
        return value


_TIMEOUT: Final = "the state machine's TimeoutSeconds passed"


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


def _starting_point(execution: dict[str, Any], definition: dict[str, Any]) -> tuple[str, Any]:
    """Return the state to begin with: the last one entered if the execution was redriven, else StartAt."""
    if execution.get("redriveCount"):
        for event in reversed(execution["events"]):
            details = event.get("stateEnteredEventDetails")
            if details and details["name"] in definition["States"]:
                return details["name"], json.loads(details["input"])
    return definition["StartAt"], json.loads(execution["input"])


def _end(execution: dict[str, Any], status: str, **fields: Any) -> None:
    from ministack.services import stepfunctions as sfn

    execution.update(status=status, stopDate=sfn.now_iso(), **fields)
    kind = {"SUCCEEDED": "ExecutionSucceeded", "FAILED": "ExecutionFailed", "TIMED_OUT": "ExecutionTimedOut"}[status]
    sfn._add_event(execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": fields})
    sfn._emit_execution_status_event(execution)
