"""Who may come in, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.matters.platform import Platform, listed

EVERYWHERE: Final = {"0.0.0.0/0", "::/0"}
#: Policies of resources: who may use them.
RESOURCE_POLICIES: Final = {
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::ECR::Repository": "RepositoryPolicyText",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::SecretsManager::ResourcePolicy": "ResourcePolicy",
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
}
#: AWS's own policies that give more than one job needs.
TOO_MUCH: Final = ("AdministratorAccess", "PowerUserAccess", "FullAccess", "IAMFullAccess")


def nothing_is_open_to_the_internet(platform: Platform) -> Iterator[str]:
    """Only a load balancer that faces the internet by declaration may let everybody connect."""
    doors = {
        platform.target(place, group)
        for place, item in platform.of("AWS::ElasticLoadBalancingV2::LoadBalancer")
        if item.get("Scheme") == "internet-facing"
        for group in item.get("SecurityGroups", ())
    }
    openings = [
        (place, place, rule)
        for place, item in platform.of("AWS::EC2::SecurityGroup")
        for rule in item.get("SecurityGroupIngress", ())
    ]
    openings += [
        (place, platform.target(place, item.get("GroupId")) or place, item)
        for place, item in platform.of("AWS::EC2::SecurityGroupIngress")
    ]
    for place, group, rule in openings:
        if {rule.get("CidrIp"), rule.get("CidrIpv6")} & EVERYWHERE and group not in doors:
            yield f"{place} lets the internet in"
    for place, item in platform.of("AWS::S3::Bucket"):
        block = item.get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or set(block.values()) != {True}:
            yield f"{place} does not block public access"
    for place, item in platform.of("AWS::RDS::DBInstance"):
        if item.get("PubliclyAccessible") is not False:
            yield f"{place} has a public address"
    for place, item in platform.of("AWS::Lambda::Url"):
        if item.get("AuthType") != "AWS_IAM":
            yield f"{place} answers everybody"


def no_policy_lets_everybody_in(platform: Platform) -> Iterator[str]:
    """A statement that allows `*` names who is meant in its condition."""
    for place, item in platform.of(*RESOURCE_POLICIES):
        document = item.get(RESOURCE_POLICIES[platform.resource(place)["Type"]], {})
        for statement in document.get("Statement", ()):
            principal: Any = statement.get("Principal")
            anybody = principal == "*" or (isinstance(principal, dict) and "*" in listed(principal.get("AWS")))
            if statement["Effect"] == "Allow" and anybody and not statement.get("Condition"):
                yield f"{place} allows everybody {statement['Action']}"
    for place, item in platform.of("AWS::Lambda::Permission"):
        if item.get("Principal") == "*":
            yield f"{place} lets everybody invoke"
        if str(item.get("Principal", "")).endswith(".amazonaws.com") and not (
            item.get("SourceArn") or item.get("SourceAccount")
        ):
            yield f"{place} lets {item['Principal']} invoke for any account"


def nobody_may_do_everything(platform: Platform) -> Iterator[str]:
    """No role has every action, every action of a service, all but some, or one of AWS's own wide policies."""
    for place, item in platform.of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        yield from (f"{place} {words}" for words in _too_wide(item["PolicyDocument"]))
    for place, item in platform.of("AWS::IAM::Role"):
        for policy in item.get("Policies", ()):
            yield from (f"{place} {words}" for words in _too_wide(policy["PolicyDocument"]))
        for managed in item.get("ManagedPolicyArns", ()):
            if any(name in str(managed) for name in TOO_MUCH):
                yield f"{place} has {managed}"


def _too_wide(document: dict[str, Any]) -> Iterator[str]:
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        if "NotAction" in statement or "NotResource" in statement:
            yield "allows all but some"
        for action in listed(statement.get("Action", [])):
            if action == "*" or action.endswith(":*"):
                yield f"allows {action}"
            if action.startswith("iam:") and "*" in listed(statement.get("Resource")):
                yield f"allows {action} on everything"
