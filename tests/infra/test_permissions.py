"""Who may do what. The laptop does not enforce IAM by default: a missing grant shows here, or in an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.infra.conftest import ROOT

pytestmark = pytest.mark.xdist_group("infra")
#: Production's.
ACCOUNT = yaml.safe_load((ROOT / "environments" / "prod.yaml").read_text())["account"]
Find = Callable[[str, str], dict[str, dict[str, Any]]]

TABLE = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"}
PROJECTS = {"ssm:GetParameter", "ssm:GetParametersByPath"}
ARCHIVE = {"s3:GetObject"}
#: Whose execution is gone does not hold the project's lock.
LOCK = {"states:DescribeExecution"}
#: Function -> what its step calls, beside logs, traces, the key, and the dead letter queue.
CALLS = {
    "ClaimDrop": {
        *TABLE, *PROJECTS, "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject", "states:StartExecution",
    },
    "ReconcileDrops": {
        *TABLE, *PROJECTS, "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "s3:PutObject",
        "states:StartExecution", "states:DescribeExecution",
    },
    "GatherDrop": {
        *TABLE, *PROJECTS, *ARCHIVE, "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject", "states:DescribeExecution",
    },
    "RecordDataset": {*TABLE, *PROJECTS, *ARCHIVE, *LOCK},
    "RecordTraining": {*TABLE, *PROJECTS, *ARCHIVE, *LOCK},
    "RecordEvaluation": {*TABLE, *LOCK, "s3:ListBucket", "s3:GetObject", "s3:PutObject"},
    "RegisterModel": {*TABLE, *LOCK, "s3:ListBucket", "s3:GetObject", "secretsmanager:GetSecretValue"},
    "CloseRun": {
        *TABLE, "states:GetExecutionHistory", "states:DescribeStateMachineForExecution", "lambda:GetFunctionConfiguration",
    },
    "FailRun": {*TABLE, "states:DescribeExecution"},
    "PlanDeployment": {*PROJECTS, *ARCHIVE, "sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"},
    "SmokeTest": {"s3:GetObject", "sagemaker:InvokeEndpoint"},
    "PromoteModel": {*TABLE, "secretsmanager:GetSecretValue"},
    "BuildImage": {"codebuild:StartBuild", "codebuild:BatchGetBuilds", "ecr:DescribeImages"},
    "UpgradeSchema": {"ecs:RunTask", "ecs:DescribeTasks", "iam:PassRole"},
}  # fmt: skip
#: Those in the network have its interfaces too.
EVERY_FUNCTION = ("logs:", "xray:", "kms:", "sqs:", "ec2:")
#: AWS offers no resource for these (service authorization reference).
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
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


def _statements(resources: Find, role: str) -> list[dict[str, Any]]:
    """Return the statements of the one role whose name begins with `role`."""
    policies = resources("prod", "AWS::IAM::Policy")
    found = [item for name, item in policies.items() if name.split("/")[1].startswith(role)]
    assert len(found) == 1, role
    return list(found[0]["Properties"]["PolicyDocument"]["Statement"])


@pytest.mark.parametrize("function", CALLS)
def test_a_function_may_do_what_its_step_calls_and_nothing_more(resources: Find, function: str) -> None:
    granted = {action for item in _statements(resources, f"{function}Role") for action in _list(item["Action"])}
    assert {action for action in granted if not action.startswith(EVERY_FUNCTION)} == CALLS[function]


def test_every_function_is_in_the_table_above(resources: Find) -> None:
    names = {name.split("/")[1] for name in resources("prod", "AWS::Lambda::Function")}
    assert {name for name in names if not name.startswith(tuple(f"{known}Function" for known in CALLS))} == set()
    assert len(names) == len(CALLS)


def test_who_reads_pinned_raw_objects_may_learn_that_one_is_gone(resources: Find) -> None:
    # Without s3:ListBucket, S3 answers 403 for a missing object, which no step takes for "gone".
    for role in ("ClaimDropRole", "GatherDropRole", "ReconcileDropsRole", "JobRole"):
        listed = [item for item in _statements(resources, role) if "s3:ListBucket" in _list(item["Action"])]
        assert "RawBucket" in json.dumps([item["Resource"] for item in listed]), role


def test_only_actions_that_know_no_resource_are_allowed_on_everything(resources: Find) -> None:
    for name, policy in resources("prod", "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if "*" in _list(statement["Resource"]):
                assert set(_list(statement["Action"])) <= WITHOUT_RESOURCE, name


def test_alarms_may_publish_to_the_encrypted_topic(resources: Find) -> None:
    # A topic policy replaces the default one, by which alarms of the account could publish.
    (policy,) = resources("prod", "AWS::SNS::TopicPolicy").values()
    allowed = [item for item in policy["Properties"]["PolicyDocument"]["Statement"] if item["Effect"] == "Allow"]
    assert [(item["Principal"], item["Action"]) for item in allowed] == [
        ({"Service": f"{service}.amazonaws.com"}, "sns:Publish") for service in ("cloudwatch", "events")
    ]
    assert allowed[0]["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT
    (key,) = resources("prod", "AWS::KMS::Key").values()
    users = json.dumps(key["Properties"]["KeyPolicy"])
    for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
        assert service in users


def test_the_deployment_may_grant_the_endpoint_its_key(resources: Find) -> None:
    granted = [item for item in _statements(resources, "DeployModelRole") if "kms:CreateGrant" in _list(item["Action"])]
    assert len(granted) == 1
    assert "*" not in _list(granted[0]["Resource"])


def test_services_assume_roles_for_this_account_only(resources: Find) -> None:
    for name, role in resources("prod", "AWS::IAM::Role").items():
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            service = statement["Principal"].get("Service")  # GitHub's roles trust no service
            if service in ("sagemaker.amazonaws.com", "scheduler.amazonaws.com"):
                assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}, name
