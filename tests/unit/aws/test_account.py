"""What `Account` reads, and how it tells whose fault a refusal is. Stubber checks every request against the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, UnauthorizedSSOTokenError
from botocore.stub import Stubber

from passerelle.aws.account import Account, CredentialsError, PermissionLackingError
from passerelle.domain.preflight.account import IdentityProvider, Vpc
from passerelle.domain.preflight.instances import DatabaseOffer
from passerelle.domain.preflight.quotas import Quota
from passerelle.errors import PasserelleError, TransientError

REGION = "eu-west-3"
ARN = f"arn:aws:acm:{REGION}:123456789012:certificate/11111111-2222-3333-4444-555555555555"
ROLE = f"arn:aws:iam::123456789012:role/cdk-hnb659fds-cfn-exec-role-123456789012-{REGION}"

DEPLOYER = {
    "Path": "/",
    "RoleName": ROLE.rsplit("/", 1)[1],
    "RoleId": "AROA1234567890ABCDEF",
    "Arn": ROLE,
    "CreateDate": datetime(2026, 1, 1, tzinfo=UTC),
}


class Aws:
    """Real boto3 clients whose answers are set beforehand; `asked` are the services with the regions they had."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}
        self._stubbers: dict[str, Stubber] = {}
        self._clients: dict[str, Any] = {}
        self.account = Account(self._client, region=REGION)

    def _client(self, service: str, region: str) -> Any:
        self.asked[service] = region
        return self._clients[service]

    def will(self, service: str, operation: str, answer: dict[str, Any], request: dict[str, Any] | None = None) -> None:
        self._stubber(service).add_response(operation, answer, request)

    def refuses(self, service: str, operation: str, code: str, words: str = "why", status: int = 400) -> None:
        self._stubber(service).add_client_error(operation, code, words, http_status_code=status)

    def _stubber(self, service: str) -> Stubber:
        if service not in self._stubbers:
            client = boto3.client(service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")
            self._clients[service] = client
            self._stubbers[service] = Stubber(client)
            self._stubbers[service].activate()
        return self._stubbers[service]

    def check(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Aws]:
    world = Aws()
    yield world
    world.check()


#: Every question, with the operation that answers it. A question that is added must be added here.
QUESTIONS: dict[str, tuple[str, str, Callable[[Account], Any]]] = {
    "sts:GetCallerIdentity": ("sts", "get_caller_identity", lambda a: a.identity()),
    "account:ListRegions": ("account", "list_regions", lambda a: a.regions()),
    "ssm:GetParameter": ("ssm", "get_parameter", lambda a: a.parameter("/x")),
    "s3:ListBucket": ("s3", "head_bucket", lambda a: a.has_bucket("bucket", owner="123456789012")),
    "servicequotas:ListServiceQuotas": ("service-quotas", "list_service_quotas", lambda a: a.quotas("vpc")),
    "ec2:DescribeAvailabilityZones": ("ec2", "describe_availability_zones", lambda a: a.zones()),
    "ec2:DescribeVpcs": ("ec2", "describe_vpcs", lambda a: a.vpcs()),
    "ec2:DescribeAddresses": ("ec2", "describe_addresses", lambda a: a.addresses()),
    "ec2:DescribeInstanceTypeOfferings": (
        "ec2", "describe_instance_type_offerings", lambda a: a.offered_instances(["m5.large"]),
    ),
    "rds:DescribeOrderableDBInstanceOptions": (
        "rds", "describe_orderable_db_instance_options", lambda a: a.database_offers("postgres", "17.9", "db.t4g.micro"),
    ),
    "acm:DescribeCertificate": ("acm", "describe_certificate", lambda a: a.certificate(ARN)),
    "secretsmanager:DescribeSecret": ("secretsmanager", "describe_secret", lambda a: a.secret_state("oidc")),
    "iam:GetOpenIDConnectProvider": (
        "iam", "get_open_id_connect_provider", lambda a: a.identity_provider("issuer", account="123456789012"),
    ),
    "iam:GetRole": ("iam", "get_role", lambda a: a.has_role("AWSServiceRoleForECS")),
    "iam:SimulatePrincipalPolicy": (
        "iam", "simulate_principal_policy", lambda a: a.may_create_service_role(ROLE, "ecs.amazonaws.com"),
    ),
}  # fmt: skip
DENIALS = {"s3": "403", "ec2": "UnauthorizedOperation", "iam": "AccessDenied", "rds": "AccessDenied"}


@pytest.mark.parametrize("action", sorted(QUESTIONS))
def test_a_refused_question_names_the_permission_that_is_lacking(action: str, aws: Aws) -> None:
    service, operation, ask = QUESTIONS[action]
    if operation == "simulate_principal_policy":
        aws.will("iam", "get_role", {"Role": DEPLOYER})
    aws.refuses(service, operation, DENIALS.get(service, "AccessDeniedException"), "explicit deny in an SCP", 403)
    with pytest.raises(PermissionLackingError, match=f"{action} is not allowed: explicit deny in an SCP") as denied:
        ask(aws.account)
    assert denied.value.action == action


@pytest.mark.parametrize("action", sorted(QUESTIONS))
def test_a_throttled_question_is_one_to_ask_again(action: str, aws: Aws) -> None:
    service, operation, ask = QUESTIONS[action]
    if operation == "simulate_principal_policy":
        aws.will("iam", "get_role", {"Role": DEPLOYER})
    aws.refuses(service, operation, "TooManyRequestsException", "Rate exceeded", 429)
    with pytest.raises(TransientError, match="Rate exceeded"):
        ask(aws.account)


def test_the_default_quotas_are_a_permission_of_their_own(aws: Aws) -> None:
    aws.will("service-quotas", "list_service_quotas", {"Quotas": []})
    aws.refuses("service-quotas", "list_aws_default_service_quotas", "AccessDeniedException")
    with pytest.raises(PermissionLackingError, match="servicequotas:ListAWSDefaultServiceQuotas"):
        aws.account.quotas("sagemaker")


def test_the_documented_permissions_are_exactly_those_that_questions_need() -> None:
    manual = Path(__file__).resolve().parents[3] / "docs/operations.md"
    section = manual.read_text(encoding="utf-8").split("## Before a deployment")[1].split("\n## ")[0]
    documented = re.findall(r"`([a-z0-9]+:[A-Z]\w+)`", section)
    assert documented == sorted({*QUESTIONS, "servicequotas:ListAWSDefaultServiceQuotas"})


def test_every_question_of_an_account_is_asked_here() -> None:
    """So that none is without a test of its refusal."""
    asked = set()
    for _, _, ask in QUESTIONS.values():
        asked |= {*ask.__code__.co_names}
    public = {name for name, value in vars(Account).items() if callable(value) and not name.startswith("_")}
    assert public - asked == set()


def test_an_answer_that_is_neither_refusal_nor_throttling_is_told_in_aws_words(aws: Aws) -> None:
    aws.refuses("rds", "describe_orderable_db_instance_options", "InvalidParameterCombination", "No such version")
    with pytest.raises(PasserelleError, match="InvalidParameterCombination: No such version") as told:
        aws.account.database_offers("postgres", "1.0", "db.t4g.micro")
    assert not isinstance(told.value, TransientError)


# Credentials


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        ("ExpiredToken", "The security token included in the request is expired", "have expired"),
        ("ExpiredTokenException", "expired", "have expired"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", "does not know these"),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261121T0800Z is now earlier than 20261121T0900Z",
            "time server",
        ),
        ("SignatureDoesNotMatch", "Signature not yet current: 20261121T1000Z is still later", "time server"),
        ("RequestTimeTooSkewed", "The difference is too large.", "time server"),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            "does not belong to the access",
        ),
    ],
)
def test_each_fault_of_credentials_has_its_own_remedy(code: str, words: str, told: str, aws: Aws) -> None:
    aws.refuses("sts", "get_caller_identity", code, words, 403)
    with pytest.raises(CredentialsError, match=told):
        aws.account.identity()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NoCredentialsError(), CredentialsError),
        (UnauthorizedSSOTokenError(), CredentialsError),
        (EndpointConnectionError(endpoint_url="https://sts"), TransientError),
    ],
)
def test_a_login_that_ended_is_not_a_network_that_fails(error: Exception, kind: type[PasserelleError]) -> None:
    def client(service: str, region: str) -> Any:
        made = boto3.client(service, region_name=region, aws_access_key_id="x", aws_secret_access_key="y")

        def fail(**_: Any) -> None:
            raise error

        made.meta.events.register("before-call", fail)
        return made

    with pytest.raises(kind):
        Account(client, region=REGION).identity()


def test_a_profile_that_does_not_exist_is_a_matter_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile-here")
    with pytest.raises(CredentialsError, match="no-such-profile-here"):
        Account.on_aws(REGION)


def test_the_clock_is_compared_with_the_date_of_the_answer(aws: Aws) -> None:
    answer = {
        "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada", "UserId": "A",
        "ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 21 Nov 2026 09:00:00 GMT"}},
    }  # fmt: skip
    aws.will("sts", "get_caller_identity", answer)
    found = aws.account.identity(now=lambda: datetime(2026, 11, 21, 9, 2, tzinfo=UTC))
    assert (found.account, found.skew_seconds) == ("123456789012", 120.0)


# Facts


def test_global_services_are_asked_where_every_account_has_an_endpoint(aws: Aws) -> None:
    aws.will("account", "list_regions", {"Regions": [{"RegionName": REGION, "RegionOptStatus": "ENABLED_BY_DEFAULT"}]})
    aws.will("ssm", "get_parameter", {"Parameter": {"Value": "30"}}, {"Name": "/cdk-bootstrap/hnb659fds/version"})
    assert aws.account.regions() == {REGION: "ENABLED_BY_DEFAULT"}
    assert aws.account.parameter("/cdk-bootstrap/hnb659fds/version") == "30"
    assert aws.asked == {"account": "us-east-1", "ssm": REGION}


def test_what_does_not_exist_is_an_answer_and_no_error(aws: Aws) -> None:
    aws.refuses("ssm", "get_parameter", "ParameterNotFound")
    aws.refuses("s3", "head_bucket", "404", "Not Found", 404)
    aws.refuses("acm", "describe_certificate", "ResourceNotFoundException")
    aws.refuses("secretsmanager", "describe_secret", "ResourceNotFoundException")
    aws.refuses("iam", "get_open_id_connect_provider", "NoSuchEntity", "no", 404)
    aws.refuses("iam", "get_role", "NoSuchEntity", "no", 404)
    aws.refuses("iam", "get_role", "NoSuchEntity", "no", 404)
    account = aws.account
    assert account.parameter("/x") is None
    assert account.has_bucket("bucket", owner="123456789012") is False
    assert account.certificate(ARN) is None
    assert account.secret_state("oidc") is None
    assert account.identity_provider("issuer", account="123456789012") is None
    assert account.has_role("AWSServiceRoleForECS") is False
    assert account.may_create_service_role(ROLE, "ecs.amazonaws.com") is None


def test_the_assets_bucket_must_belong_to_the_account(aws: Aws) -> None:
    aws.will("s3", "head_bucket", {}, {"Bucket": "cdk-x", "ExpectedBucketOwner": "123456789012"})
    assert aws.account.has_bucket("cdk-x", owner="123456789012")


def test_quotas_come_from_all_pages_and_the_accounts_own_value_goes_before_the_default(aws: Aws) -> None:
    name = "ml.g4dn.xlarge for spot training job usage"
    own = {"QuotaName": "Concurrent executions", "QuotaCode": "L-1", "Value": 10.0, "Adjustable": True}
    default = {"QuotaName": "Concurrent executions", "QuotaCode": "L-1", "Value": 1000.0, "Adjustable": True}
    spot = {"QuotaName": name, "QuotaCode": "L-2", "Value": 0.0, "Adjustable": True}
    fixed = {"QuotaName": "Memory", "QuotaCode": "L-3", "Value": 3.0, "Adjustable": False}
    quotas = "service-quotas"
    aws.will(quotas, "list_service_quotas", {"Quotas": [fixed], "NextToken": "2"}, {"ServiceCode": "sagemaker"})
    aws.will(quotas, "list_service_quotas", {"Quotas": [own]}, {"ServiceCode": "sagemaker", "NextToken": "2"})
    aws.will(quotas, "list_aws_default_service_quotas", {"Quotas": [default], "NextToken": "2"})
    aws.will(quotas, "list_aws_default_service_quotas", {"Quotas": [spot]})
    assert aws.account.quotas("sagemaker") == {
        "concurrent executions": Quota("Concurrent executions", "L-1", 10.0, True),
        name: Quota(name, "L-2", 0.0, True),
        "memory": Quota("Memory", "L-3", 3.0, False),
    }


def test_a_vpc_counts_with_all_its_networks_and_the_environment_it_is_tagged_with(aws: Aws) -> None:
    blocks = [
        {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}},
        {"CidrBlock": "100.64.0.0/16", "CidrBlockState": {"State": "disassociated"}},
    ]
    tags = [{"Key": "passerelle:environment", "Value": "dev"}]
    first = {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": blocks, "Tags": tags}
    aws.will("ec2", "describe_vpcs", {"Vpcs": [first], "NextToken": "2"})
    aws.will("ec2", "describe_vpcs", {"Vpcs": [{"VpcId": "vpc-2", "CidrBlock": "172.31.0.0/16"}]})
    assert aws.account.vpcs() == [Vpc("vpc-1", ("10.0.0.0/16",), "dev"), Vpc("vpc-2", ("172.31.0.0/16",))]


def test_zones_addresses_instances_and_database_offers_are_read_as_they_are(aws: Aws) -> None:
    aws.will(
        "ec2", "describe_availability_zones", {"AvailabilityZones": [{"ZoneName": "eu-west-3a", "State": "available"}]}
    )
    aws.will("ec2", "describe_addresses", {"Addresses": [{"PublicIp": "192.0.2.1"}]})
    aws.will(
        "ec2", "describe_instance_type_offerings", {"InstanceTypeOfferings": [{"InstanceType": "m5.large"}]},
        {"LocationType": "region", "Filters": [{"Name": "instance-type", "Values": ["g5.xlarge", "m5.large"]}]},
    )  # fmt: skip
    option = {"StorageType": "gp3", "MultiAZCapable": True, "AvailabilityZones": [{"Name": "eu-west-3a"}]}
    aws.will(
        "rds", "describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": [option]},
        {"Engine": "postgres", "EngineVersion": "17.9", "DBInstanceClass": "db.t4g.micro", "Vpc": True},
    )  # fmt: skip
    account = aws.account
    assert account.zones() == {"eu-west-3a": "available"}
    assert account.addresses() == 1
    assert account.offered_instances(["m5.large", "g5.xlarge", "m5.large"]) == {"m5.large"}
    assert account.offered_instances([]) == set()
    offers = account.database_offers("postgres", "17.9", "db.t4g.micro")
    assert offers == [DatabaseOffer("gp3", True, ("eu-west-3a",))]


def test_a_certificate_is_known_by_all_its_names_and_by_who_renews_it(aws: Aws) -> None:
    end = datetime(2027, 1, 1, tzinfo=UTC)
    found = {
        "DomainName": "mlflow.example.com", "SubjectAlternativeNames": ["mlflow.example.com", "*.example.org"],
        "Status": "ISSUED", "Type": "IMPORTED", "NotAfter": end,
    }  # fmt: skip
    aws.will("acm", "describe_certificate", {"Certificate": found}, {"CertificateArn": ARN})
    certificate = aws.account.certificate(ARN)
    assert certificate
    assert certificate.names == ("mlflow.example.com", "*.example.org")
    assert (certificate.status, certificate.not_after, certificate.renewed_by_aws) == ("ISSUED", end, False)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"VersionIdsToStages": {"a" * 32: ["AWSPREVIOUS"], "b" * 32: ["AWSCURRENT"]}}, "ready"),
        ({}, "empty"),
        (
            {"DeletedDate": datetime.now(UTC) + timedelta(days=7), "VersionIdsToStages": {"b" * 32: ["AWSCURRENT"]}},
            "deleted",
        ),
    ],
)
def test_a_secret_is_usable_only_with_a_value_and_before_its_end(answer: dict[str, Any], state: str, aws: Aws) -> None:
    aws.will("secretsmanager", "describe_secret", answer, {"SecretId": "oidc"})
    assert aws.account.secret_state("oidc") == state


@pytest.mark.parametrize(("decision", "may"), [("allowed", True), ("explicitDeny", False), ("implicitDeny", False)])
def test_whether_the_deployment_may_make_a_service_role_is_simulated(decision: str, may: bool, aws: Aws) -> None:
    result = {"EvalActionName": "iam:CreateServiceLinkedRole", "EvalDecision": decision}
    context = {
        "ContextKeyName": "iam:AWSServiceName", "ContextKeyValues": ["ecs.amazonaws.com"], "ContextKeyType": "string",
    }  # fmt: skip
    request = {
        "PolicySourceArn": ROLE, "ActionNames": ["iam:CreateServiceLinkedRole"], "ContextEntries": [context],
    }  # fmt: skip
    aws.will("iam", "get_role", {"Role": DEPLOYER}, {"RoleName": DEPLOYER["RoleName"]})
    aws.will("iam", "simulate_principal_policy", {"EvaluationResults": [result]}, request)
    assert aws.account.may_create_service_role(ROLE, "ecs.amazonaws.com") is may


def test_an_identity_provider_is_known_by_its_audiences_and_the_environment_that_made_it(aws: Aws) -> None:
    tags = [{"Key": "passerelle:environment", "Value": "dev"}]
    request = {"OpenIDConnectProviderArn": "arn:aws:iam::123456789012:oidc-provider/issuer"}
    answer = {"ClientIDList": ["sts.amazonaws.com"], "Tags": tags}
    aws.will("iam", "get_open_id_connect_provider", answer, request)
    found = aws.account.identity_provider("issuer", account="123456789012")
    assert found == IdentityProvider(("sts.amazonaws.com",), "dev")
