"""What each part may do, as policy statements: read beside the steps that need them."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack, aws_iam, aws_s3

Statement = aws_iam.PolicyStatement


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


def table_access(table_arn: str) -> Statement:
    """Return a statement for the runs table."""
    actions = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query"]
    return allow(actions, table_arn)


def read_projects(stack: Stack, environment: str) -> Statement:
    """Return a statement to find the deployed projects."""
    path = f"parameter/passerelle/{environment}/projects"
    arn = f"arn:{stack.partition}:ssm:{stack.region}:{stack.account}:{path}"
    return allow(["ssm:GetParameter", "ssm:GetParametersByPath"], arn, f"{arn}/*")


def sagemaker(stack: Stack, actions: Sequence[str], *kinds: str) -> Statement:
    """Return a statement for SageMaker resources of some kinds."""
    arn = f"arn:{stack.partition}:sagemaker:{stack.region}:{stack.account}"
    return allow([f"sagemaker:{action}" for action in actions], *(f"{arn}:{kind}/*" for kind in kinds))


def pass_to_sagemaker(role: aws_iam.IRole) -> Statement:
    """Return a statement to hand a role to SageMaker, and to no other service."""
    return Statement(
        actions=["iam:PassRole"],
        resources=[role.role_arn],
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


def sagemaker_role_base(stack: Stack) -> list[Statement]:
    """Return what every SageMaker execution role needs: logs, metrics, the image (developer guide, "Roles")."""
    logs = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:/aws/sagemaker/*"
    repository = f"arn:{stack.partition}:ecr:{stack.region}:{stack.account}:repository/passerelle-*"
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
