"""Application Auto Scaling is there for boto3 and for state machines, with its own errors."""

from __future__ import annotations

from typing import Any

from tests.laptop_platform import LaptopPlatform

PLACE = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/nobody/variant/main",
         "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip


BOUNDS = {"MinCapacity": 1, "MaxCapacity": 2}


def test_boto3_reads_answers_and_errors(embedded_aws: LaptopPlatform) -> None:
    client = embedded_aws.client("application-autoscaling")
    assert client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    for operation, request, error in (
        (client.deregister_scalable_target, PLACE, client.exceptions.ObjectNotFoundException),
        (client.register_scalable_target, PLACE | BOUNDS, client.exceptions.ValidationException),
    ):
        try:
            operation(**request)
        except error:
            continue
        raise AssertionError(f"{operation.__name__} was not refused")


def test_a_state_machine_catches_the_errors_by_their_names(embedded_aws: LaptopPlatform) -> None:
    states: dict[str, Any] = {
        "Deregister": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:applicationautoscaling:deregisterScalableTarget",
            "Arguments": PLACE,
            "Catch": [{"ErrorEquals": ["ApplicationAutoScaling.ObjectNotFoundException"], "Next": "NotScaled"}],
            "End": True,
        },
        "NotScaled": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:applicationautoscaling:describeScalableTargets",
            "Arguments": {"ServiceNamespace": "sagemaker"},
            "End": True,
        },
    }
    found = embedded_aws.finish(embedded_aws.start(embedded_aws.create_machine(states)))
    assert (found["status"], found["output"]) == ("SUCCEEDED", '{"ScalableTargets": []}'), found
