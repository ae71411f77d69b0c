"""One zone of the data: an encrypted, versioned, TLS-only bucket."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, aws_kms, aws_s3
from constructs import Construct


class Zone(Construct):
    """A bucket for one step of the data's way. Idle, it costs its storage only.

    Old versions are deleted after `noncurrent_days`, objects (where given) after `expire_days`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        key: aws_kms.IKey,
        access_logs: aws_s3.IBucket,
        access_log_folder: str,
        retain: bool,
        events: bool,
        noncurrent_days: int,
        expire_days: int | None,
    ) -> None:
        super().__init__(scope, id_)
        self.bucket = aws_s3.Bucket(
            self,
            "Bucket",
            encryption=aws_s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=f"{access_log_folder}/",
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
            lifecycle_rules=[
                aws_s3.LifecycleRule(
                    id="old-versions-and-broken-uploads",
                    noncurrent_version_expiration=Duration.days(noncurrent_days),
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                    expiration=Duration.days(expire_days) if expire_days else None,
                )
            ],
        )
        if events:
            # The L2 switch makes a custom resource with a Lambda of its own; the property itself needs none.
            child = self.bucket.node.default_child
            assert isinstance(child, aws_s3.CfnBucket)
            path = "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"
            child.add_property_override(path, True)
