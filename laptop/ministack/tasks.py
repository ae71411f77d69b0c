"""Step Functions' SageMaker integrations: the optimized ones, with `.sync`, and `aws-sdk:sagemaker:*`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from laptop.ministack.executions import Executions
from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.errors import SageMakerError

#: Operation -> (name key, status key). A longer name comes before one that it begins with: MiniStack matches prefixes.
_JOBS: Final = {
    "createTrainingJob": ("TrainingJob",),
    "createProcessingJob": ("ProcessingJob",),
    "createTransformJob": ("TransformJob",),
    "createHyperParameterTuningJob": ("HyperParameterTuningJob",),
}
_CALLS: Final = ("createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint", "addTags")
POLL_SECONDS: Final = 0.25
_ENDED: Final = ("Completed", "Failed", "Stopped")


class SageMakerTasks:
    """Runs SageMaker tasks of state machines against the local SageMaker."""

    def __init__(self, sagemaker: SageMaker, executions: Executions) -> None:
        self._sagemaker, self._executions = sagemaker, executions

    def install(self) -> None:
        """Register the integrations with MiniStack."""
        from ministack.services import stepfunctions as sfn

        for operation in (*_JOBS, *_CALLS):
            arn = f"arn:aws:states:::sagemaker:{operation}"
            sfn._SERVICE_DISPATCH[arn] = self._task(operation)
        sfn._SERVICE_DISPATCH["arn:aws:states:::aws-sdk:sagemaker:"] = self._sdk_task
        sfn._SERVICE_DISPATCH["arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint"] = self._invoke

    def _task(self, operation: str) -> Callable[[str, dict[str, Any]], Any]:
        def run(resource: str, request: dict[str, Any]) -> Any:
            synchronous = resource.endswith(".sync")
            job = _JOBS.get(operation)
            if synchronous and job is None:
                raise _error("States.Runtime", f"{operation} has no .sync form; poll Describe instead")
            answer = self._call(operation, request, suffix="Exception")
            return self._await(job[0], request) if synchronous and job else answer

        return run

    def _await(self, kind: str, request: dict[str, Any]) -> Any:
        """Wait for a job's end; a job that did not complete fails the task with its description as the cause."""
        from ministack.services import stepfunctions as sfn

        name = request[f"{kind}Name"]
        stop = lambda: self._sagemaker.call(f"Stop{kind}", {f"{kind}Name": name})  # noqa: E731
        self._executions.on_abort(name, lambda: (stop(), None)[1])
        while True:
            job = self._call(f"describe{kind}", {f"{kind}Name": name}, suffix="Exception")
            if job[f"{kind}Status"] in _ENDED:
                break
            sfn._scaled_sleep(POLL_SECONDS)
        self._executions.forget(name)
        if job[f"{kind}Status"] != "Completed":
            raise _error("States.TaskFailed", json.dumps(job))
        return job

    def _sdk_task(self, resource: str, request: dict[str, Any]) -> Any:
        return self._call(resource.rpartition(":")[2], request, suffix="Exception")

    def _call(self, operation: str, request: dict[str, Any], *, suffix: str) -> Any:
        """Call an operation; its errors are named SageMaker.<Code>Exception, as Step Functions names them."""
        try:
            answer = self._sagemaker.call(operation[0].upper() + operation[1:], request)
        except SageMakerError as error:
            code = error.code if error.code.endswith(suffix) else f"{error.code}{suffix}"
            raise _error(f"SageMaker.{code}", error.message) from error
        return json.loads(json.dumps(answer, default=_iso))

    def _invoke(self, resource: str, request: dict[str, Any]) -> Any:
        body = request.get("Body", b"")
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {"content-type": request.get("ContentType", "application/octet-stream")}
        try:
            answer = self._sagemaker.invoke_endpoint(request["EndpointName"], headers, raw)
        except SageMakerError as error:
            raise _error(f"SageMakerRuntime.{error.code}Exception", error.message) from error
        return {"Body": answer.body.decode("utf-8", "replace"), "ContentType": answer.headers["content-type"]}


def _error(error: str, cause: str) -> Exception:
    from ministack.services import stepfunctions as sfn

    made = sfn._ExecutionError(error, cause)
    assert isinstance(made, Exception)
    return made


def _iso(value: Any) -> Any:
    """Step Functions gives timestamps of SDK answers as ISO 8601 text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return plain(value)
