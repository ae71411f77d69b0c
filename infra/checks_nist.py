"""NIST 800-53 R5 (cdk-nag's rules): which controls are met another way, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aws_cdk import Acknowledgment

from infra.config import PlatformConfig

#: Rule -> why it does not hold here, in every environment.
EVERYWHERE: Final = {
    "IAMNoInlinePolicy": (
        "Each role has one policy of its own, written beside what it is for and deleted with it; a managed policy "
        "would invite others to use it. "
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies-choosing-managed-or-inline.html"
    ),
    "LambdaConcurrency": (
        "Reserved concurrency is taken from the whole account's; claims are conditional writes, so any number of "
        "functions at once is right, and throttles raise an alarm. "
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"
    ),
    "LambdaInsideVPC": (
        "Functions that talk to MLflow are in the network. The others call AWS's public, IAM-signed APIs only; in a "
        "network each API would need an endpoint, paid by the hour. "
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html"
    ),
    "LambdaDLQ": (
        "Functions that are invoked asynchronously have one. A dead letter queue is never used by the others: state "
        "machines and CloudFormation wait for their answer. "
        "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"
    ),
    "CloudWatchAlarmAction": (
        "Alarms of what windows of predictions show are states for dashboards: the step that judges the windows sends "
        "one message for each cause itself, and an alarm that tells rings when that step falls silent. "
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html"
    ),
    "S3BucketReplicationEnabled": (
        "Versioned, and protected from deletion; a second region doubles storage and is a choice of the business. "
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html"
    ),
    "S3DefaultEncryptionKMS": (
        "The bucket of access logs: S3 and load balancers deliver to SSE-S3 only. "
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html"
    ),
    "DynamoDBInBackupPlan": (
        "Point-in-time recovery restores any second of 35 days, which no plan of snapshots does. "
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html"
    ),
}
WITH_NETWORK: Final = {
    "VPCDefaultSecurityGroupClosed": (
        "Nothing uses the default group: every function, job, task and database has one of its own. Emptying it would "
        "need a function that may change security groups. "
        "https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html"
    ),
}
WITHOUT_FLOW_LOGS: Final = {
    "VPCFlowLogsEnabled": (
        "Flow logs are paid per GB; this environment is no production. "
        "https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs.html"
    ),
}
WITH_PUBLIC_SUBNETS: Final = {
    "VPCNoUnrestrictedRouteToIGW": (
        "`network.egress` asks for it, or people sign in at a public load balancer: security groups let in those only "
        "whom the configuration names. https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html"
    ),
}
WITH_TRACKING: Final = {
    "SecretsManagerRotationEnabled": (
        "RDS rotates the database's password itself. These are passwords of MLflow's own users: change the secret, and "
        "the next deployment's schema task gives it to MLflow. "
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html"
    ),
    "RDSInBackupPlan": (
        "Automated backups restore any second of the days that `tracking.backup_days` says. "
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html"
    ),
}
NO_STANDBY: Final = {
    "RDSMultiAZSupport": (
        "No production: a restore from backups is enough here, a standby would double the price. "
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.html"
    ),
}
DISPOSABLE: Final = {
    "RDSInstanceDeletionProtectionEnabled": (
        "This environment is made to be deleted (retain_data: false). "
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html"
    ),
}
NO_PRODUCTION: Final = {
    "RDSEnhancedMonitoringEnabled": (
        "Written to logs every minute and paid per GB; outside production the database's metrics and alarms suffice. "
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.html"
    ),
}

#: Where the database was restored from a snapshot.
FROM_SNAPSHOT: Final = {
    "RDSStorageEncrypted": (
        "Encryption comes from the snapshot, and may not be said beside it: passerelle's are encrypted. "
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbinstance.html"
    ),
}


def nist_acknowledgements(config: PlatformConfig) -> Iterator[Acknowledgment]:
    """Yield every acknowledged rule that this environment's choices bring with them."""
    found = dict(EVERYWHERE)
    if config.network:
        found |= WITH_NETWORK
        if not config.network.flow_logs:
            found |= WITHOUT_FLOW_LOGS
        if config.network.egress != "endpoints" or (config.tracking and config.tracking.oidc):
            found |= WITH_PUBLIC_SUBNETS
    if config.tracking:
        found |= WITH_TRACKING
        found |= {} if config.tracking.multi_az else NO_STANDBY
        found |= FROM_SNAPSHOT if config.tracking.restore_from_snapshot else {}
        found |= {} if config.retain_data else DISPOSABLE
        found |= {} if config.stage == "production" else NO_PRODUCTION
    for rule, reason in found.items():
        yield Acknowledgment(id=f"NIST.800.53.R5-{rule}", reason=reason)
