"""What must not be lost: the zones, the runs table, the catalogue. Apart from everything that may be replaced."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import (
    CrossStackReferences,
    Duration,
    ReferenceStrength,
    RemovalPolicy,
    Stack,
    aws_dynamodb,
    aws_glue,
    aws_iam,
    aws_kms,
    aws_s3,
    aws_secretsmanager,
)
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.query_workgroup import QueryWorkgroup
from infra.constructs.zone import Zone
from passerelle.contracts.zones import ZONES

#: What sends to our encrypted topics and queues: alarms, rules, schedules, budgets, unusual costs.
_SENDERS: Final = ("cloudwatch", "events", "scheduler", "budgets", "costalerts")


class DataStack(Stack):
    """Stateful: its logical ids are pinned by a test. Idle, it costs its storage and one key."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        personal_entities: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, termination_protection=config.retain_data, **kwargs)
        policy = RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY
        self.key = aws_kms.Key(self, "Key", enable_key_rotation=True, removal_policy=policy)
        self._let_services_use_the_key()
        self.access_logs = self._access_logs(policy)
        self.zones: dict[str, aws_s3.Bucket] = {}
        for name in ZONES:
            lifecycle = config.data.lifecycle[name]
            zone = Zone(
                self,
                name.capitalize(),
                key=self.key,
                access_logs=self.access_logs,
                access_log_folder=name,
                retain=config.retain_data,
                events=name in ("raw", "predictions"),
                noncurrent_days=lifecycle.noncurrent_days,
                expire_days=lifecycle.expire_days,
            )
            self.zones[name] = zone.bucket
        self.runs_table = aws_dynamodb.Table(
            self,
            "Runs",
            partition_key=aws_dynamodb.Attribute(name="pk", type=aws_dynamodb.AttributeType.STRING),
            sort_key=aws_dynamodb.Attribute(name="sk", type=aws_dynamodb.AttributeType.STRING),
            billing_mode=aws_dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=aws_dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=aws_dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=policy,
            deletion_protection=config.retain_data,
        )
        self.database_name = f"passerelle_{config.name.replace('-', '_')}"
        aws_glue.CfnDatabase(
            self,
            "Catalogue",
            catalog_id=self.account,
            database_input=aws_glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description=f"Datasets of Passerelle, environment {config.name}"
            ),
        )
        #: By which personal entities are hashed; "" where no project has such.
        self.hash_key_secret = self._hash_key(policy) if personal_entities else ""
        QueryWorkgroup(self, "Queries", config=config, key=self.key, access_logs=self.access_logs)

    def _hash_key(self, policy: RemovalPolicy) -> str:
        """Return the secret's ARN. Lost or changed, what is recorded could no longer be joined with what comes."""
        secret = aws_secretsmanager.Secret(
            self,
            "EntityHashKey",
            description="Hashes personal entities in recorded predictions; never to be changed",
            encryption_key=self.key,
            generate_secret_string=aws_secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
            removal_policy=policy,
        )
        # A strong reference would be an export: no release could take the last project that needs the key away.
        CrossStackReferences.of(secret).produce(ReferenceStrength.WEAK)
        return secret.secret_arn

    def _let_services_use_the_key(self) -> None:
        """Who sends to encrypted topics and queues uses the key, and so do log groups."""
        logs = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:*"
        self.key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
            )
        )
        ours = {"StringEquals": {"aws:SourceAccount": self.account}}
        # SNS developer guide, "Managing encryption keys": from EventBridge to a topic AWS passes no source.
        topics = f"arn:{self.partition}:sns:{self.region}:{self.account}:*"
        to_topics = {"StringLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}}
        for service, condition in (*((name, ours) for name in _SENDERS), ("events", to_topics)):
            self.key.add_to_resource_policy(
                aws_iam.PolicyStatement(
                    principals=[aws_iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],
                    conditions=condition,
                )
            )

    def _access_logs(self, policy: RemovalPolicy) -> aws_s3.Bucket:
        return aws_s3.Bucket(
            self,
            "AccessLogs",
            encryption=aws_s3.BucketEncryption.S3_MANAGED,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            removal_policy=policy,
            lifecycle_rules=[
                aws_s3.LifecycleRule(
                    id="old-logs",
                    expiration=Duration.days(365),
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
        )
