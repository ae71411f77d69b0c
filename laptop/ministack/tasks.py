"""Step Functions' SageMaker integrations: the optimized ones, with `.sync`, and `aws-sdk:sagemaker:*`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Final

from laptop.ministack.executions import Executions
from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.errors import SageMakerError

#: Optimized integrations that also exist with `.sync`, and what their Describe is about.
_JOBS: Final = {
    "createTrainingJob": "TrainingJob",
    "createProcessingJob": "ProcessingJob",
    "createTransformJob": "TransformJob",
    "createHyperParameterTuningJob": "HyperParameterTuningJob",
}
#: A longer name comes before one that it begins with: MiniStack matches prefixes.
_CALLS: Final = ("createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint", "addTags")
POLL_SECONDS: Final = 0.25
_ENDED: Final = ("Completed", "Failed", "Stopped")
#: Step Functions names an error by its class in the AWS SDK for Java: one that SageMaker's model declares has a class
#: of its own, every other (a ValidationException, throttling) is the service's base class, which differs between the
#: SDK of the optimized integrations (version 1) and that of `aws-sdk:` (version 2). State machines in public
#: repositories catch these names: SageMaker.AmazonSageMakerException, SageMaker.ResourceLimitExceededException with
#: `sagemaker:createTrainingJob.sync`; SageMaker.SageMakerException with `aws-sdk:sagemaker:describeEndpoint`.
_MODELLED: Final = ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded", "ConflictException")
_OPTIMIZED: Final = "AmazonSageMakerException"
_SDK: Final = "SageMakerException"
#: Step Functions tags the jobs that it waits for (aws/aws-cdk#26012).
_MANAGED: Final = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


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
            job = _JOBS.get(operation)
            if not resource.endswith(".sync"):
                return self._call(operation, request, base=_OPTIMIZED)
            if job is None:
                raise _error("States.Runtime", f"{operation} has no .sync form; poll Describe instead")
            self._create(operation, {**request, "Tags": [*request.get("Tags", []), _MANAGED]})
            return self._await(job, request)

        return run

    def _create(self, operation: str, request: dict[str, Any]) -> None:
        """Create a job; after a restart of the platform, the one that this very state had created will do."""
        try:
            self._call(operation, request, base=_OPTIMIZED)
        except _execution_error() as error:
            if error.error != "SageMaker.ResourceInUseException" or not self._executions.resumed():
                raise

    def _await(self, kind: str, request: dict[str, Any]) -> Any:
        """Wait for a job's end; a job that did not complete fails the task with its description as the cause."""
        name = {f"{kind}Name": request[f"{kind}Name"]}

        def stop() -> None:
            with contextlib.suppress(SageMakerError):  # it may have ended by itself
                self._sagemaker.call(f"Stop{kind}", name)

        with self._executions.stopping(name[f"{kind}Name"], stop):
            while True:
                self._executions.check()
                job = self._call(f"describe{kind}", name, base=_OPTIMIZED)
                if job[f"{kind}Status"] in _ENDED:
                    break
                time.sleep(POLL_SECONDS)
        if job[f"{kind}Status"] != "Completed":
            raise _error("States.TaskFailed", json.dumps(job))
        return job

    def _sdk_task(self, resource: str, request: dict[str, Any]) -> Any:
        return self._call(resource.rpartition(":")[2], request, base=_SDK)

    def _call(self, operation: str, request: dict[str, Any], *, base: str) -> Any:
        """Call an operation; what the service model does not declare as an error gets the name of the `base` class."""
        try:
            answer = self._sagemaker.call(operation[0].upper() + operation[1:], request)
        except SageMakerError as error:
            code = error.code.removesuffix("Exception") + "Exception"
            name = code if error.code in _MODELLED else base
            cause = f"{error.message} (Service: SageMaker, Status Code: {error.status}, Error Code: {error.code})"
            raise _error(f"SageMaker.{name}", cause) from error
        return json.loads(json.dumps(answer, default=_iso))

    def _invoke(self, resource: str, request: dict[str, Any]) -> Any:
        body = request.get("Body", b"")
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {"content-type": request.get("ContentType", "application/octet-stream")}
        try:
            answer = self._sagemaker.invoke_endpoint(request["EndpointName"], headers, raw)
        except SageMakerError as error:
            code = error.code.removesuffix("Exception") + "Exception"
            raise _error(f"SageMakerRuntime.{code}", error.message) from error
        return {"Body": answer.body.decode("utf-8", "replace"), "ContentType": answer.headers["content-type"]}


def _execution_error() -> Any:
    from ministack.services import stepfunctions as sfn

    return sfn._ExecutionError


def _error(error: str, cause: str) -> Exception:
    made = _execution_error()(error, cause)
    assert isinstance(made, Exception)
    return made


def _iso(value: Any) -> Any:
    """Step Functions gives timestamps of SDK answers as ISO 8601 text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return plain(value)
