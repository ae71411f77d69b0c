"""Read what an account is and has, before a deployment: facts for `passerelle.domain.preflight`, changing nothing.

Every call is independent: one that is refused says which permission is lacking, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from passerelle.aws.clients import is_transient
from passerelle.domain.preflight.account import CLOCK_REMEDY, Certificate, Identity, IdentityProvider, Vpc
from passerelle.domain.preflight.instances import DatabaseOffer
from passerelle.domain.preflight.quotas import Quota, by_name
from passerelle.errors import PasserelleError, SettingsError, TransientError

_CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=30)
#: Services whose answers hold for every region; asked where every account has an endpoint.
_GLOBAL: Final = frozenset({"sts", "account", "iam", "pricing"})
_GLOBAL_REGION: Final = "us-east-1"
_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized", "403"}
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_UNKNOWN_KEY: Final = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId", "InvalidToken"}
)
_SIGNATURE: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed"})
_LOG_IN: Final = (
    "Log in (for example `aws sso login`) and set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and its companions."
)
#: IAM's prefix of a service where it is not boto3's name, and the action where it is not the operation.
_PREFIXES: Final = {"service-quotas": "servicequotas"}
_ACTIONS: Final = {("s3", "HeadBucket"): "s3:ListBucket"}


class CredentialsError(SettingsError):
    """AWS does not know who calls: no credentials, expired ones, or a clock that is wrong."""


class PermissionLackingError(SettingsError):
    """The caller may not look; `action` is the IAM action that is lacking."""

    def __init__(self, action: str, words: str) -> None:
        super().__init__(words)
        self.action = action


class Account:
    """One account and region, read with the caller's own credentials."""

    def __init__(self, client: Callable[[str, str], Any], *, region: str) -> None:
        """`client` makes the boto3 client of a service in a region."""
        self._make, self._region = client, region
        self._clients: dict[str, Any] = {}

    @classmethod
    def on_aws(cls, region: str) -> Self:
        """Use the caller's credentials as the AWS command line finds them.

        Raises CredentialsError when AWS_PROFILE names no profile.
        """
        try:
            session = boto3.Session(region_name=region)
        except ProfileNotFound as error:
            raise CredentialsError(f"{error}. `aws configure list-profiles` lists those that exist.") from error
        return cls(lambda service, place: session.client(service, region_name=place, config=_CONFIG), region=region)

    def _call(self, service: str, operation: str, *, absent: Sequence[str] = (), **request: Any) -> Any:
        """Return the whole answer, of all pages; None for an error code of `absent`."""
        client = self._client(service)
        with _translated(service, client.meta.method_to_api_mapping[operation]):
            try:
                if not client.can_paginate(operation):
                    return getattr(client, operation)(**request)
                return client.get_paginator(operation).paginate(**request).build_full_result()
            except ClientError as error:
                if error.response["Error"]["Code"] in absent:
                    return None
                raise

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            place = _GLOBAL_REGION if service in _GLOBAL else self._region
            self._clients[service] = self._make(service, place)
        return self._clients[service]

    def identity(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Identity:
        """Return who calls, and how far this machine's clock is off.

        Raises CredentialsError when AWS does not know.
        """
        answer = self._call("sts", "get_caller_identity")
        date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        skew = (now() - parsedate_to_datetime(date)).total_seconds() if date else 0.0
        return Identity(str(answer["Account"]), str(answer["Arn"]), skew)

    def regions(self) -> dict[str, str]:
        """Return every region with its opt-in status."""
        found = self._call("account", "list_regions").get("Regions", [])
        return {str(region["RegionName"]): str(region["RegionOptStatus"]) for region in found}

    def parameter(self, name: str) -> str | None:
        """Return the value of an SSM parameter, None when there is none."""
        answer = self._call("ssm", "get_parameter", absent=("ParameterNotFound",), Name=name)
        return None if answer is None else str(answer["Parameter"]["Value"])

    def has_bucket(self, bucket: str, *, owner: str) -> bool:
        """Return whether a bucket of this owner exists. One of another owner answers as one that is forbidden."""
        absent = ("404", "NoSuchBucket")
        return self._call("s3", "head_bucket", absent=absent, Bucket=bucket, ExpectedBucketOwner=owner) is not None

    def quotas(self, service: str) -> dict[str, Quota]:
        """Return every quota of a service by its name in lower case: the account's own values, else AWS's defaults.

        Service Quotas leaves out of the first list what has no value of the account's own (ListServiceQuotas).
        """
        own = self._call("service-quotas", "list_service_quotas", ServiceCode=service).get("Quotas", [])
        defaults = self._call("service-quotas", "list_aws_default_service_quotas", ServiceCode=service).get(
            "Quotas", []
        )
        return by_name([_quota(item) for item in (*own, *defaults)])

    def zones(self) -> dict[str, str]:
        """Return the region's availability zones with their state."""
        only = [{"Name": "zone-type", "Values": ["availability-zone"]}]
        found = self._call("ec2", "describe_availability_zones", Filters=only).get("AvailabilityZones", [])
        return {str(zone["ZoneName"]): str(zone["State"]) for zone in found}

    def vpcs(self) -> list[Vpc]:
        """Return the region's VPCs with all their networks."""
        return [_vpc(item) for item in self._call("ec2", "describe_vpcs").get("Vpcs", [])]

    def addresses(self) -> int:
        """Return how many elastic addresses the region has."""
        return len(self._call("ec2", "describe_addresses").get("Addresses", []))

    def offered_instances(self, types: Sequence[str]) -> set[str]:
        """Return those EC2 instance types that the region offers."""
        if not types:
            return set()
        only = [{"Name": "instance-type", "Values": sorted(set(types))}]
        found = self._call("ec2", "describe_instance_type_offerings", LocationType="region", Filters=only)
        return {str(item["InstanceType"]) for item in found.get("InstanceTypeOfferings", [])}

    def database_offers(self, engine: str, version: str, instance_class: str) -> list[DatabaseOffer]:
        """Return how RDS offers an instance class in a VPC."""
        answer = self._call(
            "rds",
            "describe_orderable_db_instance_options",
            Engine=engine,
            EngineVersion=version,
            DBInstanceClass=instance_class,
            Vpc=True,
        )
        return [
            DatabaseOffer(
                str(item.get("StorageType", "")),
                bool(item.get("MultiAZCapable")),
                tuple(str(zone["Name"]) for zone in item.get("AvailabilityZones", ())),
            )
            for item in answer.get("OrderableDBInstanceOptions", [])
        ]

    def certificate(self, arn: str) -> Certificate | None:
        """Return a certificate of ACM, None when there is none."""
        answer = self._call("acm", "describe_certificate", absent=("ResourceNotFoundException",), CertificateArn=arn)
        if answer is None:
            return None
        found = answer["Certificate"]
        names = [*([found["DomainName"]] if "DomainName" in found else []), *found.get("SubjectAlternativeNames", ())]
        return Certificate(
            str(found.get("Status", "")),
            tuple(dict.fromkeys(map(str, names))),
            found.get("NotAfter"),
            renewed_by_aws=found.get("Type") != "IMPORTED",
        )

    def secret_state(self, name: str) -> str | None:
        """Return `ready`, `empty` or `deleted`; None when there is no such secret. Its value is never read."""
        absent = ("ResourceNotFoundException",)
        answer = self._call("secretsmanager", "describe_secret", absent=absent, SecretId=name)
        if answer is None:
            return None
        if answer.get("DeletedDate"):
            return "deleted"
        stages = [stage for stages in answer.get("VersionIdsToStages", {}).values() for stage in stages]
        return "ready" if "AWSCURRENT" in stages else "empty"

    def identity_provider(self, issuer: str, *, account: str) -> IdentityProvider | None:
        """Return the account's OpenID Connect provider for an issuer, None when there is none."""
        arn = f"arn:aws:iam::{account}:oidc-provider/{issuer}"
        answer = self._call(
            "iam", "get_open_id_connect_provider", absent=("NoSuchEntity",), OpenIDConnectProviderArn=arn
        )
        if answer is None:
            return None
        return IdentityProvider(tuple(answer.get("ClientIDList", ())), _tags(answer).get("passerelle:environment"))

    def has_role(self, name: str) -> bool:
        """Return whether a role exists."""
        return self._call("iam", "get_role", absent=("NoSuchEntity",), RoleName=name) is not None

    def may_create_service_role(self, deployer_arn: str, service: str) -> bool | None:
        """Return whether a role may create a service's linked role, by its policies; None when there is no role."""
        if not self.has_role(deployer_arn.rsplit("/", 1)[1]):
            return None
        answer = self._call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=deployer_arn,
            ActionNames=["iam:CreateServiceLinkedRole"],
            ContextEntries=[
                {"ContextKeyName": "iam:AWSServiceName", "ContextKeyValues": [service], "ContextKeyType": "string"}
            ],
        )
        return any(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])


def _quota(item: dict[str, Any]) -> Quota:
    return Quota(
        str(item["QuotaName"]), str(item["QuotaCode"]), float(item["Value"]), bool(item.get("Adjustable", True))
    )


def _vpc(item: dict[str, Any]) -> Vpc:
    blocks = [
        str(block["CidrBlock"])
        for block in item.get("CidrBlockAssociationSet", ())
        if block.get("CidrBlockState", {}).get("State", "associated") == "associated"
    ]
    owner = _tags(item).get("passerelle:environment")
    return Vpc(str(item["VpcId"]), tuple(blocks or [str(item["CidrBlock"])]), owner)


def _tags(item: dict[str, Any]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in item.get("Tags", ())}


@contextmanager
def _translated(service: str, operation: str) -> Iterator[None]:
    """Say whose fault it is: the credentials, a permission, or AWS, which did not answer."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialsError(f"{error}. {_LOG_IN}") from error
    except (SSOError, LoginError, TokenRetrievalError, NoAuthTokenError, CredentialRetrievalError) as error:
        raise CredentialsError(f"The login has ended: {error} {_LOG_IN}") from error
    except BotoCoreError as error:
        raise TransientError(f"{service} does not answer: {error}") from error
    except ClientError as error:
        raise _reason(error, service, operation) from error


def _reason(error: ClientError, service: str, operation: str) -> PasserelleError:
    code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in _EXPIRED:
        return CredentialsError(f"The credentials have expired ({code}). {_LOG_IN}")
    if code in _SIGNATURE:
        # One code for a wrong secret and for a wrong clock: only the message tells.
        skewed = code == "RequestTimeTooSkewed" or "Signature expired" in words or "not yet current" in words
        remedy = CLOCK_REMEDY if skewed else "The secret access key does not belong to the access key id."
        return CredentialsError(f"{words} {remedy}")
    if code in _UNKNOWN_KEY:
        return CredentialsError(f"AWS does not know these credentials here ({code}: {words}). {_LOG_IN}")
    if code in _DENIED:
        action = _ACTIONS.get((service, operation), f"{_PREFIXES.get(service, service)}:{operation}")
        return PermissionLackingError(action, f"{action} is not allowed: {words}")
    if is_transient(error):
        return TransientError(f"{service} {operation}: {code}: {words}")
    return PasserelleError(f"{service} {operation}: {code}: {words}")
