"""SageMaker endpoints: what one uses now, and asking it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated
from passerelle.errors import JobFailedError


def current_config(endpoint: str) -> str | None:
    """Return the configuration that an endpoint uses, None when there is no endpoint.

    A Failed one can only be deleted (DescribeEndpoint), so it is, and counts as none.
    """
    with translated(f"endpoint {endpoint}"):
        try:
            found = client("sagemaker").describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        if found["EndpointStatus"] == "Failed":
            client("sagemaker").delete_endpoint(EndpointName=endpoint)
            return None
        return str(found["EndpointConfigName"])


def ask(endpoint: str, body: bytes) -> Any:
    """Return an endpoint's answer to a JSON body, as bytes.

    Raises JobFailedError when its container refuses or fails.
    """
    try:
        with translated(f"endpoint {endpoint}"):
            answer = client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType="application/json", Accept="application/json"
            )
            return answer["Body"].read()
    except ClientError as error:
        raise JobFailedError(f"Endpoint {endpoint} does not answer the model's own example: {error}") from error
