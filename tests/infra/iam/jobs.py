"""SageMaker's jobs and servers: what SageMaker does in the name of their roles, and what the containers call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.infra.iam.functions import bucket_hints
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.needs import Need, needs_of
from tests.infra.iam.program import Program
from tests.infra.iam.requests import Request, Requests, sagemaker_requests
from tests.infra.iam.templates import Assembly

#: What every execution role needs (developer guide, "SageMaker Roles", CreateProcessingJob, CreateTrainingJob, CreateModel).
_LOGS: Final = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")
_PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_EVERYWHERE: Final = ("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken")
#: The same page: with a VpcConfig.
_NETWORK: Final = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeVpcs",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
)
#: Where the log of each kind of work goes (developer guide, "Log Amazon SageMaker Events").
_LOG_GROUPS: Final = {
    "CreateProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "CreateTrainingJob": "/aws/sagemaker/TrainingJobs",
    "CreateModel": "/aws/sagemaker/Endpoints/any",
    "CreateTransformJob": "/aws/sagemaker/TransformJobs",
}


def job_needs(assembly: Assembly, program: Program) -> dict[str, list[Need]]:
    """Return what the roles need that requests hand to SageMaker."""
    if not assembly.of_type("AWS::StepFunctions::StateMachine"):
        return {}
    requests = sagemaker_requests(assembly)
    found: defaultdict[str, list[Need]] = defaultdict(list)
    for operation in ("CreateProcessingJob", "CreateTrainingJob"):
        for request in [*requests.of(operation), *(_trials(requests) if operation == "CreateTrainingJob" else ())]:
            entry = _entry(request)
            found[request["RoleArn"]] += [
                *_always(operation, request, assembly),
                *_job(entry, request),
                *_container(entry, _is_isolated(request), assembly, program),
            ]
    for model, config in zip(requests.of("CreateModel"), requests.of("CreateEndpointConfig"), strict=True):
        found[model["ExecutionRoleArn"]] += [
            *_always("CreateModel", model, assembly),
            *_hosting(model, config),
            *_container("serve", _is_isolated(model), assembly, program),
        ]
    role = requests.of("CreateModel")[0]["ExecutionRoleArn"]
    for request in requests.of("CreateTransformJob"):
        found[role] += [*_log("CreateTransformJob", assembly), *_transform(request)]
    for update, model in zip(requests.of("UpdateEndpoint"), requests.of("CreateModel"), strict=True):
        found[model["ExecutionRoleArn"]] += _rollback(update, assembly)
    return found


def _trials(requests: Requests) -> list[Request]:
    """Trainings of tuning jobs need what others need (developer guide, "SageMaker Roles", both have one list)."""
    return [request["TrainingJobDefinition"] for request in requests.of("CreateHyperParameterTuningJob")]


def _rollback(update: Request, assembly: Assembly) -> Iterator[Need]:
    """Alarms of an update (developer guide, "Auto-Rollback Configuration and Monitoring", note on the role)."""
    alarms = update.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", ())
    for alarm in alarms:
        arn = assembly.account.arn("cloudwatch", f"alarm:{alarm['AlarmName']}")
        yield Need("cloudwatch:DescribeAlarms", arn, "SageMaker rolls an update back by its alarms")


def _entry(request: Request) -> str:
    return str(request.get("AppSpecification", {}).get("ContainerArguments", ["train"])[0])


def _is_isolated(request: Request) -> bool:
    """An isolated container gets no credentials (developer guide, "Run containers in internet-free mode")."""
    network = request.get("NetworkConfig", request)
    return bool(network.get("EnableNetworkIsolation", False))


def _always(operation: str, request: Request, assembly: Assembly) -> Iterator[Need]:
    why = f"SageMaker, for {operation}"
    yield from _log(operation, assembly)
    yield from (Need(action, "*", f"{why}: its metrics and image") for action in _EVERYWHERE)
    repository = repository_of(_image(request), assembly)
    yield from (Need(action, repository, f"{why}: its image") for action in _PULL)
    if request.get("VpcConfig") or request.get("NetworkConfig", {}).get("VpcConfig"):
        yield from (Need(action, "*", f"{why}: its VPC") for action in _NETWORK)


def _log(operation: str, assembly: Assembly) -> Iterator[Need]:
    group = assembly.account.arn("logs", f"log-group:{_LOG_GROUPS[operation]}:log-stream:any")
    yield from (Need(action, group, f"SageMaker, for {operation}: its log") for action in _LOGS)


def _image(request: Request) -> str:
    for part, name in (
        ("AppSpecification", "ImageUri"),
        ("AlgorithmSpecification", "TrainingImage"),
        ("PrimaryContainer", "Image"),
    ):
        if part in request:
            return str(request[part][name])
    raise KeyError("image")


def repository_of(image: str, assembly: Assembly) -> str:
    """Return the ARN of the repository from which an image of ours comes: its builder, or its name, says so."""
    for resource in assembly.of_type("Custom::PasserelleImage"):
        if image == f"{resource.stack}.{resource.logical_id}.Uri":
            return assembly.account.arn("ecr", f"repository/{resource.properties['Repository']}")
    registry, _, rest = image.partition("/")
    if registry == f"{assembly.account.number}.dkr.ecr.{assembly.account.region}.amazonaws.com":
        return assembly.account.arn("ecr", f"repository/{rest.partition('@')[0].partition(':')[0]}")
    raise KeyError(f"{image} is no image of this account's registry")


# Jobs


def _job(entry: str, request: Request) -> Iterator[Need]:
    for uri in _uris(request, "InputDataConfig", "ProcessingInputs"):
        yield from _read(uri, f"SageMaker downloads an input of {entry}")
    for uri in _uris(request, "OutputDataConfig", "ProcessingOutputConfig"):
        yield from _write(uri, f"SageMaker uploads an output of {entry}")
    for uri in _uris(request, "CheckpointConfig"):
        yield from _read(uri, f"SageMaker restores checkpoints of {entry}")
        yield from _write(uri, f"SageMaker keeps checkpoints of {entry}")
    outputs: Request = request.get("OutputDataConfig") or request["ProcessingOutputConfig"]
    if "KmsKeyId" in outputs:
        # "SageMaker Roles": a key in the output configuration; large outputs are uploaded in parts.
        for action in ("kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"):
            yield Need(action, outputs["KmsKeyId"], f"SageMaker encrypts the outputs of {entry}")
    cluster: Request = request.get("ResourceConfig") or request["ProcessingResources"]["ClusterConfig"]
    if "VolumeKmsKeyId" in cluster:
        yield Need("kms:CreateGrant", cluster["VolumeKmsKeyId"], f"SageMaker encrypts the volume of {entry}")


def _uris(request: Request, *parts: str) -> list[str]:
    return [uri for part in parts if part in request for uri in _s3_uris(request[part])]


def _s3_uris(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _s3_uris(item)
    elif isinstance(value, list):
        for item in value:
            yield from _s3_uris(item)
    elif isinstance(value, str) and value.startswith("s3://"):
        yield value


def _read(uri: str, why: str) -> Iterator[Need]:
    """An input is a prefix: SageMaker lists what is below it, then reads it."""
    yield Need("s3:GetObject", _objects(uri), why)
    yield Need("s3:ListBucket", _objects(uri).partition("/")[0], why)


def _write(uri: str, why: str) -> Iterator[Need]:
    yield Need("s3:PutObject", f"{_objects(uri)}/any", why)


def _objects(uri: str) -> str:
    return f"arn:aws:s3:::{uri.removeprefix('s3://').rstrip('/')}"


# Servers


def _hosting(model: Request, config: Request) -> Iterator[Need]:
    # SageMaker reads one object, and does not list (same page, CreateModel).
    yield Need("s3:GetObject", _objects(model["PrimaryContainer"]["ModelDataUrl"]), "SageMaker loads the model")
    capture = config.get("DataCaptureConfig")
    if capture:
        yield from _write(capture["DestinationS3Uri"], "SageMaker keeps what is asked and answered")
    if "KmsKeyId" in config:
        why = "the endpoint's volume is encrypted (API reference, CreateEndpointConfig, KmsKeyId)"
        yield Need("kms:CreateGrant", config["KmsKeyId"], why)


def _transform(request: Request) -> Iterator[Need]:
    """A batch transform job acts in the name of its model's role (developer guide, "SageMaker Roles")."""
    manifest = request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    for uri in (manifest, f"{request['TransformOutput']['S3OutputPath']}/any"):
        yield from _read(uri, "SageMaker reads a batch's manifest and its inputs")
    yield from _write(request["TransformOutput"]["S3OutputPath"], "SageMaker writes a batch's outputs")
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):  # S3 user guide, "Using SSE-KMS"
        yield Need(action, request["TransformOutput"]["KmsKeyId"], "SageMaker encrypts a batch's outputs")
    volume = request["TransformResources"]["VolumeKmsKeyId"]
    yield Need("kms:CreateGrant", volume, "SageMaker encrypts the volume of a transform job")


# Containers


def _container(entry: str, isolated: bool, assembly: Assembly, program: Program) -> list[Need]:
    """Return what the container itself calls; one without credentials must call nothing."""
    calls = calls_of(program, f"training.{entry}.main", "main")
    if isolated and calls:
        raise AssertionError(f"{entry} runs without credentials and calls AWS: {min(call.where for call in calls)}")
    return [need for call in calls for need in needs_of(call, assembly.account, bucket_hints(assembly))]
