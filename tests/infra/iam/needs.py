"""From calls of AWS to the permissions that they need. Source, where none is given: service authorization reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.infra.iam.botocore_model import TRANSFERS, operations
from tests.infra.iam.calls import ApiCall
from tests.infra.iam.values import ANY, NONE, UNKNOWN, Record, Text, elements, texts


@dataclass(frozen=True)
class Account:
    """Where resources are."""

    region: str
    number: str

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.number}:{rest}"


@dataclass(frozen=True)
class Need:
    """A permission that something needs. Not `known`: the resource is one of those that ANY in it stands for."""

    action: str
    resource: str
    why: str
    known: bool = True


class UnsaidError(Exception):
    """The code does not say on which resource it acts, and no hint does."""


#: Operation -> action, where it is not its own name.
ACTIONS: Final = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "sagemaker:InvokeEndpointWithResponseStream": "sagemaker:InvokeEndpoint",
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
}
ON_BUCKET: Final = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
_TUNING_JOB: Final = "sagemaker|hyper-parameter-tuning-job/{HyperParameterTuningJobName}"
_PROCESSING_JOB: Final = "sagemaker|processing-job/{ProcessingJobName}"
#: IAM's prefix -> service and rest of the ARN, with the request's parameters in braces; several by operation.
_RESOURCES: Final[dict[str, str]] = {
    "dynamodb": "dynamodb|table/{TableName}",
    "ssm:GetParametersByPath": "ssm|parameter{Path}",
    "ssm": "ssm|parameter{Name}",
    "states:StartExecution": "|{stateMachineArn}",
    "states:DescribeStateMachine": "|{stateMachineArn}",
    "states:ListExecutions": "|{stateMachineArn}",
    "states": "|{executionArn}",
    # The stream is part of what is authorised, also where the request names none (CloudWatch Logs user guide).
    "logs": "logs|log-group:{logGroupName}:log-stream:{logStreamName}",
    "secretsmanager": "|{SecretId}",
    "sns:Publish": "|{TopicArn}",
    "sts:AssumeRole": "|{RoleArn}",
    "sagemaker:InvokeEndpoint": "sagemaker|endpoint/{EndpointName}",
    "sagemaker:DescribeInferenceComponent": "sagemaker|inference-component/{InferenceComponentName}",
    "sagemaker:DeleteInferenceComponent": "sagemaker|inference-component/{InferenceComponentName}",
    "sagemaker:DescribeEndpoint": "sagemaker|endpoint/{EndpointName}",
    "sagemaker:DeleteEndpoint": "sagemaker|endpoint/{EndpointName}",
    "sagemaker:DescribeEndpointConfig": "sagemaker|endpoint-config/{EndpointConfigName}",
    "sagemaker:DescribeTrainingJob": "sagemaker|training-job/{TrainingJobName}",
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob": _TUNING_JOB,
    "sagemaker:StopHyperParameterTuningJob": _TUNING_JOB,
    "sagemaker:CreateTransformJob": "sagemaker|transform-job/{TransformJobName}",
    "sagemaker:DescribeTransformJob": "sagemaker|transform-job/{TransformJobName}",
    "sagemaker:DescribeModel": "sagemaker|model/{ModelName}",
    # SageMaker knows no resource for these (service authorization reference).
    "sagemaker:ListTrainingJobs": "*",
    "sagemaker:ListProcessingJobs": "*",
    "sagemaker:ListTransformJobs": "*",
    "sagemaker:ListEndpoints": "*",
    "sagemaker:ListTags": "|{ResourceArn}",
    "sagemaker:StopTrainingJob": "sagemaker|training-job/{TrainingJobName}",
    "sagemaker:CreateProcessingJob": _PROCESSING_JOB,
    "sagemaker:DescribeProcessingJob": _PROCESSING_JOB,
    "sagemaker:StopProcessingJob": _PROCESSING_JOB,
    "ecs:RunTask": "|{taskDefinition}",
    "ecs:DescribeTasks": "ecs|task/{cluster}/*",
    # On container instances only, which Fargate has not (service authorization reference, Amazon ECS).
    "ecs:ListTasks": "*",
    "ecr": "ecr|repository/{repositoryName}",
    "codebuild:StartBuild": "codebuild|project/{projectName}",
    "codebuild:BatchGetBuilds": "codebuild|project/{ids}",
    "lambda": "|{FunctionName}",
    "cloudwatch": "*",
    "application-autoscaling:DescribeScalingActivities": "*",
    "tag:GetResources": "*",
    "ce:GetCostAndUsage": "*",
    "emr-serverless:ListJobRuns": "emr-serverless|/applications/{applicationId}",
    "emr-serverless": "emr-serverless|/applications/{applicationId}/jobruns/{jobRunId}",
}
#: The model of an endpoint that scales to zero is a component of its endpoint's name (`naming.component_name`).
_ALSO: Final = {"sagemaker:InvokeEndpoint": "sagemaker|inference-component/{EndpointName}"}
#: Only the running code learns which one it is (the definition of an execution names its functions, an endpoint its
#: configuration, that its models, an ARN its account): any that is granted will do.
_BY_OVERLAP: Final = (
    "lambda:GetFunctionConfiguration", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel",
    "sagemaker:ListTags",
)  # fmt: skip
#: ARNs of what only the running code knows: the form that says no more than the service.
_UNSAID: Final = {
    "states": "states|execution:*",
    "ecs:RunTask": "ecs|task-definition/*",
    "lambda": "lambda|function:*",
    # The code asks for the tags of the endpoint that it has just described.
    "sagemaker:ListTags": "sagemaker|endpoint/*",
}
#: What is created with tags needs this, too.
_TAGGED: Final = {
    "sagemaker:CreateTransformJob": "sagemaker:AddTags",
    "sagemaker:CreateProcessingJob": "sagemaker:AddTags",
}
#: What takes on a role is called by who may hand it over (SageMaker API permissions reference).
_PASSING: Final = ("sagemaker:CreateProcessingJob",)
#: "No permissions are required to perform this operation" (STS API reference, GetCallerIdentity).
_FREE: Final = ("sts:GetCallerIdentity",)
Hints = Mapping[str, str]


def needs_of(call: ApiCall, account: Account, hints: Hints) -> list[Need]:
    """Return what a call needs. `hints`: the part of the code that a call is for -> the bucket that it means.

    Raises UnsaidError when neither the code nor a hint says which bucket.
    """
    found: list[Need] = []
    for operation in operations(call.service, call.method):
        name = f"{operation.prefix}:{operation.name}"
        if operation.prefix == "s3":
            found += _s3(name, _named(call), hints)
        elif name not in _FREE:
            known = name not in _BY_OVERLAP
            actions = [name, *([_TAGGED[name]] if name in _TAGGED else [])]
            found += [_need(item, arn, call, known) for arn in _arns(name, call, account) for item in actions]
            if name in _PASSING:
                found += [_need("iam:PassRole", arn, call) for arn in _filled("|{RoleArn}", name, call, account)]
    return found


def _need(action: str, resource: str, call: ApiCall, known: bool = True) -> Need:
    return Need(action, resource, f"{call.where} calls {call.service}.{call.method}", known)


def _arns(name: str, call: ApiCall, account: Account) -> list[str]:
    prefix = name.partition(":")[0]
    form = _RESOURCES.get(name, _RESOURCES.get(prefix))
    if name in _ALSO:
        return [*_filled(_RESOURCES[name], name, call, account), *_filled(_ALSO[name], name, call, account)]
    if form is None:
        raise UnsaidError(f"{call.where} calls {name}: tests/infra/iam/needs.py does not know the form of its resource")
    return _filled(form, name, call, account)


def _filled(form: str, name: str, call: ApiCall, account: Account) -> list[str]:
    prefix, found = name.partition(":")[0], [""]
    for part in _pieces(form):
        options = _options(call, part[1:-1]) if part.startswith("{") else [part]
        found = [before + option for before in found for option in options]
    return [_finished(arn, _UNSAID.get(name, _UNSAID.get(prefix)), account) for arn in found]


def _options(call: ApiCall, name: str) -> list[str]:
    """Return what a parameter may be. A build's id is `<project>:<number>`."""
    if name != "ids":
        return texts(call.argument(name))
    known = {text.partition(":")[0] for text in texts(elements(call.argument(name))) if ":" in text}
    return sorted(known) or [ANY]


def _finished(arn: str, unsaid: str | None, account: Account) -> str:
    service, bar, rest = arn.partition("|")
    if not bar or rest == ANY or (not service and not rest.startswith("arn:")):
        service, bar, rest = (unsaid or ANY).partition("|")
    if not bar:
        return ANY
    return account.arn(service, rest) if service else rest


def _pieces(form: str) -> list[str]:
    found, rest = [], form
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        found += [before, f"{{{name}}}"]
    return [*found, rest]


# S3


def _named(call: ApiCall) -> ApiCall:
    """Give positional arguments of boto3's transfers their names."""
    names = TRANSFERS.get(call.method, ((), ()))[0]
    items = dict(call.arguments.items)
    for number, name in enumerate(names):
        if str(number) in items:
            items[name] = items.pop(str(number))
    record = Record(tuple(items.items()), call.arguments.complete)
    return ApiCall(call.service, call.method, record, call.file, call.line, call.purpose, call.gone)


def _s3(name: str, call: ApiCall, hints: Hints) -> list[Need]:
    action = ACTIONS.get(name, name)
    if action == "s3:CopyObject":
        return [*_copied_from(call, hints), *_s3("s3:PutObject", call, hints)]
    buckets = _buckets(call, call.argument("Bucket"), hints)
    if action in ON_BUCKET:
        return [_need(action, f"arn:aws:s3:::{bucket}", call) for bucket in buckets]
    found = []
    for bucket in buckets:
        for key in texts(call.argument("Key")):
            found += [_need(item, f"arn:aws:s3:::{bucket}/{key}", call) for item in _by_version(action, call)]
        if call.gone and action == "s3:GetObject":
            # Without it S3 answers 403, not 404, for an object that is gone (API reference, GetObject and HeadObject).
            why = f"{call.where} tells a missing object from a forbidden one"
            found.append(Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", why))
    return found


def _by_version(action: str, call: ApiCall) -> list[str]:
    """Reading a version needs another permission than reading what is current (API reference, GetObject)."""
    if action not in ("s3:GetObject", "s3:DeleteObject") or not call.arguments.has("VersionId"):
        return [action]
    return [*([action] if call.may_lack("VersionId") else []), f"{action}Version"]


def _copied_from(call: ApiCall, hints: Hints) -> list[Need]:
    buckets: set[str] = set()
    for source in call.argument("CopySource"):
        named = source.get("Bucket") if isinstance(source, Record) else UNKNOWN
        buckets |= set(_buckets(call, named, hints))
    return [_need("s3:GetObject", f"arn:aws:s3:::{bucket}/{ANY}", call) for bucket in sorted(buckets)]


def _buckets(call: ApiCall, values: object, hints: Hints) -> list[str]:
    assert isinstance(values, frozenset)
    known = sorted({value.text for value in values if isinstance(value, Text) and ANY not in value.text})
    if values - NONE - {Text(name) for name in known}:
        hint = hints.get(call.purpose)
        if hint is None:
            raise UnsaidError(
                f"{call.where} calls {call.service}.{call.method}: the code does not say on which bucket. Say in "
                f"tests/infra/iam/hints.py which one {call.purpose or 'it'} means, and why."
            )
        known = sorted({*known, hint})
    return known
