"""What the meter of costs asks: an account with one of each thing that is metered, all of it of flights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from unittest import mock

from passerelle.aws.ledger_files import LedgerFiles
from passerelle.contracts import tags
from passerelle.settings import MeterCostsSettings
from passerelle.steps.meter_costs import meter_costs
from tests.infra.requests.code_paths import Place

#: When everything ended that AWS is made to tell of: the moment of sample answers.
MOMENT: Final = datetime(2026, 11, 21, 5, tzinfo=UTC)
_ENDPOINT: Final = "passerelle-prod-flights"
_MACHINE: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
_FUNCTION: Final = "arn:aws:lambda:us-east-1:123456789012:function:passerelle-prod-ClaimDrop"
_TAGS: Final = {tags.PROJECT: "flights", tags.ENVIRONMENT: "prod", tags.RUN: "r1"}
_SPARK: Final = {"jobRunId": "00example0000002", "arn": "a", "createdAt": MOMENT, "updatedAt": MOMENT, "tags": _TAGS}
_DEFINITION: Final = {"StartAt": "Only", "States": {"Only": {"Type": "Succeed"}}}
#: Answers beside those of `Place`.
_ANSWERS: Final[Mapping[str, Any]] = {
    "sagemaker_listtags": {"Tags": [{"Key": key, "Value": value} for key, value in _TAGS.items()]},
    "sagemaker_listendpoints": {"Endpoints": [{"EndpointName": _ENDPOINT, "EndpointStatus": "InService"}]},
    **{
        f"sagemaker_list{kind.lower()}jobs": {
            f"{kind}JobSummaries": [
                {
                    f"{kind}JobName": "j",
                    f"{kind}JobArn": f"arn:aws:sagemaker:us-east-1:123456789012:{kind.lower()}-job/j",
                    f"{kind}EndTime": MOMENT,
                }
            ]
        }
        for kind in ("Training", "Processing", "Transform")
    },
    "sagemaker_describemodel": {"ModelArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m"},
    "sagemaker_describeendpoint": {
        "EndpointName": _ENDPOINT,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{_ENDPOINT}",
        "EndpointConfigName": "c",
        "CreationTime": MOMENT,
        "ProductionVariants": [{"VariantName": name, "CurrentInstanceCount": 1} for name in ("champion", "other")],
    },
    "sagemaker_describeendpointconfig": {
        "ProductionVariants": [
            {"VariantName": "champion", "InstanceType": "ml.m5.large"},
            {"VariantName": "other", "InstanceType": "ml.m5.large", "ModelName": "m"},
        ]
    },
    "resourcegroupstaggingapi_getresources": {"ResourceTagMappingList": [{"ResourceARN": _FUNCTION}]},
    "stepfunctions_describestatemachineforexecution": {"definition": json.dumps(_DEFINITION)},
    "stepfunctions_getexecutionhistory": {"events": []},
    "emr_serverless_listjobruns": {"jobRuns": [{"id": "00example0000002", "state": "SUCCESS", "updatedAt": MOMENT}]},
    "emr_serverless_getjobrun": {"jobRun": _SPARK},
}


def ledger(place: Place) -> None:
    """A day with jobs of each kind, variants that scale their copies or instances, calls, and a Spark job."""
    function = place.deployed.handler("meter_costs")
    assert function is not None
    told = MeterCostsSettings.from_env(place.deployed.environ(function))
    other = {"watch_project_arn": _MACHINE, "spark_application": "00example0000001"}
    with ExitStack() as answers:
        for operation, answer in _ANSWERS.items():
            made = mock.Mock(return_value=answer)
            answers.enter_context(mock.patch.object(place, f"_{operation}", made, create=True))
        answers.enter_context(mock.patch.object(place, "_cloudwatch_getmetricdata", _metrics, create=True))
        # Whether the files can be read is no matter here.
        answers.enter_context(mock.patch.object(LedgerFiles, "read", return_value=[]))
        meter_costs({"day": f"{MOMENT:%Y-%m-%d}"}, replace(told, **other), now=MOMENT.replace(day=22))


def _metrics(request: Mapping[str, Any]) -> Any:
    return {"MetricDataResults": [{"Id": query["Id"], "Values": [1.0]} for query in request["MetricDataQueries"]]}
