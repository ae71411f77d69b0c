"""Where people query: Athena with a limit per query, answers encrypted in a bucket of their own."""

from __future__ import annotations

from typing import Final

from aws_cdk import RemovalPolicy, aws_athena, aws_kms, aws_s3
from constructs import Construct

from infra.config import PlatformConfig
from infra.constructs.zone import Zone

#: Answers can be had again by asking again.
NONCURRENT_DAYS: Final = 1
_GB: Final = 1_000_000_000


class QueryWorkgroup(Construct):
    """The workgroup `passerelle-<environment>`, whose settings no client can change. Idle, it costs its key's use only.

    Athena cancels a query that reads more than `data.athena_scan_limit_gb`.
    """

    def __init__(
        self, scope: Construct, id_: str, *, config: PlatformConfig, key: aws_kms.IKey, access_logs: aws_s3.IBucket
    ) -> None:
        super().__init__(scope, id_)
        results = Zone(
            self,
            "Results",
            key=key,
            access_logs=access_logs,
            access_log_folder="query-results",
            retain=config.retain_data,
            events=False,
            noncurrent_days=NONCURRENT_DAYS,
            expire_days=config.data.query_results_days,
        )
        self.name = f"passerelle-{config.name}"
        group = aws_athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=self.name,
            description=f"Queries over Passerelle's datasets and captured predictions, environment {config.name}",
            recursive_delete_option=not config.retain_data,
            work_group_configuration=aws_athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                requester_pays_enabled=False,
                bytes_scanned_cutoff_per_query=int(config.data.athena_scan_limit_gb * _GB),
                engine_version=aws_athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=aws_athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{results.bucket.bucket_name}/",
                    expected_bucket_owner=config.account,
                    encryption_configuration=aws_athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=key.key_arn
                    ),
                ),
            ),
        )
        group.apply_removal_policy(RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY)
