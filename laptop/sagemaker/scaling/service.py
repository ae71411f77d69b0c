"""Application Auto Scaling for SageMaker: scalable targets, policies, activities and tags."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

import botocore.session

from laptop.sagemaker.arns import now
from laptop.sagemaker.errors import SageMakerError, invalid
from laptop.sagemaker.scaling.capacity import Call, Resource, scaling_error
from laptop.sagemaker.scaling.rules import check_policy, check_target
from laptop.sagemaker.store import Document, Store
from laptop.sagemaker.validation import shape_errors
from laptop.settings import LaptopSettings

TARGET: Final = "scalable-target"
POLICY: Final = "scaling-policy"
ACTIVITY: Final = "scaling-activity"
MAX_TAGS: Final = 50
PAGE: Final = 50
#: Activities are kept for six weeks on AWS; the laptop keeps so many.
MAX_ACTIVITIES: Final = 1_000
_NO_SUSPENSION: Final = dict.fromkeys(
    ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
)
_KEYS: Final = ("ServiceNamespace", "ResourceId", "ScalableDimension")
#: The service-linked role that AWS makes itself.
_ROLE: Final = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
Operation = Callable[[dict[str, Any]], dict[str, Any]]


@cache
def service_model() -> Any:
    """Return botocore's model of Application Auto Scaling; loaded once."""
    return botocore.session.get_session().get_service_model("application-autoscaling")


class Scaling:
    """The operations. What they ask for is done by `loop`."""

    def __init__(self, settings: LaptopSettings, store: Store, sagemaker: Call) -> None:
        self._settings, self._store, self._sagemaker = settings, store, sagemaker
        self._operations: dict[str, Operation] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": lambda request: self._list(TARGET, "ScalableTargets", request),
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingPolicies": lambda request: self._list(POLICY, "ScalingPolicies", request),
            "DescribeScalingActivities": lambda request: self._list(ACTIVITY, "ScalingActivities", request),
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": lambda request: {"Tags": self._tagged(request["ResourceARN"])["_tags"]},
        }

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do one operation.

        Raises SageMakerError with the code that Application Auto Scaling gives.
        """
        if operation not in service_model().operation_names:
            raise SageMakerError("UnknownOperationException", f"Application Auto Scaling has no operation {operation}")
        errors = shape_errors(service_model().operation_model(operation).input_shape, request)
        if errors:
            raise invalid(f"{len(errors)} validation error(s) detected: {'; '.join(errors)}")
        if operation not in self._operations:
            raise invalid(f"The laptop's Application Auto Scaling does not offer {operation}")
        if request.get("ServiceNamespace", "sagemaker") != "sagemaker":
            raise invalid(f"The laptop scales sagemaker alone, not {request['ServiceNamespace']}")
        return self._operations[operation]({key: value for key, value in request.items() if value is not None})

    def targets(self) -> list[Document]:
        return self._store.all(TARGET)

    def policies(self, target: Mapping[str, Any]) -> list[Document]:
        """Return the policies of a target."""
        return [policy for policy in self._store.all(POLICY) if _same(policy, target)]

    def note(self, target: Mapping[str, Any], cause: str, description: str, **rest: Any) -> None:
        """Write an activity down."""
        moment, number = now(), uuid.uuid4()
        document = {key: target[key] for key in _KEYS} | {
            "ActivityId": str(number), "Description": description, "Cause": cause, "StartTime": moment,
            "EndTime": moment, "StatusCode": "Successful", **rest,
        }  # fmt: skip
        self._store.create(ACTIVITY, f"{moment:%Y%m%d%H%M%S%f}-{number}", document)
        for old in sorted(self._store.all(ACTIVITY), key=lambda item: item["StartTime"])[:-MAX_ACTIVITIES]:
            self._store.delete(ACTIVITY, f"{old['StartTime']:%Y%m%d%H%M%S%f}-{old['ActivityId']}")

    def acted(self, policy: Mapping[str, Any], direction: str) -> None:
        """Keep when a policy last scaled out or in: its cool-down begins."""

        def mutate(document: Document) -> None:
            document[f"_{direction}"] = now()

        self._store.update(POLICY, _policy_key(policy), mutate)

    def forget(self, resource_prefix: str) -> None:
        """Its endpoint is deleted: "Application Auto Scaling deregisters those models without notifying you"."""
        for target in self.targets():
            if target["ResourceId"].startswith(resource_prefix):
                self._deregister(target)

    # Targets

    def _register(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = Resource.parse(request["ResourceId"], request["ScalableDimension"])
        capacity = resource.read(self._sagemaker)
        old = self._store.get(TARGET, _key(request))
        number = uuid.uuid4().hex
        account = f"{self._settings.region}:{self._settings.account_id}"
        fresh: Document = {key: request[key] for key in _KEYS} | {
            "ScalableTargetARN": f"arn:aws:application-autoscaling:{account}:scalable-target/{number}",
            "RoleARN": f"arn:aws:iam::{self._settings.account_id}:role/{_ROLE}",
            "CreationTime": now(), "SuspendedState": _NO_SUSPENSION, "_tags": request.get("Tags", {}),
        }  # fmt: skip
        target = old or fresh
        if old and request.get("Tags"):
            raise invalid("Tags can be given only when a scalable target is registered first; use TagResource")
        _check_tags(target["_tags"])
        target |= {key: request[key] for key in ("MinCapacity", "MaxCapacity") if key in request}
        target["SuspendedState"] = target["SuspendedState"] | request.get("SuspendedState", {})
        check_target(target, resource, capacity)
        if old:
            self._store.update(TARGET, _key(request), lambda _: target)
        else:
            self._store.create(TARGET, _key(request), target)
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _deregister(self, request: Mapping[str, Any]) -> dict[str, Any]:
        target = self._need(request)
        for policy in self.policies(target):
            self._store.delete(POLICY, _policy_key(policy))
        self._store.delete(TARGET, _key(target))
        return {}

    def _need(self, request: Mapping[str, Any]) -> Document:
        target = self._store.get(TARGET, _key(request))
        if target is None:
            raise scaling_error(
                "ObjectNotFoundException",
                "No scalable target registered for service namespace: sagemaker, "
                f"resource ID: {request['ResourceId']}, scalable dimension: {request['ScalableDimension']}",
            )
        return target

    # Policies

    def _put_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = Resource.parse(request["ResourceId"], request["ScalableDimension"])
        self._need(request)
        old = self._store.get(POLICY, _policy_key(request))
        policy = request | {"PolicyType": request.get("PolicyType") or (old or {}).get("PolicyType")}
        check_policy(policy, resource)
        if old:
            kept = {key: old[key] for key in ("PolicyARN", "CreationTime", "_out", "_in") if key in old}
            self._store.update(POLICY, _policy_key(request), lambda _: policy | kept)
            return {"PolicyARN": old["PolicyARN"], "Alarms": []}
        place = f"{self._settings.region}:{self._settings.account_id}:scalingPolicy:{uuid.uuid4()}"
        name = f"resource/sagemaker/{request['ResourceId']}:policyName/{request['PolicyName']}"
        made = {"PolicyARN": f"arn:aws:autoscaling:{place}:{name}", "CreationTime": now()}
        self._store.create(POLICY, _policy_key(request), policy | made)
        return {"PolicyARN": made["PolicyARN"], "Alarms": []}

    def _delete_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._store.get(POLICY, _policy_key(request)) is None:
            raise scaling_error("ObjectNotFoundException", f"No scaling policy found: {request['PolicyName']}")
        self._store.delete(POLICY, _policy_key(request))
        return {}

    def _list(self, kind: str, result: str, request: Mapping[str, Any]) -> dict[str, Any]:
        filters = {
            "ResourceId": request.get("ResourceIds") or _one(request.get("ResourceId")),
            "ScalableDimension": _one(request.get("ScalableDimension")),
            "PolicyName": request.get("PolicyNames"),
        }
        found = [
            {key: value for key, value in document.items() if not key.startswith("_")}
            for document in self._store.all(kind)
            if all(document.get(key) in wanted for key, wanted in filters.items() if wanted)
        ]
        found.sort(key=lambda item: item.get("StartTime") or item["CreationTime"], reverse=kind == ACTIVITY)
        return _page(found, request, result)

    # Tags

    def _tagged(self, arn: str) -> Document:
        for target in self.targets():
            if target["ScalableTargetARN"] == arn:
                return target
        raise scaling_error("ResourceNotFoundException", f"No scalable target has the ARN {arn}")

    def _tag(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._retag(request["ResourceARN"], lambda tags: tags | request["Tags"])

    def _untag(self, request: dict[str, Any]) -> dict[str, Any]:
        gone = set(request["TagKeys"])
        return self._retag(
            request["ResourceARN"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )

    def _retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, Any]:
        target = self._tagged(arn)
        tags = change(target["_tags"])
        _check_tags(tags)
        self._store.update(TARGET, _key(target), lambda document: document | {"_tags": tags})
        return {}


def _page(found: list[Document], request: Mapping[str, Any], result: str) -> dict[str, Any]:
    """Return a page; a token is the place in the list where it goes on."""
    try:
        first = int(base64.b64decode(request.get("NextToken", "MA=="), validate=True))
    except (binascii.Error, ValueError) as error:
        raise scaling_error("InvalidNextTokenException", f"Invalid NextToken {request['NextToken']!r}") from error
    last = first + int(request.get("MaxResults", PAGE))
    answer: dict[str, Any] = {result: found[first:last]}
    return answer | ({"NextToken": base64.b64encode(str(last).encode()).decode()} if last < len(found) else {})


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise scaling_error("TooManyTagsException", f"A scalable target has at most {MAX_TAGS} tags, not {len(tags)}")


def _one(value: str | None) -> Iterable[str]:
    return [value] if value else []


def _key(document: Mapping[str, Any]) -> str:
    return f"{document['ResourceId']}|{document['ScalableDimension']}"


def _policy_key(document: Mapping[str, Any]) -> str:
    return f"{_key(document)}|{document['PolicyName']}"


def _same(policy: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    return _key(policy) == _key(target)
