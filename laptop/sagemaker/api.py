"""The local SageMaker as one object: validate, then do. HTTP, Step Functions and CloudFormation all come here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting.invocation import Invocation
from laptop.sagemaker.hosting.service import HostingService
from laptop.sagemaker.jobs.service import JobService
from laptop.sagemaker.scaling.guard import guarded
from laptop.sagemaker.scaling.loop import ScalingLoop
from laptop.sagemaker.scaling.service import Scaling
from laptop.sagemaker.store import Store
from laptop.sagemaker.tags import Tags
from laptop.sagemaker.validation import validate
from laptop.settings import LaptopSettings
from laptop.surroundings import RefusedError, Surroundings

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class SageMaker:
    """Jobs, models, endpoints, their tags, and what scales them."""

    def __init__(self, settings: LaptopSettings, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._store = Store(settings.sagemaker_home / "state.db")
        self._tags = Tags(self._store)
        self.hosting = HostingService(settings, surroundings, self._store, self._tags)
        self.jobs = JobService(settings, surroundings, self._store, self._tags)
        self._operations: dict[str, Operation] = {
            **self._tags.operations(),
            **self.hosting.operations(),
            **self.jobs.operations(),
        }
        self.scaling = Scaling(settings, self._store, self.call)
        self._operations |= guarded(dict(self._operations), self.scaling)
        self._scaling_loop = ScalingLoop(self.scaling, self.call, surroundings)

    def start(self) -> None:
        """Bring back what ran before a restart or a crash: endpoints and unfinished jobs."""
        self.hosting.start()
        self.jobs.start()
        self._scaling_loop.start()

    def close(self) -> None:
        """Stop every process; what was unfinished stays so in the store."""
        self._scaling_loop.close()
        self.jobs.close()
        self.hosting.close()
        self._store.close()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do one control-plane operation.

        Raises SageMakerError with the code that SageMaker gives.
        """
        validate(operation, request)
        function = self._operations.get(operation)
        if function is None:
            offered = ", ".join(sorted(self._operations))
            raise SageMakerError(
                "UnknownOperationException", f"The laptop's SageMaker does not offer {operation}. It offers: {offered}"
            )
        self._check_role(request)
        return function(_without_nulls(request))

    def _check_role(self, request: Mapping[str, Any]) -> None:
        """SageMaker takes on the role of a job or a model when it is created, or refuses to create it."""
        role = request.get("RoleArn") or request.get("ExecutionRoleArn")
        if role:
            try:
                self._surroundings.credentials(str(role))
            except RefusedError as error:
                raise SageMakerError("ValidationException", str(error)) from error

    def invoke_endpoint(self, name: str, headers: Mapping[str, str], body: bytes) -> Invocation:
        """Ask an endpoint.

        Raises SageMakerError: ValidationError, ModelError, ServiceUnavailable, ThrottlingException.
        """
        return self.hosting.runtime.invoke(name, headers, body)

    def interrupt(self, job_name: str) -> None:
        """Take the spot instance away from a running training job."""
        self.jobs.interrupt(job_name)


def _without_nulls(value: Any) -> Any:
    """JSON's null is AWS's absent."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list | tuple) else value
