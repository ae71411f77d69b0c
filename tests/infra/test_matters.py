"""What matters holds in every template of every environment; and each rule fails on a template that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import ENVIRONMENTS
from tests.infra.matters import RULES
from tests.infra.matters.platform import Platform

Synthesised = Callable[[str], Path]
OPEN = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"}
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


@pytest.fixture(scope="session")
def prod(synthesised: Synthesised) -> Platform:
    return Platform.read("prod", synthesised("prod"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_matters_holds_in_every_environment(synthesised: Synthesised, environment: str) -> None:
    platform = Platform.read(environment, synthesised(environment))
    assert {name: list(rule(platform)) for name, rule in RULES.items() if list(rule(platform))} == {}


def _without(*path: str) -> Callable[[dict[str, Any]], Any]:
    """Take away what is at a path of the properties."""

    def change(properties: dict[str, Any]) -> None:
        for part in path[:-1]:
            properties = properties[part]
        del properties[path[-1]]

    return change


def _with(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda properties: properties.update(values)


def _statement(statement: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda properties: properties["PolicyDocument"]["Statement"].append(statement)


def _key(properties: dict[str, Any]) -> None:
    properties["KeyPolicy"]["Statement"].append({**ALLOW, "Action": "kms:*", "Principal": {"AWS": "*"}})


def _zone(properties: dict[str, Any]) -> None:
    properties["BucketEncryption"]["ServerSideEncryptionConfiguration"] = [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]


def _plain_http(properties: dict[str, Any]) -> None:
    statements = properties["PolicyDocument"]["Statement"]
    statements[:] = [item for item in statements if item["Effect"] != "Deny"]


def _trust(properties: dict[str, Any]) -> None:
    properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": "*"}
    properties["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition", None)


#: Rule, type of the resource that is changed (its first one with that property), the change, words of the finding.
BROKEN: list[tuple[str, str, Callable[[dict[str, Any]], Any], str]] = [
    *(
        ("everything_at_rest_is_encrypted_with_the_platforms_key", type_, _without(*path), "is not encrypted with")
        for type_, path in (
            ("AWS::CodeBuild::Project", ("EncryptionKey",)),
            ("AWS::DynamoDB::Table", ("SSESpecification",)),
            ("AWS::ECR::Repository", ("EncryptionConfiguration",)),
            ("AWS::Logs::LogGroup", ("KmsKeyId",)),
            ("AWS::RDS::DBInstance", ("KmsKeyId",)),
            ("AWS::SNS::Topic", ("KmsMasterKeyId",)),
            ("AWS::SQS::Queue", ("KmsMasterKeyId",)),
            ("AWS::SecretsManager::Secret", ("KmsKeyId",)),
        )
    ),
    ("everything_at_rest_is_encrypted_with_the_platforms_key", "AWS::SQS::Queue", _with(KmsMasterKeyId="alias/aws/sqs"), "is not encrypted with"),
    ("everything_at_rest_is_encrypted_with_the_platforms_key", "AWS::RDS::DBInstance", _with(StorageEncrypted=False), "does not encrypt its storage"),
    ("everything_at_rest_is_encrypted_with_the_platforms_key", "AWS::RDS::DBInstance", _without("MasterUserSecret"), "keeps its password under another key"),
    ("everything_at_rest_is_encrypted_with_the_platforms_key", "AWS::KMS::Key", _with(EnableKeyRotation=False), "is never rotated"),
    ("buckets_are_encrypted_with_the_platforms_key", "AWS::S3::Bucket", _without("BucketEncryption"), "is not encrypted by"),
    ("buckets_are_encrypted_with_the_platforms_key", "AWS::S3::Bucket", _zone, "is not encrypted"),
    ("buckets_queues_and_topics_refuse_plain_http", "AWS::S3::BucketPolicy", _plain_http, "takes requests without TLS"),
    ("buckets_queues_and_topics_refuse_plain_http", "AWS::SQS::QueuePolicy", _plain_http, "takes requests without TLS"),
    ("buckets_queues_and_topics_refuse_plain_http", "AWS::SNS::TopicPolicy", _plain_http, "takes requests without TLS"),
    ("connections_are_encrypted", "AWS::RDS::DBParameterGroup", _without("Parameters", "rds.force_ssl"), "connect without TLS"),
    ("connections_are_encrypted", "AWS::RDS::DBInstance", _without("DBParameterGroupName"), "parameters of AWS's own"),
    ("nothing_is_open_to_the_internet", "AWS::EC2::SecurityGroup", _with(SecurityGroupIngress=[OPEN]), "lets the internet in"),
    ("nothing_is_open_to_the_internet", "AWS::EC2::SecurityGroupIngress", _with(CidrIpv6="::/0"), "lets the internet in"),
    ("nothing_is_open_to_the_internet", "AWS::S3::Bucket", _without("PublicAccessBlockConfiguration", "BlockPublicAcls"), "does not block public access"),
    ("nothing_is_open_to_the_internet", "AWS::RDS::DBInstance", _with(PubliclyAccessible=True), "has a public address"),
    ("no_policy_lets_everybody_in", "AWS::S3::BucketPolicy", _statement({**ALLOW, "Principal": "*"}), "allows everybody s3:GetObject"),
    ("no_policy_lets_everybody_in", "AWS::SQS::QueuePolicy", _statement({**ALLOW, "Principal": {"AWS": ["*"]}}), "allows everybody"),
    ("no_policy_lets_everybody_in", "AWS::KMS::Key", _key, "allows everybody kms:*"),
    ("no_policy_lets_everybody_in", "AWS::IAM::Role", _trust, "allows everybody sts:AssumeRole"),
    ("no_policy_lets_everybody_in", "AWS::Lambda::Permission", _with(Principal="*"), "lets everybody invoke"),
    ("no_policy_lets_everybody_in", "AWS::Lambda::Permission", _without("SourceArn"), "for any account"),
    ("nobody_may_do_everything", "AWS::IAM::Policy", _statement({**ALLOW, "Action": "*"}), "allows *"),
    ("nobody_may_do_everything", "AWS::IAM::Policy", _statement({**ALLOW, "Action": ["s3:*"]}), "allows s3:*"),
    ("nobody_may_do_everything", "AWS::IAM::Policy", _statement({**ALLOW, "Action": "iam:PassRole"}), "allows iam:PassRole on everything"),
    ("nobody_may_do_everything", "AWS::IAM::Policy", _statement({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}), "allows all but some"),
    ("nobody_may_do_everything", "AWS::IAM::Role", _with(ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]), "has arn:aws:iam::aws"),
    ("every_log_group_ends", "AWS::Logs::LogGroup", _without("RetentionInDays"), "for ever"),
    ("every_log_has_a_group", "AWS::Lambda::Function", _without("LoggingConfig"), "logs into a group that nobody declares"),
    ("every_log_has_a_group", "AWS::StepFunctions::StateMachine", _without("LoggingConfiguration"), "logs into no group"),
    ("every_log_has_a_group", "AWS::CodeBuild::Project", _without("LogsConfig"), "logs into a group that nobody declares"),
    ("every_log_has_a_group", "AWS::ECS::TaskDefinition", lambda item: item["ContainerDefinitions"][0].pop("LogConfiguration"), "logs into a group that nobody declares"),
    ("what_holds_data_can_be_restored", "AWS::S3::Bucket", _without("VersioningConfiguration"), "keeps no versions"),
    ("what_holds_data_can_be_restored", "AWS::S3::Bucket", _without("LifecycleConfiguration"), "never lets a version go"),
    ("what_holds_data_can_be_restored", "AWS::DynamoDB::Table", _without("PointInTimeRecoverySpecification"), "no recovery"),
    ("what_holds_data_can_be_restored", "AWS::RDS::DBInstance", _with(BackupRetentionPeriod=0), "has no backups"),
    ("production_outlives_its_stack", "AWS::RDS::DBInstance", _with(DeletionProtection=False), "by mistake"),
    ("production_outlives_its_stack", "AWS::DynamoDB::Table", _without("DeletionProtectionEnabled"), "by mistake"),
    ("everything_that_fails_tells_somebody", "AWS::CloudWatch::Alarm", _with(AlarmActions=[]), "tells nobody"),
    ("everything_that_fails_tells_somebody", "AWS::CloudWatch::Alarm", _with(ActionsEnabled=False), "has no alarm on"),
    ("no_event_is_lost", "AWS::Events::Rule", lambda item: item["Targets"][0].pop("DeadLetterConfig"), "what fails is lost"),
    ("no_event_is_lost", "AWS::Scheduler::Schedule", _without("Target", "DeadLetterConfig"), "what fails is lost"),
    ("no_event_is_lost", "AWS::Lambda::Function", _without("DeadLetterConfig"), "what it cannot do is lost"),
    ("functions_run_as_their_packages_were_built", "AWS::Lambda::Function", _with(Runtime="python3.11"), "runs python3.11"),
    ("functions_run_as_their_packages_were_built", "AWS::Lambda::Function", _without("Architectures"), "runs on None"),
    ("functions_run_as_their_packages_were_built", "AWS::Lambda::Function", _without("TracingConfig"), "is not traced"),
    ("functions_run_as_their_packages_were_built", "AWS::Lambda::Function", _without("Timeout"), "default timeout"),
    ("images_are_scanned_and_never_overwritten", "AWS::ECR::Repository", _without("ImageScanningConfiguration"), "is not scanned"),
    ("images_are_scanned_and_never_overwritten", "AWS::ECR::Repository", _with(ImageTagMutability="MUTABLE"), "lets a tag change"),
    ("images_are_scanned_and_never_overwritten", "AWS::ECR::Repository", _without("LifecyclePolicy"), "keeps every image"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "type_", "change", "words"), BROKEN, ids=[f"{rule}-{type_}-{words}" for rule, type_, _, words in BROKEN]
)
def test_each_rule_fails_on_a_template_that_breaks_it(
    prod: Platform, rule: str, type_: str, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    found = []
    for _, properties in prod.of(type_):
        kept = copy.deepcopy(properties)
        try:
            change(properties)
            found += [line for line in RULES[rule](prod) if words in line]
        except KeyError:
            continue  # this one never had what is taken away
        finally:
            properties.clear()
            properties.update(kept)
    assert found, f"{rule} does not see it"
    assert list(RULES[rule](prod)) == []


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES)


@pytest.mark.parametrize("type_", ["AWS::Lambda::Function", "AWS::StepFunctions::StateMachine", "AWS::SQS::Queue"])
def test_a_new_function_machine_or_queue_without_alarms_is_found_whatever_its_name(prod: Platform, type_: str) -> None:
    changed = copy.deepcopy(prod)
    stack = next(place for place, _ in changed.of(type_)).split("/")[0]
    changed.stacks[stack]["Resources"]["New"] = {"Type": type_, "Properties": {}}
    found = list(RULES["everything_that_fails_tells_somebody"](changed))
    assert found
    assert all(line.startswith(f"{stack}/New has no alarm on ") for line in found)


def test_a_load_balancer_that_declares_it_may_face_the_internet(prod: Platform) -> None:
    changed = copy.deepcopy(prod)
    place = next(place for place, _ in changed.of("AWS::EC2::SecurityGroup"))
    stack, group = place.split("/")
    changed.resource(place)["Properties"]["SecurityGroupIngress"] = [OPEN]
    balancer = {"Scheme": "internet-facing", "SecurityGroups": [{"Fn::GetAtt": [group, "GroupId"]}]}
    rule = RULES["nothing_is_open_to_the_internet"]
    assert list(rule(changed)) == [f"{place} lets the internet in"]
    changed.stacks[stack]["Resources"]["Door"] = {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": balancer,
    }
    assert list(rule(changed)) == []
    balancer["Scheme"] = "internal"
    assert list(rule(changed)) == [f"{place} lets the internet in"]
