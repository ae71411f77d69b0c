"""PostgreSQL of the tracking server: Graviton, TLS only, password kept and rotated by AWS, restorable to a second."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import (
    CfnDeletionPolicy,
    Duration,
    Stack,
    aws_cloudwatch,
    aws_iam,
    aws_kms,
    aws_rds,
    aws_secretsmanager,
)
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.config_parts import Tracking
from infra.constructs.alarm import AlertTopic, Severity, alarm
from infra.stacks.network import NetworkStack
from passerelle.contracts import tracking as server

ENGINE: Final = "17.9"
FAMILY: Final = "postgres17"
#: db.t4g.micro has 1 GiB and about 80 connections; MLflow takes ten a task, RDS itself keeps three.
FREE_STORAGE_BYTES: Final = 2 * 1024**3
MANY_CONNECTIONS: Final = 60


class TrackingDatabase(Construct):
    """An instance whose password RDS itself makes and rotates: no function does, and no template knows it.

    `AWS::RDS::DBInstance` is written out: CDK's own construct cannot leave the password to RDS.
    """

    user: Final = "passerelle"
    port: Final = 5432

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        tracking: Tracking,
        network: NetworkStack,
        key: aws_kms.IKey,
        alerts: AlertTopic,
    ) -> None:
        super().__init__(scope, id_)
        subnets = aws_rds.CfnDBSubnetGroup(
            self,
            "Subnets",
            db_subnet_group_description=f"Isolated subnets of passerelle {config.name}",
            subnet_ids=network.vpc.select_subnets(subnet_group_name="isolated").subnet_ids,
        )
        parameters = aws_rds.CfnDBParameterGroup(
            self,
            "Parameters",
            description=f"passerelle {config.name}: TLS only",
            family=FAMILY,
            parameters={"rds.force_ssl": "1", "log_min_duration_statement": "1000", "log_connections": "1"},
        )
        retain = config.retain_data
        self.instance = aws_rds.CfnDBInstance(
            self,
            "Instance",
            engine="postgres",
            engine_version=ENGINE,
            auto_minor_version_upgrade=True,
            allow_major_version_upgrade=False,
            db_instance_class=f"db.{tracking.database_instance}",
            **self._source(tracking, key),
            manage_master_user_password=True,
            master_user_secret=aws_rds.CfnDBInstance.MasterUserSecretProperty(kms_key_id=key.key_arn),
            port=str(self.port),
            allocated_storage=str(tracking.storage_gb),
            max_allocated_storage=tracking.max_storage_gb,
            storage_type="gp3",
            multi_az=tracking.multi_az,
            publicly_accessible=False,
            db_subnet_group_name=subnets.ref,
            vpc_security_groups=[network.database.security_group_id],
            db_parameter_group_name=parameters.ref,
            backup_retention_period=tracking.backup_days,
            preferred_backup_window="02:00-03:00",
            preferred_maintenance_window="sun:03:30-sun:04:30",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not retain,
            deletion_protection=retain,
            enable_cloudwatch_logs_exports=["postgresql", "upgrade"],
            ca_certificate_identifier="rds-ca-rsa2048-g1",
            **(self._enhanced_monitoring() if config.stage == "production" else {}),
        )
        policy = CfnDeletionPolicy.SNAPSHOT if retain else CfnDeletionPolicy.DELETE
        self.instance.cfn_options.deletion_policy = policy
        self.instance.cfn_options.update_replace_policy = CfnDeletionPolicy.SNAPSHOT
        self.host = self.instance.attr_endpoint_address
        #: RDS's own secret: JSON with `username` and `password`.
        self.secret = aws_secretsmanager.Secret.from_secret_attributes(
            self, "Password", secret_complete_arn=self.instance.attr_master_user_secret_secret_arn, encryption_key=key
        )
        self._alarms(alerts)

    def _source(self, tracking: Tracking, key: aws_kms.IKey) -> dict[str, Any]:
        """An empty, encrypted database, or the one in a snapshot.

        From the snapshot come database, user and encryption, with its key; CloudFormation takes none of them beside it
        (CloudFormation reference, AWS::RDS::DBInstance, DBSnapshotIdentifier).
        """
        if tracking.restore_from_snapshot:
            return {"db_snapshot_identifier": tracking.restore_from_snapshot}
        return {
            "db_name": server.DATABASE,
            "master_username": self.user,
            "storage_encrypted": True,
            "kms_key_id": key.key_arn,
        }

    def _enhanced_monitoring(self) -> dict[str, Any]:
        """Metrics of the operating system, every minute."""
        role = aws_iam.Role(
            self,
            "MonitoringRole",
            assumed_by=may.service(Stack.of(self), "monitoring.rds"),
        )
        # What the managed policy AmazonRDSEnhancedMonitoringRole allows, for this group only.
        stack = Stack.of(self)
        group = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:RDSOSMetrics"
        write = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"]
        role.add_to_policy(may.allow(["logs:CreateLogGroup", "logs:PutRetentionPolicy"], group))
        role.add_to_policy(may.allow(write, f"{group}:log-stream:*"))
        return {"monitoring_interval": 60, "monitoring_role_arn": role.role_arn}

    def _alarms(self, alerts: AlertTopic) -> None:
        below = aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        above = aws_cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        rules: tuple[tuple[str, float, aws_cloudwatch.ComparisonOperator, Severity, str], ...] = (
            ("FreeStorageSpace", FREE_STORAGE_BYTES, below, "page", "less than 2 GiB are free. Raise max_storage_gb"),
            ("CPUUtilization", 90, above, "notify", "busy for 15 minutes. Read statements over 1 s in its log group"),
            ("DatabaseConnections", MANY_CONNECTIONS, above, "notify", "connections run out. Fewer tasks, or larger"),
        )
        for what, threshold, operator, severity, words in rules:
            metric = aws_cloudwatch.Metric(
                namespace="AWS/RDS",
                metric_name=what,
                dimensions_map={"DBInstanceIdentifier": self.instance.ref},
                period=Duration.minutes(5),
                statistic="Average",
            )
            alarm(
                self,
                what,
                metric,
                alerts=alerts,
                description=f"Tracking database: {words}.",
                threshold=threshold,
                periods=3,
                operator=operator,
                severity=severity,
            )
