"""What each part may do, as policy statements: read beside the steps that need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Stack, aws_iam, aws_s3

Statement = aws_iam.PolicyStatement
#: By which Step Functions hears that a processing job of a `.sync` task has ended.
PROCESSING_RULE: Final = "StepFunctionsGetEventsForSageMakerProcessingJobsRule"


def service(stack: Stack, name: str) -> aws_iam.PrincipalBase:
    """Return a service that acts for this account only (confused deputy, IAM user guide)."""
    condition = {"StringEquals": {"aws:SourceAccount": stack.account}}
    return aws_iam.ServicePrincipal(f"{name}.amazonaws.com", conditions=condition)


def sagemaker_service(stack: Stack) -> aws_iam.PrincipalBase:
    """Return SageMaker, which may assume a role for this account's and region's resources only."""
    return aws_iam.ServicePrincipal(
        "sagemaker.amazonaws.com",
        conditions={
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": f"arn:{stack.partition}:sagemaker:{stack.region}:{stack.account}:*"},
        },
    )


def allow(actions: Sequence[str], *resources: str) -> Statement:
    """Return a statement that allows actions on resources."""
    return Statement(actions=list(actions), resources=list(resources))


def read_objects(*buckets: aws_s3.IBucket, versions: bool = False) -> Statement:
    """Return a statement to read objects, where asked also of older versions."""
    actions = ["s3:GetObject", *(["s3:GetObjectVersion"] if versions else [])]
    return allow(actions, *(bucket.arn_for_objects("*") for bucket in buckets))


def list_objects(*buckets: aws_s3.IBucket) -> Statement:
    """Return a statement to list buckets.

    Who asks for an object that is gone needs it too: without it S3 answers 403, not 404 (API reference, HeadObject).
    """
    return allow(["s3:ListBucket"], *(bucket.bucket_arn for bucket in buckets))


def write_objects(*buckets: aws_s3.IBucket) -> Statement:
    """Return a statement to write objects."""
    return allow(["s3:PutObject"], *(bucket.arn_for_objects("*") for bucket in buckets))


def table_access(table_arn: str, *operations: str) -> Statement:
    """Return a statement for some operations on the runs table."""
    return allow([f"dynamodb:{operation}" for operation in operations], table_arn)


def find_projects(stack: Stack, environment: str) -> Statement:
    """Return a statement to learn which projects are deployed."""
    return allow(["ssm:GetParametersByPath"], _projects(stack, environment))


def read_projects(stack: Stack, environment: str) -> list[Statement]:
    """Return statements to find where a project's archive lies, and which projects there are when it is not there."""
    return [
        find_projects(stack, environment),
        allow(["ssm:GetParameter"], f"{_projects(stack, environment)}/*"),
    ]


def _projects(stack: Stack, environment: str) -> str:
    path = f"parameter/passerelle/{environment}/projects"
    return f"arn:{stack.partition}:ssm:{stack.region}:{stack.account}:{path}"


#: Action on something that our key encrypts -> what the caller may do with the key (S3 user guide, "Using SSE-KMS";
#: CDK's own grants for DynamoDB, after the developer guide, "Encryption at rest"; the guides of Secrets Manager, SQS).
_KEY_ACTIONS: Final = {
    "s3:GetObject": ("Decrypt",),
    "s3:GetObjectVersion": ("Decrypt",),
    "s3:PutObject": ("GenerateDataKey",),
    "dynamodb:GetItem": ("Decrypt",),
    "dynamodb:Query": ("Decrypt",),
    "dynamodb:PutItem": ("Encrypt", "ReEncrypt*", "GenerateDataKey*"),
    "dynamodb:DeleteItem": ("Encrypt", "ReEncrypt*", "GenerateDataKey*"),
    "secretsmanager:GetSecretValue": ("Decrypt",),
    "sqs:SendMessage": ("Decrypt", "GenerateDataKey"),
}


def use_key(key_arn: str, statements: Sequence[Statement]) -> list[Statement]:
    """Return what statements need of the key by which the platform's resources are encrypted, nothing for some.

    CDK's assets are not ours: their bucket has the encryption of the account's bootstrap stack.
    """
    needed = {
        f"kms:{action}"
        for statement in statements
        if not all(":s3:::cdk-" in resource for resource in statement.resources)
        for name in statement.actions
        for action in _KEY_ACTIONS.get(name, ())
    }
    if "kms:GenerateDataKey*" in needed:
        needed.discard("kms:GenerateDataKey")
    return [allow(sorted(needed), key_arn)] if needed else []


def sagemaker(stack: Stack, actions: Sequence[str], *kinds: str, names: str = "*") -> Statement:
    """Return a statement for SageMaker resources of some kinds, by the pattern of their names."""
    arn = f"arn:{stack.partition}:sagemaker:{stack.region}:{stack.account}"
    return allow([f"sagemaker:{action}" for action in actions], *(f"{arn}:{kind}/{names}" for kind in kinds))


def endpoint_alarms(stack: Stack, names: str, *actions: str) -> Statement:
    """Return a statement for the alarms of endpoints: no alarm of a stack has dots in its name."""
    arn = f"arn:{stack.partition}:cloudwatch:{stack.region}:{stack.account}:alarm:{names}.*.*"
    return allow([f"cloudwatch:{action}" for action in actions], arn)


def scale_endpoints(stack: Stack, names: str) -> list[Statement]:
    """Return what scaling endpoints takes (SageMaker developer guide, "Auto scaling prerequisites").

    Application Auto Scaling calls SageMaker and CloudWatch in the name of who registers a target, and makes its
    service-linked role for the first one of an account.
    """
    here = f"{stack.region}:{stack.account}"
    scaling = [f"application-autoscaling:{verb}" for verb in ("Register", "Deregister")]
    linked = "sagemaker.application-autoscaling.amazonaws.com"
    role = f"{linked}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    return [
        Statement(
            actions=[*(f"{action}ScalableTarget" for action in scaling), "application-autoscaling:PutScalingPolicy"],
            resources=[f"arn:{stack.partition}:application-autoscaling:{here}:scalable-target/*"],
            conditions={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
        ),
        sagemaker(stack, ["UpdateEndpointWeightsAndCapacities"], "endpoint", names=names),
        sagemaker(stack, ["DescribeEndpointConfig"], "endpoint-config", names=names),
        sagemaker(stack, ["UpdateInferenceComponentRuntimeConfig"], "inference-component", names=names),
        allow(
            [f"cloudwatch:{action}" for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")],
            *(
                f"arn:{stack.partition}:cloudwatch:{here}:alarm:TargetTracking-{kind}/{names}"
                for kind in ("endpoint", "inference-component")
            ),
        ),
        Statement(
            actions=["iam:CreateServiceLinkedRole"],
            resources=[f"arn:{stack.partition}:iam::{stack.account}:role/aws-service-role/{role}"],
            conditions={"StringLike": {"iam:AWSServiceName": linked}},
        ),
    ]


def pass_to_sagemaker(*roles: aws_iam.IRole) -> Statement:
    """Return a statement to hand roles to SageMaker, and to no other service."""
    return Statement(
        actions=["iam:PassRole"],
        resources=[role.role_arn for role in roles],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def sync_rules(stack: Stack, *rules: str) -> Statement:
    """Return a statement for the managed rules by which `.sync` tasks wait."""
    arn = f"arn:{stack.partition}:events:{stack.region}:{stack.account}:rule"
    actions = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    return allow(actions, *(f"{arn}/{rule}" for rule in rules))


def find_job_logs(stack: Stack) -> Statement:
    """Return a statement to find the log streams of jobs and endpoints."""
    logs = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:/aws/sagemaker/*"
    return allow(["logs:DescribeLogStreams"], logs)


def network_interfaces() -> Statement:
    """Return what jobs and endpoints in a VPC need, without any condition (developer guide, "Roles", VPC)."""
    actions = [
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeVpcs",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
    ]
    return allow(actions, "*")


#: Where `cdk bootstrap` lets the CDK put images that Docker has built on the deploying machine.
CDK_REPOSITORY: Final = "cdk-hnb659fds-container-assets-{account}-{region}"


def sagemaker_role_base(stack: Stack, images: str = "codebuild") -> list[Statement]:
    """Return what every SageMaker execution role needs: logs, metrics, the image (developer guide, "Roles")."""
    logs = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:/aws/sagemaker/*"
    place = f"arn:{stack.partition}:ecr:{stack.region}:{stack.account}:repository"
    repository = f"{place}/{CDK_REPOSITORY.format(account=stack.account, region=stack.region)}"
    if images != "docker":
        repository = f"{place}/passerelle-*"
    metrics = Statement(
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "AWS/SageMaker"]}},
    )
    return [
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], logs),
        metrics,
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"], repository),
    ]
