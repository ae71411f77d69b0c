"""At rest with the platform's own key, in transit by TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.matters.platform import Platform, listed

KEY: Final = "AWS::KMS::Key"
#: Type -> where it names its key.
KEYED: Final = {
    "AWS::CodeBuild::Project": ("EncryptionKey",),
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::ECR::Repository": ("EncryptionConfiguration", "KmsKey"),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::RDS::DBInstance": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
}
DEFAULT: Final = (
    "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault",
)  # fmt: skip


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def everything_at_rest_is_encrypted_with_the_platforms_key(platform: Platform) -> Iterator[str]:
    """AWS's own keys cannot be withdrawn from anybody; the platform's can."""
    for place, properties in platform.of(*KEYED):
        if not platform.is_a(place, _at(properties, KEYED[platform.resource(place)["Type"]]), KEY):
            yield f"{place} is not encrypted with the platform's key"
    for place, properties in platform.of("AWS::RDS::DBInstance"):
        if properties.get("StorageEncrypted") is not True:
            yield f"{place} does not encrypt its storage"
        if not platform.is_a(place, _at(properties, ("MasterUserSecret", "KmsKeyId")), KEY):
            yield f"{place} keeps its password under another key"
    for place, properties in platform.of(KEY):
        if properties.get("EnableKeyRotation") is not True:
            yield f"{place} is never rotated"


def buckets_are_encrypted_with_the_platforms_key(platform: Platform) -> Iterator[str]:
    """The bucket of access logs is the exception: S3 delivers those to buckets with S3's own key only."""
    logs = {
        platform.target(place, _at(item, ("LoggingConfiguration", "DestinationBucketName")))
        for place, item in platform.of("AWS::S3::Bucket")
    }
    for place, properties in platform.of("AWS::S3::Bucket"):
        default = _at(properties, DEFAULT) or {}
        expected = "AES256" if place in logs else "aws:kms"
        if default.get("SSEAlgorithm") != expected:
            yield f"{place} is not encrypted by {expected}"
        if place not in logs and not platform.is_a(place, default.get("KMSMasterKeyID"), KEY):
            yield f"{place} is not encrypted with the platform's key"


def buckets_queues_and_topics_refuse_plain_http(platform: Platform) -> Iterator[str]:
    """Their policies deny whatever comes without TLS."""
    refusing = set()
    policies = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    for place, properties in platform.of(*policies):
        named = properties.get("Bucket") or properties.get("Queues") or properties.get("Topics")
        for statement in properties["PolicyDocument"]["Statement"]:
            plain = _at(statement, ("Condition", "Bool", "aws:SecureTransport"))
            if statement["Effect"] == "Deny" and plain == "false":
                refusing |= {platform.target(place, value) for value in listed(named)}
    for place, _ in platform.of("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"):
        if place not in refusing:
            yield f"{place} takes requests without TLS"


def connections_are_encrypted(platform: Platform) -> Iterator[str]:
    """The database refuses plain connections, and load balancers listen to TLS."""
    for place, properties in platform.of("AWS::RDS::DBParameterGroup"):
        if str(properties["Parameters"].get("rds.force_ssl")) != "1":
            yield f"{place} lets clients connect without TLS"
    for place, properties in platform.of("AWS::RDS::DBInstance"):
        if not platform.is_a(place, properties.get("DBParameterGroupName"), "AWS::RDS::DBParameterGroup"):
            yield f"{place} has parameters of AWS's own, which do not require TLS"
    for place, properties in platform.of("AWS::ElasticLoadBalancingV2::Listener"):
        if properties.get("Protocol") not in ("HTTPS", "TLS"):
            yield f"{place} listens in plain {properties.get('Protocol')}"
