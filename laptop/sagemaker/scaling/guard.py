"""What changes of endpoints mean to their scalable targets ("Update / delete endpoints that use auto scaling")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laptop.sagemaker.errors import invalid
from laptop.sagemaker.scaling.service import Scaling

Operation = Callable[[dict[str, Any]], dict[str, Any]]


def guarded(operations: Mapping[str, Operation], scaling: Scaling) -> dict[str, Operation]:
    """Return the operations that must know what is scaled."""

    def update(request: dict[str, Any]) -> dict[str, Any]:
        _check_update(operations, scaling, request)
        return operations["UpdateEndpoint"](request)

    def delete_endpoint(request: dict[str, Any]) -> dict[str, Any]:
        answer = operations["DeleteEndpoint"](request)
        scaling.forget(f"endpoint/{request['EndpointName']}/")
        return answer

    return {"UpdateEndpoint": update, "DeleteEndpoint": delete_endpoint}


def _check_update(operations: Mapping[str, Operation], scaling: Scaling, request: Mapping[str, Any]) -> None:
    """A variant that is scaled can neither be removed nor get another instance type; another model is allowed."""
    prefix = f"endpoint/{request['EndpointName']}/variant/"
    scaled = {item["ResourceId"].removeprefix(prefix) for item in scaling.targets()
              if item["ResourceId"].startswith(prefix)}  # fmt: skip
    if not scaled:
        return
    old = operations["DescribeEndpoint"]({"EndpointName": request["EndpointName"]})["EndpointConfigName"]
    before, after = (_types(operations, name) for name in (old, request["EndpointConfigName"]))
    changed = sorted(name for name in scaled if name not in after or after[name] != before.get(name, after[name]))
    if changed:
        raise invalid(
            f"The variant(s) {', '.join(changed)} must be deregistered as scalable targets with AWS Auto Scaling "
            "before they can be removed or have their instance type updated."
        )


def _types(operations: Mapping[str, Operation], config: str) -> dict[str, str | None]:
    found = operations["DescribeEndpointConfig"]({"EndpointConfigName": config})
    return {variant["VariantName"]: variant.get("InstanceType") for variant in found["ProductionVariants"]}
