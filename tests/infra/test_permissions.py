"""What holds of every policy. That each role may do what it needs, and nothing else, is in test_iam_proof."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.infra.conftest import ROOT

pytestmark = pytest.mark.xdist_group("infra")
#: Production's.
ACCOUNT = yaml.safe_load((ROOT / "environments" / "prod.yaml").read_text())["account"]
Find = Callable[[str, str], dict[str, dict[str, Any]]]

#: AWS offers no resource for these (service authorization reference).
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    *(f"sagemaker:List{what}" for what in ("TrainingJobs", "ProcessingJobs", "TransformJobs", "Endpoints")),
    "application-autoscaling:DescribeScalingActivities",
    "tag:GetResources",
    *(f"ec2:{action}NetworkInterface" for action in ("Create", "Delete")),
    *(f"ec2:{action}NetworkInterfacePermission" for action in ("Create", "Delete")),
    *(f"ec2:Describe{what}" for what in ("NetworkInterfaces", "Subnets", "Vpcs", "DhcpOptions", "SecurityGroups")),
    *(f"ssmmessages:{what}{kind}Channel" for what in ("Create", "Open") for kind in ("Control", "Data")),
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
    "ecr:GetAuthorizationToken",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_only_actions_that_know_no_resource_are_allowed_on_everything(resources: Find) -> None:
    for name, policy in resources("prod", "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if "*" in _list(statement["Resource"]):
                assert set(_list(statement["Action"])) <= WITHOUT_RESOURCE, name


def test_who_sends_to_encrypted_topics_and_queues_may_use_the_key_for_this_account_only(resources: Find) -> None:
    # From EventBridge to a topic AWS passes no source, so the topic itself is what is named (SNS developer guide).
    (key,) = resources("prod", "AWS::KMS::Key").values()
    found: dict[str, list[Any]] = {}
    for statement in key["Properties"]["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"] and "kms:Encrypt" not in statement["Action"]:
            assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
            for service in _list(statement["Principal"]["Service"]):
                found.setdefault(service, []).append(statement["Condition"])
    ours = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    topics = {"StringLike": {"kms:EncryptionContext:aws:sns:topicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:*"}}
    senders = ("cloudwatch", "scheduler", "budgets", "costalerts")
    assert found == {f"{name}.amazonaws.com": [ours] for name in senders} | {"events.amazonaws.com": [ours, topics]}


def test_a_role_is_handed_to_one_service_only(resources: Find) -> None:
    for name, policy in resources("prod", "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if "iam:PassRole" in _list(statement["Action"]):
                assert isinstance(statement["Condition"]["StringEquals"]["iam:PassedToService"], str), name


def test_the_key_leaves_to_policies_of_roles_who_may_use_it(resources: Find) -> None:
    # The proof of roles would prove nothing of the key if its own policy did not.
    (key,) = resources("prod", "AWS::KMS::Key").values()
    first = key["Properties"]["KeyPolicy"]["Statement"][0]
    assert (first["Effect"], first["Action"]) == ("Allow", "kms:*")
    assert first["Principal"]["AWS"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_services_assume_roles_for_this_account_only(resources: Find) -> None:
    for name, role in resources("prod", "AWS::IAM::Role").items():
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            service = statement["Principal"].get("Service")  # GitHub's roles trust no service
            if service in ("sagemaker.amazonaws.com", "scheduler.amazonaws.com"):
                assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}, name
