"""Deployment configurations, and the endpoints that they are tried on."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import config, model, serve
from tests.contract.sagemaker_service import Own

FOR_EVER: Final = 3600
ALARMS: Final = {"Alarms": [{"AlarmName": "errors"}]}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def blue_green(routing: str, wait: int, *, bake: int = 0, **rest: Any) -> dict[str, Any]:
    traffic = {"Type": routing, "WaitIntervalInSeconds": wait, **rest}
    policy = {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": bake}
    return {"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": ALARMS}


def canary(wait: int, value: int = 20, **rest: int) -> dict[str, Any]:
    return blue_green("CANARY", wait, CanarySize=percent(value), **rest)


def rolling(wait: int, **sizes: dict[str, Any]) -> dict[str, Any]:
    policy = {"MaximumBatchSize": count(1), "WaitIntervalInSeconds": wait, **sizes}
    return {"RollingUpdatePolicy": policy, "AutoRollbackConfiguration": ALARMS}


@pytest.fixture
def served(own: Own) -> Own:
    """An endpoint that serves `old` with c, and two more configurations, of `new`."""
    for name in ("old", "new"):
        model(own, name)
    for name, served_by in (("c", "old"), ("c2", "new"), ("c3", "new")):
        config(own, name, make.variant("main", ModelName=served_by))
    serve(own, "c")
    return own


@pytest.fixture
def wide(own: Own) -> Own:
    """An endpoint of two instances, and a configuration of two of the new model."""
    for name in ("old", "new"):
        model(own, name)
    config(own, "c", make.variant("main", ModelName="old", InitialInstanceCount=2))
    config(own, "c2", make.variant("main", ModelName="new", InitialInstanceCount=2))
    serve(own, "c")
    return own
