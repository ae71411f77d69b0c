"""`passerelle doctor --env dev` as people start it, against the services that the embedded AWS has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.account import load_environment
from passerelle.aws.account import Account
from passerelle.domain.preflight.account import BOOTSTRAP_PARAMETER, bootstrap_bucket, deployment_role
from tests.laptop_platform import LaptopPlatform

ROOT = Path(__file__).resolve().parents[2]
#: The embedded AWS takes an access key of twelve digits for the account's number.
ACCOUNT = "111111111111"
Findings = dict[str, dict[str, Any]]


@pytest.fixture
def client(embedded_aws: LaptopPlatform) -> Callable[[str], Any]:
    def make(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=embedded_aws.settings.endpoint_url, region_name="us-east-1",
            aws_access_key_id=ACCOUNT, aws_secret_access_key="test",
        )  # fmt: skip

    return make


def doctor(platform: LaptopPlatform, *, key: str = ACCOUNT) -> tuple[int, Findings, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ = kept | {
        "AWS_ENDPOINT_URL": platform.settings.endpoint_url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    command = [sys.executable, "-m", "cli.main", "--env", "dev", "--json", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert "defect" not in done.stderr
    return done.returncode, {finding["name"]: finding for finding in json.loads(done.stdout)}, done.stderr


def test_an_empty_account_lacks_its_bootstrap_and_has_it_after(
    embedded_aws: LaptopPlatform, client: Callable[[str], Any]
) -> None:
    environment, _ = load_environment("dev", ROOT)
    code, before, words = doctor(embedded_aws)
    assert code == 4
    assert "Environment dev lacks:" in words
    # Whoever calls the embedded AWS is the root user of an account.
    assert (before["Credentials"]["status"], before["Region"]["status"]) == ("warning", "ok")
    assert (before["CDK bootstrap"]["status"], before["CDK assets bucket"]["status"]) == ("missing", "missing")

    client("ssm").put_parameter(Name=BOOTSTRAP_PARAMETER, Value="30", Type="String")
    client("s3").create_bucket(Bucket=bootstrap_bucket(environment))
    _, after, _ = doctor(embedded_aws)
    assert (after["CDK bootstrap"]["status"], after["CDK assets bucket"]["status"]) == ("ok", "ok")


def test_the_embedded_network_is_read_as_aws_own(embedded_aws: LaptopPlatform, client: Callable[[str], Any]) -> None:
    _, free, _ = doctor(embedded_aws)
    assert (free["Availability zones"]["status"], free["Network"]["status"]) == ("ok", "ok")
    vpc = client("ec2").create_vpc(CidrBlock="10.60.8.0/21")["Vpc"]["VpcId"]
    try:
        _, taken, _ = doctor(embedded_aws)
        assert taken["Network"]["status"] == "warning"
        assert vpc in taken["Network"]["found"]
        tag = {"Key": "passerelle:environment", "Value": "dev"}
        client("ec2").create_tags(Resources=[vpc], Tags=[tag])
        _, own, _ = doctor(embedded_aws)
        assert own["Network"]["status"] == "ok"
    finally:
        client("ec2").delete_vpc(VpcId=vpc)


ROLE = "Service-linked role: ECS"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def test_a_service_linked_role_is_made_by_whoever_the_policies_let(
    embedded_aws: LaptopPlatform, client: Callable[[str], Any]
) -> None:
    """From an empty account: no deployer, one that may not, one that may, and the role itself."""
    environment, _ = load_environment("dev", ROOT)
    name, iam = deployment_role(environment).rsplit("/", 1)[1], client("iam")
    assert doctor(embedded_aws)[1][ROLE]["status"] == "skipped"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    assert doctor(embedded_aws)[1][ROLE]["status"] == "missing"
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy)
    assert "made by AWS at the deployment" in doctor(embedded_aws)[1][ROLE]["found"]
    # The embedded AWS would name it AWSServiceRoleForEcs; AWS names it so:
    iam.create_role(RoleName="AWSServiceRoleForECS", AssumeRolePolicyDocument=json.dumps(TRUST))
    assert doctor(embedded_aws)[1][ROLE]["found"] == "exists"


def test_secrets_certificates_and_addresses_are_read_from_the_services_themselves(client: Callable[[str], Any]) -> None:
    account = Account(lambda service, region: client(service), region="us-east-1")
    assert account.secret_state("oidc") is None
    client("secretsmanager").create_secret(Name="oidc", SecretString="x")
    assert account.secret_state("oidc") == "ready"
    client("secretsmanager").delete_secret(SecretId="oidc", RecoveryWindowInDays=7)
    assert account.secret_state("oidc") == "deleted"

    arn = client("acm").request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]
    found = account.certificate(arn)
    assert found
    assert found.names == ("*.example.com",)
    client("acm").delete_certificate(CertificateArn=arn)
    assert account.certificate(arn) is None

    before = account.addresses()
    client("ec2").allocate_address(Domain="vpc")
    assert account.addresses() == before + 1


def test_a_service_that_gives_no_answer_hides_no_other(embedded_aws: LaptopPlatform) -> None:
    """The embedded AWS has no Service Quotas: an account in which one service is down looks like that."""
    _, found, words = doctor(embedded_aws)
    silent = {name for name, finding in found.items() if finding["status"] == "unanswered"}
    assert {"Quotas: sagemaker", "Quotas: lambda", "Quotas: fargate", "Quotas: vpc"} <= silent
    assert "gave no answer about: " in words
    assert found["Idle cost"]["details"]


def test_credentials_of_another_account_are_refused_before_anything_is_read(embedded_aws: LaptopPlatform) -> None:
    code, found, _ = doctor(embedded_aws, key="222222222222")
    assert code == 4
    assert "222222222222" in found["Credentials"]["found"]
    assert found["Rest of the account"]["status"] == "skipped"
    assert "CDK bootstrap" not in found
