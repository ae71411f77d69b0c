"""SageMaker endpoints: what one serves or is about to serve, and asking it."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated
from passerelle.aws.predictions import NO_CAPACITY
from passerelle.contracts.prediction import OWN_REQUEST
from passerelle.domain.requests.components import ServedComponent
from passerelle.errors import JobFailedError, TransientError

#: Statuses in which UpdateEndpoint is refused (API reference, DescribeEndpoint).
_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def current_config(endpoint: str, wanted: str) -> str | None:
    """Return the configuration that an endpoint uses or is being given, None when there is no endpoint.

    A Failed one can only be deleted (API reference, DescribeEndpoint), so it is.

    Raises TransientError while the endpoint is deleted, or changes to another configuration than the wanted one.
    """
    with translated(f"endpoint {endpoint}"):
        try:
            found = client("sagemaker").describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        status, config = found["EndpointStatus"], str(found["EndpointConfigName"])
        if status == "Failed":
            client("sagemaker").delete_endpoint(EndpointName=endpoint)
            raise TransientError(f"Endpoint {endpoint} had failed ({found.get('FailureReason')}); it is being deleted.")
    if status not in _CHANGING:
        return config
    coming = (found.get("PendingDeploymentSummary") or {}).get("EndpointConfigName", config)
    if coming == wanted and status not in ("Deleting", "RollingBack"):
        return wanted
    raise TransientError(f"Endpoint {endpoint} is {status} ({coming}) and cannot be changed until that is over.")


def describe_config(name: str) -> dict[str, Any]:
    """Return an endpoint configuration as SageMaker describes it."""
    with translated(f"endpoint configuration {name}"):
        found: dict[str, Any] = client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
        return found


def current_component(name: str, wanted: str) -> ServedComponent | None:
    """Return what an inference component serves or is being given, None when there is none.

    A Failed one answers nobody, so it is deleted.

    Raises TransientError while it is deleted, or changes to another model than the wanted one.
    """
    with translated(f"inference component {name}"):
        try:
            found = client("sagemaker").describe_inference_component(InferenceComponentName=name)
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        status, model = found["InferenceComponentStatus"], str(found["Specification"].get("ModelName", ""))
        if status == "Failed":
            client("sagemaker").delete_inference_component(InferenceComponentName=name)
            raise TransientError(f"Component {name} had failed ({found.get('FailureReason')}); it is being deleted.")
    if status == "Deleting" or (status != "InService" and model != wanted):
        raise TransientError(f"Component {name} is {status} ({model}) and cannot be changed until that is over.")
    return ServedComponent(model_name=model, copies=int(found["RuntimeConfig"].get("DesiredCopyCount", 0)))


def ask(endpoint: str, body: bytes, *, component: str | None = None, variant: str | None = None) -> Any:
    """Return the answer of an endpoint, or of its component or variant, to a JSON body, as bytes.

    The request is the platform's own: it is captured or logged as any, and not recorded as a prediction.

    Raises JobFailedError when its container refuses or fails, TransientError when it is not ready yet.
    """
    named = {"InferenceComponentName": component} if component else {}
    named |= {"TargetVariant": variant} if variant else {}
    try:
        with translated(f"endpoint {endpoint}"):
            answer = client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint,
                Body=body,
                ContentType="application/json",
                Accept="application/json",
                InferenceId=OWN_REQUEST,
                **named,
            )
            return answer["Body"].read()
    except ClientError as error:
        if NO_CAPACITY in str(error):
            raise TransientError(f"Endpoint {endpoint} sleeps, and wakes now: {error}") from error
        raise JobFailedError(f"Endpoint {endpoint} does not answer the model's own example: {error}") from error
