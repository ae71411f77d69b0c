"""An endpoint that scales to zero: instances without a model of their own, and the model as an inference component.

Developer guide, "Scale an endpoint to zero instances": MinInstanceCount 0, a target on the copies with minimum 0, and a
step policy that an alarm on NoCapacityInvocationFailures starts: target tracking alone never comes back from zero.
API reference, InferenceComponentRollingUpdatePolicy: a step is 5 to 50 percent of the copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.variants import VARIANT
from passerelle.domain.project.serving import LONGEST_UPDATE_SECONDS, START_SECONDS, Serving
from passerelle.domain.requests.endpoint_alarms import SEPARATOR

Request = dict[str, Any]
#: A copy answers one request at a time (docs/serving.md, OMP_NUM_THREADS).
CORES_OF_A_COPY: Final = 1.0
_STEP_PERCENT: Final = 50
_WAKE: Final = "wake"
#: One copy is enough to answer; target tracking adds the others.
_WAKE_COPIES: Final = 1
_WAKE_COOLDOWN_SECONDS: Final = 60
_ALARM_PERIOD_SECONDS: Final = 30


@dataclass(frozen=True, kw_only=True)
class ServedComponent:
    """An inference component as it is now, or is becoming: the model, and how many copies load has brought about."""

    model_name: str
    copies: int


def host_config(serving: Serving, *, role_arn: str, kms_key_arn: str, network: Mapping[str, Any]) -> Request:
    """Return the configuration of an endpoint that holds components, without its name.

    It does not change with the model. While copies are replaced, a step of new ones needs instances beside the old.
    """
    variant: Request = {
        "VariantName": VARIANT,
        "InstanceType": serving.instance_type,
        "InitialInstanceCount": serving.instances,
        "ManagedInstanceScaling": {
            "Status": "ENABLED",
            "MinInstanceCount": 0,
            "MaxInstanceCount": serving.most_instances + _step_of(serving.most_instances),
        },
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }
    key = {"KmsKeyId": kms_key_arn} if kms_key_arn else {}
    return {"ProductionVariants": [variant], "ExecutionRoleArn": role_arn, **network, **key}


def _step_of(copies: int) -> int:
    return -(-copies * _STEP_PERCENT // 100)


def component(name: str, *, endpoint: str, model_name: str, serving: Serving) -> Request:
    """Return CreateInferenceComponent."""
    needs = {"NumberOfCpuCoresRequired": CORES_OF_A_COPY, "MinMemoryRequiredInMb": serving.memory_mb}
    return {
        "InferenceComponentName": name,
        "EndpointName": endpoint,
        "VariantName": VARIANT,
        "Specification": {"ModelName": model_name, "ComputeResourceRequirements": needs},
        "RuntimeConfig": {"CopyCount": serving.instances},
    }


def component_update(
    wanted: Mapping[str, Any],
    served: ServedComponent,
    serving: Serving,
    alarm_names: Sequence[str],
    *,
    longest_wait_seconds: int,
) -> Request:
    """Return UpdateInferenceComponent: copies are replaced step by step, and alarms give the old ones back.

    It keeps the copies that load has brought about; one that sleeps wakes, so that the new model can be tried.
    """
    wait = min(serving.rollout.wait_minutes * 60, longest_wait_seconds)
    steps = -(-100 // _STEP_PERCENT)
    return {
        "InferenceComponentName": wanted["InferenceComponentName"],
        "Specification": wanted["Specification"],
        "RuntimeConfig": {"CopyCount": max(1, served.copies)},
        "DeploymentConfig": {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": _STEP_PERCENT},
                "WaitIntervalInSeconds": wait,
                "MaximumExecutionTimeoutInSeconds": min(steps * (wait + START_SECONDS), LONGEST_UPDATE_SECONDS),
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarm_names]},
        },
    }


def copies_target(name: str) -> Request:
    """Return what names a component to Application Auto Scaling."""
    dimension = "sagemaker:inference-component:DesiredCopyCount"
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{name}",
        "ScalableDimension": dimension,
    }


def wake(name: str, endpoint: str, tags: list[dict[str, str]]) -> dict[str, Request]:
    """Return PutScalingPolicy that adds a copy, and PutMetricAlarm that calls for it but for the policy's ARN."""
    policy = copies_target(name) | {
        "PolicyName": f"{name}-{_WAKE}",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": _WAKE_COOLDOWN_SECONDS,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": _WAKE_COPIES}],
        },
    }
    alarm = {
        "AlarmName": SEPARATOR.join((endpoint, _WAKE, "copies")),
        "AlarmDescription": f"{endpoint} is asked while it sleeps, and wakes. See docs/operations.md, Alarms.",
        "Namespace": "AWS/SageMaker",
        "MetricName": "NoCapacityInvocationFailures",
        "Dimensions": [{"Name": "InferenceComponentName", "Value": name}],
        "Statistic": "Maximum",
        "Period": _ALARM_PERIOD_SECONDS,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "missing",
        "Tags": tags,
    }
    return {"policy": policy, "alarm": alarm}
