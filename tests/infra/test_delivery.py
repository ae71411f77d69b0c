"""What GitHub's jobs may do in an environment, against what the CDK and the command line really call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from cli.main import cli
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.runs import RunFile, RunRecord, StageRecord

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]
Synthesised = Callable[[str], Path]
DEPLOYED = ("dev", "staging", "prod")
ISSUER = "token.actions.githubusercontent.com"
#: What S3 and DynamoDB ask KMS for in the caller's name; boto3 takes back a large upload that fails.
WITH_IT = {
    "s3:PutObject": {"kms:GenerateDataKey", "s3:AbortMultipartUpload"},
    "s3:GetObject": {"kms:Decrypt"},
    "dynamodb:Query": {"kms:Decrypt"},
}
#: What an operation is called in policies.
ACTIONS = {"s3:HeadObject": "s3:GetObject"}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _role(resources: Find, environment: str, purpose: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the trust statement and the permissions of one of the roles."""
    found = {
        name: role["Properties"]
        for name, role in resources(environment, "AWS::IAM::Role").items()
        if role["Properties"].get("RoleName") == f"passerelle-{environment}-github-{purpose}"
    }
    ((name, role),) = found.items()
    statements = [
        statement
        for policy in resources(environment, "AWS::IAM::Policy").values()
        if policy["Properties"]["Roles"] == [{"Ref": name.split("/")[1]}]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert "ManagedPolicyArns" not in role
    return trust, statements


def _granted(statements: list[dict[str, Any]]) -> set[str]:
    return {action for statement in statements for action in _list(statement["Action"])}


@pytest.mark.parametrize("environment", DEPLOYED)
@pytest.mark.parametrize("purpose", ["deploy", "smoke"])
def test_who_changes_an_environment_is_a_job_of_its_github_environment_and_of_the_release_branch(
    resources: Find, environment: str, purpose: str
) -> None:
    trust, _ = _role(resources, environment, purpose)
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"] == {
        "StringEquals": {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": [f"repo:example/passerelle:environment:{environment}"],
            f"{ISSUER}:ref": "refs/heads/main",
        }
    }


@pytest.mark.parametrize("environment", DEPLOYED)
def test_a_pull_request_may_compare_templates_of_its_environment_and_nothing_else(
    resources: Find, environment: str
) -> None:
    trust, statements = _role(resources, environment, "diff")
    assert trust["Condition"]["StringEquals"] == {
        f"{ISSUER}:aud": "sts.amazonaws.com",
        f"{ISSUER}:sub": ["repo:example/passerelle:pull_request", "repo:example/passerelle:ref:refs/heads/main"],
    }
    assert _granted(statements) == {"cloudformation:DescribeStacks", "cloudformation:GetTemplate"}
    (resource,) = [arn for statement in statements for arn in _list(statement["Resource"])]
    assert resource.endswith(f":stack/passerelle-{environment}-*/*")


@pytest.mark.parametrize("environment", DEPLOYED)
def test_the_deploy_role_takes_on_exactly_the_roles_that_the_assembly_names(
    synthesised: Synthesised, resources: Find, environment: str
) -> None:
    _, statements = _role(resources, environment, "deploy")
    assert _granted(statements) == {"sts:AssumeRole"}
    allowed = {arn for statement in statements for arn in _list(statement["Resource"])}
    documents = [synthesised(environment) / "manifest.json", *synthesised(environment).glob("*.assets.json")]
    named = {
        arn.replace("${AWS::Partition}", "aws")
        for path in documents
        for arn in re.findall(r'"(?:assumeRoleArn|arn)": *"([^"]*:role/cdk-[^"]*)"', path.read_text())
    }
    assert len(named) == 3
    assert allowed == named


def test_each_account_has_one_provider_and_every_role_trusts_that_one(resources: Find) -> None:
    for environment in DEPLOYED:
        ((name, provider),) = resources(environment, "AWS::IAM::OIDCProvider").items()
        assert provider["Properties"]["Url"] == f"https://{ISSUER}"
        assert provider["Properties"]["ClientIdList"] == ["sts.amazonaws.com"]
        for purpose in ("deploy", "diff", "smoke"):
            trust, _ = _role(resources, environment, purpose)
            assert trust["Principal"] == {"Federated": {"Ref": name.split("/")[1]}}
    assert resources("laptop", "AWS::IAM::OIDCProvider") == {}


def test_only_where_a_deployment_is_tried_with_data_may_github_write_data(resources: Find) -> None:
    for environment, writes in (("dev", True), ("staging", False), ("prod", False)):
        _, statements = _role(resources, environment, "smoke")
        assert ("s3:PutObject" in _granted(statements)) is writes
        for statement in statements:
            if "s3:PutObject" in _list(statement["Action"]):
                assert "/flights/*" in json.dumps(statement["Resource"])


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Deploy what the command line finds into a moto account, and collect the actions that it then asks for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    actions: set[str] = set()

    def listen(model: Any, **_: Any) -> None:
        action = f"{model.service_model.signing_name}:{model.name}"
        actions.add(ACTIONS.get(action, action))

    def on_aws(environment: str) -> DeployedPlatform:
        session = boto3.Session()
        session.events.register("before-call", listen)
        return DeployedPlatform(environment, session)

    monkeypatch.setattr(DeployedPlatform, "on_aws", on_aws)
    with mock_aws():
        _deploy()
        yield actions


def _deploy() -> None:
    boto3.client("s3").create_bucket(Bucket="raw")
    boto3.client("dynamodb").create_table(
        TableName="runs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    parameters = {
        naming.project_parameter("dev", "flights"): "{}",
        naming.resource_parameter("dev", "raw-bucket"): "raw",
        naming.resource_parameter("dev", "runs-table"): "runs",
    }
    for name, value in parameters.items():
        boto3.client("ssm").put_parameter(Name=name, Value=value, Type="String")
    moment = "2026-11-21T10:00:00.000+00:00"
    stage = StageRecord(
        stage="prepare", status="done", started_at=moment, ended_at=moment, job_name="flights-prepare-1"
    )
    record = RunRecord(
        project="flights",
        run_id="r20261121100000-abcdef",
        attempt=1,
        status="succeeded",
        created_at=moment,
        updated_at=moment,
        files=(RunFile(key="flights/smoke.csv", version_id=None, size=4, sha256="0" * 64, outcome="accepted"),),
        stages=(stage,),
    )
    RunsTable(boto3.client("dynamodb"), "runs").save(record)


def _needed(called: set[str]) -> set[str]:
    return called.union(*(WITH_IT.get(action, set()) for action in called))


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["--env", "dev", "--json", *arguments])


def test_the_smoke_role_may_do_what_status_and_predict_ask_and_nothing_more(
    resources: Find, called: set[str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    assert _run("status").exit_code == 0
    _run("predict", "flights", "--file", str(rows))
    _, statements = _role(resources, "staging", "smoke")
    assert _granted(statements) == _needed(called)


def test_the_smoke_role_of_dev_may_also_drop_a_file_and_follow_its_run(
    resources: Find, called: set[str], tmp_path: Path
) -> None:
    rows = tmp_path / "smoke.csv"
    rows.write_text("a\n1\n")
    dropped = _run("drop", "flights", str(rows))
    assert (dropped.exit_code, dropped.exception) == (0, None)
    assert json.loads(dropped.stdout)["runs"][0]["status"] == "succeeded"
    _run("status")
    _run("predict", "flights", "--file", str(rows))
    _, statements = _role(resources, "dev", "smoke")
    assert _granted(statements) == _needed(called)
