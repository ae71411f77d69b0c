"""`states:startExecution.sync` as on AWS: the child is an execution of its own, with history, events and a name.

MiniStack runs the child inside the parent's thread, as an express workflow: no status events, a second start of the
same name overwrites the first, and stopping the parent leaves the child. On AWS a child that does not succeed fails
the task with States.TaskFailed and its description as the cause; an abort of the parent stops it
(Step Functions developer guide, "Start workflow executions from a task state" and "Run a Job").
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from laptop.ministack.executions import Executions

POLL_SECONDS: Final = 0.1
_FIELDS: Final = {
    "executionArn": "ExecutionArn",
    "input": "Input",
    "inputDetails": "InputDetails",
    "name": "Name",
    "output": "Output",
    "outputDetails": "OutputDetails",
    "startDate": "StartDate",
    "stateMachineArn": "StateMachineArn",
    "status": "Status",
    "stopDate": "StopDate",
    "error": "Error",
    "cause": "Cause",
}


class NestedExecutions:
    """Starts child executions and waits for their end."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def install(self) -> None:
        """Take the place of MiniStack's function."""
        from ministack.services import stepfunctions as sfn

        sfn._invoke_nested_start_execution_sync = self.run

    def run(self, resource: str, request: dict[str, Any]) -> dict[str, Any]:
        """Start a child and return its description when it has succeeded."""
        from ministack.services import stepfunctions as sfn

        arn = self._start(sfn._nested_start_execution_request(request))

        def stop() -> None:
            sfn._stop_execution({"executionArn": arn, "cause": "The parent execution was stopped"})

        with self._executions.stopping(arn, stop):
            while (child := sfn._executions.get(arn)) and child["status"] == "RUNNING":
                self._executions.check()
                time.sleep(POLL_SECONDS)
        answer = {new: child[old] for old, new in _FIELDS.items() if child and child.get(old) is not None}
        if not child or child["status"] != "SUCCEEDED":
            raise sfn._ExecutionError("States.TaskFailed", json.dumps(answer))
        if resource.endswith(".sync:2"):
            answer["Output"] = json.loads(answer.get("Output", "{}"))
        return answer

    def _start(self, request: dict[str, Any]) -> str:
        """Start the child; after a restart of the platform, find the one that this very state had started."""
        from ministack.services import stepfunctions as sfn

        status, _, body = sfn._start_execution(request)
        answer = json.loads(body)
        if status < 400:
            return str(answer["executionArn"])
        if answer.get("__type") == "ExecutionAlreadyExists" and self._executions.resumed():
            machine = sfn._resolve_state_machine_arn(request["stateMachineArn"])
            return f"{machine.replace(':stateMachine:', ':execution:')}:{request['name']}"
        name = str(answer.get("__type", "Unknown")).removesuffix("Exception")
        raise sfn._ExecutionError(f"StepFunctions.{name}Exception", str(answer.get("message", "")))
