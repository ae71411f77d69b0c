"""What is needed against what is granted: missing permissions, and grants that nothing uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from tests.infra.iam.needs import Need
from tests.infra.iam.templates import Assembly, Grant

#: Action -> the actions on the key that an encrypted resource asks for: S3 user guide, "Using SSE-KMS" (parts of an
#: upload are read again to put them together); DynamoDB: CDK's grants, after the developer guide, "Encryption at rest";
#: Secrets Manager user guide, "Encryption"; SQS developer guide, "Key management".
KEY_ACTIONS = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:GetObjectVersion": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "s3:AbortMultipartUpload": ("kms:Decrypt",),
    "dynamodb:GetItem": ("kms:Decrypt",),
    "dynamodb:Query": ("kms:Decrypt",),
    "dynamodb:PutItem": ("kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"),
    "dynamodb:UpdateItem": ("kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"),
    "dynamodb:DeleteItem": ("kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"),
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
}


#: (action, service that assumes the role) -> why a grant that nothing uses is left, and what it gives away.
TOLERATED = {
    ("secretsmanager:DescribeSecret", "ecs-tasks.amazonaws.com"): (
        "CDK's ecs.Secret grants it with GetSecretValue; who may read a secret learns nothing more from it"
    ),
}


def problems(role: str, needs: Sequence[Need], grants: Sequence[Grant]) -> list[str]:
    """Return what is wrong with a role, in words; nothing when it may do exactly what is needed."""
    missing = {
        f"{role} may not {need.action} on {need.resource}: {need.why}"
        for need in needs
        if not any(_covers(grant, need) for grant in grants)
    }
    unused = {
        f"{role} may {grant.action} on {grant.resource}, which nothing calls: {grant.where}"
        for grant in grants
        if not any(_covers(grant, need) for need in needs)
    }
    return [f"MISSING {text}" for text in sorted(missing)] + [f"UNUSED {text}" for text in sorted(unused)]


def with_keys(needs: Iterable[Need], assembly: Assembly) -> list[Need]:
    """Return needs, and what they need of the keys by which the resources are encrypted."""
    keys = key_of_resource(assembly)
    found = list(needs)
    for need in list(found):
        key = keys.get(_container(need.resource))
        if key:
            for action in KEY_ACTIONS.get(need.action, ()):
                found.append(Need(action, key, f"{need.why}; {_container(need.resource)} is encrypted with this key"))
    return found


def key_of_resource(assembly: Assembly) -> dict[str, str]:
    """Return the ARN of the key of each encrypted bucket, table, queue, topic and secret."""
    found: dict[str, str] = {}
    for resource in assembly.resources:
        key = _key(resource.type, resource.properties)
        if key:
            found[assembly.arn_of(resource)] = key
        secret = resource.properties.get("MasterUserSecret", {}) if resource.type == "AWS::RDS::DBInstance" else {}
        if secret.get("KmsKeyId"):
            found[assembly.rds_secret_arn(resource)] = secret["KmsKeyId"]
    return found


def _key(type_: str, properties: Mapping[str, object]) -> str | None:
    node: object = properties
    path: dict[str, tuple[str | int, ...]] = {
        "AWS::S3::Bucket": (
            "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault", "KMSMasterKeyID",
        ),
        "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
        "AWS::SQS::Queue": ("KmsMasterKeyId",),
        "AWS::SNS::Topic": ("KmsMasterKeyId",),
        "AWS::SecretsManager::Secret": ("KmsKeyId",),
    }  # fmt: skip
    for part in path.get(type_, ("",)):
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        else:
            return None
    return str(node) if node else None


def _container(resource: str) -> str:
    """Return the bucket's ARN of an object's."""
    return resource.partition("/")[0] if resource.startswith("arn:aws:s3:::") else resource


def _covers(grant: Grant, need: Need) -> bool:
    if not _matches(grant.action, need.action):
        return False
    return _matches(grant.resource, need.resource) or (not need.known and _matches(need.resource, grant.resource))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None
