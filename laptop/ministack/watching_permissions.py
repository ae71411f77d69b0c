"""What a state must be allowed to put alarms and to scale endpoints (Service Authorization Reference)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from laptop.ministack.sagemaker_permissions import Permission
from laptop.settings import LaptopSettings


def alarm_permissions(settings: LaptopSettings, operation: str, request: Mapping[str, Any]) -> Iterator[Permission]:
    """Yield what an operation of CloudWatch needs: its action on each alarm that it names."""
    place = f"arn:aws:cloudwatch:{settings.region}:{settings.account_id}:alarm:"
    names = [request["AlarmName"]] if "AlarmName" in request else request.get("AlarmNames", ["*"])
    for name in names:
        yield Permission(f"cloudwatch:{operation}", f"{place}{name}")


def scaling_permissions(settings: LaptopSettings, operation: str, request: Mapping[str, Any]) -> Iterator[Permission]:
    """Yield what an operation of Application Auto Scaling needs: its action on targets, which have no names yet."""
    service = "application-autoscaling"
    conditions = {
        f"{service}:{key}": str(request[member])
        for key, member in (("service-namespace", "ServiceNamespace"), ("scalable-dimension", "ScalableDimension"))
        if member in request
    }
    targets = f"arn:aws:{service}:{settings.region}:{settings.account_id}:scalable-target/*"
    yield Permission(f"{service}:{operation}", targets, conditions)
