"""The local SageMaker refuses, with SageMaker's own codes, what botocore's model or the documented rules refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError
from laptop.settings import LaptopSettings
from tests.contract import sagemaker_requests as make
from tests.fakes.surroundings import QuietSurroundings


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home: Path = tmp_path_factory.mktemp("sagemaker")
    service = SageMaker(LaptopSettings(home=home, images={"script": ("true",)}), QuietSurroundings(home / "s3"))
    service.call("CreateModel", make.model("contract-model"))
    service.call("CreateModel", make.model("isolated", EnableNetworkIsolation=True))
    service.call("CreateEndpointConfig", make.endpoint_config("taken"))
    yield service
    service.close()


def refused(sagemaker: SageMaker, operation: str, request: dict[str, Any]) -> SageMakerError:
    with pytest.raises(SageMakerError) as caught:
        sagemaker.call(operation, request)
    return caught.value


CREATES = {
    "CreateTrainingJob": (make.training("t"), "TrainingJobName"),
    "CreateProcessingJob": (make.processing("p"), "ProcessingJobName"),
    "CreateTransformJob": (make.transform("x"), "TransformJobName"),
    "CreateHyperParameterTuningJob": (make.tuning("h"), "HyperParameterTuningJobName"),
    "CreateModel": (make.model("m"), "ModelName"),
    "CreateEndpointConfig": (make.endpoint_config("c"), "EndpointConfigName"),
    "CreateEndpoint": ({"EndpointName": "e", "EndpointConfigName": "taken"}, "EndpointName"),
    "UpdateEndpoint": ({"EndpointName": "e", "EndpointConfigName": "taken"}, "EndpointName"),
}
NAMED = {
    "TrainingJobName": ("DescribeTrainingJob", "StopTrainingJob"),
    "ProcessingJobName": ("DescribeProcessingJob", "StopProcessingJob"),
    "TransformJobName": ("DescribeTransformJob", "StopTransformJob"),
    "HyperParameterTuningJobName": ("DescribeHyperParameterTuningJob", "StopHyperParameterTuningJob",
                                    "ListTrainingJobsForHyperParameterTuningJob"),
    "ModelName": ("DescribeModel", "DeleteModel"),
    "EndpointConfigName": ("DescribeEndpointConfig", "DeleteEndpointConfig"),
    "EndpointName": ("DescribeEndpoint", "DeleteEndpoint"),
}  # fmt: skip
BY_NAME = [(operation, key) for key, operations in NAMED.items() for operation in operations]
LISTS = ("ListTrainingJobs", "ListProcessingJobs", "ListTransformJobs", "ListHyperParameterTuningJobs", "ListModels",
         "ListEndpointConfigs", "ListEndpoints")  # fmt: skip


@pytest.mark.parametrize("operation", CREATES)
def test_a_create_without_its_name_is_refused_by_the_model(sagemaker: SageMaker, operation: str) -> None:
    request, key = CREATES[operation]
    error = refused(sagemaker, operation, {name: value for name, value in request.items() if name != key})
    assert error.code == "ValidationException"
    assert f"'{key[0].lower()}{key[1:]}'" in error.message
    assert "must not be null" in error.message


@pytest.mark.parametrize("operation", CREATES)
@pytest.mark.parametrize("name", ["has space", "-dash-first", "under_score", "x" * 64, ""])
def test_a_create_with_a_name_outside_the_pattern_is_refused(sagemaker: SageMaker, operation: str, name: str) -> None:
    request, key = CREATES[operation]
    error = refused(sagemaker, operation, request | {key: name})
    assert error.code == "ValidationException"
    assert "failed to satisfy constraint" in error.message


@pytest.mark.parametrize("operation", CREATES)
def test_a_member_of_the_wrong_type_and_an_unknown_one_are_both_told(sagemaker: SageMaker, operation: str) -> None:
    request, key = CREATES[operation]
    error = refused(sagemaker, operation, request | {key: 5, "NoSuchMember": 1})
    assert error.message.startswith("2 validation errors detected")
    assert "NoSuchMember"[1:] in error.message


@pytest.mark.parametrize(("operation", "key"), BY_NAME)
def test_what_does_not_exist_is_not_found(sagemaker: SageMaker, operation: str, key: str) -> None:
    error = refused(sagemaker, operation, {key: "nobody"})
    assert error.code in ("ValidationException", "ResourceNotFound")
    assert "not find" in error.message or "not found" in error.message


@pytest.mark.parametrize(("operation", "key"), BY_NAME)
def test_a_name_is_needed_to_describe_stop_or_delete(sagemaker: SageMaker, operation: str, key: str) -> None:
    assert refused(sagemaker, operation, {}).code == "ValidationException"
    assert refused(sagemaker, operation, {key: ["x"]}).code == "ValidationException"


@pytest.mark.parametrize("operation", LISTS)
def test_lists_refuse_pages_and_tokens_that_are_not_theirs(sagemaker: SageMaker, operation: str) -> None:
    assert refused(sagemaker, operation, {"MaxResults": 0}).code == "ValidationException"
    assert refused(sagemaker, operation, {"SortOrder": "Sideways"}).code == "ValidationException"
    assert refused(sagemaker, operation, {"NextToken": "not base64!"}).code == "ValidationException"


CHANNEL = {"ChannelName": "a", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}}}
S3_INPUT = {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix", "S3InputMode": "File"}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
RULES: list[tuple[str, dict[str, Any], str]] = [
    ("CreateTrainingJob", make.training("t", EnableManagedSpotTraining=True), "MaxWaitTimeInSeconds"),
    ("CreateTrainingJob", make.training("t", EnableManagedSpotTraining=True,
                                        StoppingCondition__MaxWaitTimeInSeconds=59), "greater than or equal"),
    ("CreateTrainingJob", make.training("t", StoppingCondition__MaxWaitTimeInSeconds=90), "EnableManagedSpot"),
    ("CreateTrainingJob", make.training("t", AlgorithmSpecification__TrainingImage=None), "exactly one of"),
    ("CreateTrainingJob", make.training("t", AlgorithmSpecification__AlgorithmName="a"), "exactly one of"),
    ("CreateTrainingJob", make.training("t", InputDataConfig=[CHANNEL, CHANNEL]), "unique"),
    ("CreateTrainingJob", make.training("t", HyperParameters={"a": 1}), "type string"),
    ("CreateTrainingJob", make.training("t", HyperParameters={str(i): "x" for i in range(101)}), "less than or equal"),
    ("CreateTrainingJob", make.training("t", ResourceConfig__InstanceType="ml.toaster"), "enum value set"),
    ("CreateTrainingJob", make.training("t", ResourceConfig__VolumeSizeInGB=-1), "greater than or equal"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/model"}),
     "must not be under"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/home/me"}),
     "under /opt/ml/"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/../x"}),
     "under /opt/ml/"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/opt/ml//"}),
     "under /opt/ml/"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/opt//ml/input/x"}),
     "must not be under"),
    ("CreateTrainingJob", make.training("t", CheckpointConfig={"S3Uri": "https://b/c"}), "s3://bucket/prefix"),
    ("CreateTrainingJob", make.training("t", OutputDataConfig__S3OutputPath="http://x"), "regular expression"),
    ("CreateTrainingJob", make.training("t", OutputDataConfig__S3OutputPath="https://x/y"), "s3://bucket/prefix"),
    ("CreateTrainingJob", make.training("t", OutputDataConfig__CompressionType="NONE"), "GZIP only"),
    ("CreateTrainingJob", make.training("t", StoppingCondition=None), "StoppingCondition is required"),
    ("CreateTrainingJob", make.training("t", ResourceConfig=None), "ResourceConfig is required"),
    ("CreateTrainingJob", make.training("t", AlgorithmSpecification=None), "AlgorithmSpecification is required"),
    ("CreateTrainingJob", make.training("t", AlgorithmSpecification__TrainingImage=None,
                                        AlgorithmSpecification__AlgorithmName="a"), "algorithm resources"),
    ("CreateTrainingJob", make.training("t", InputDataConfig=[CHANNEL | {"ChannelName": ".."}]), "name of a folder"),
    ("CreateTrainingJob", make.training("t", InputDataConfig=[CHANNEL | {"ChannelName": "."}]), "name of a folder"),
    ("CreateTrainingJob", make.training("t", InputDataConfig=[CHANNEL | {"CompressionType": "Gzip"}]), "Pipe mode only"),
    ("CreateTrainingJob", make.training("t", InputDataConfig=[CHANNEL | {"RecordWrapperType": "RecordIO"}]), "records"),
    ("CreateTrainingJob", make.training("t", Tags=[{"Key": "aws:x", "Value": "y"}]), "aws:"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[
        {"InputName": "i", "S3Input": {**S3_INPUT, "LocalPath": "/etc"}}]), "/opt/ml/processing"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[{"InputName": "i", "S3Input": S3_INPUT}] * 2),
     "unique"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[
        {"InputName": f"i{n}", "S3Input": S3_INPUT} for n in range(11)]), "less than or equal"),
    ("CreateProcessingJob", make.processing("p", StoppingCondition={"MaxRuntimeInSeconds": 777_601}), "less than"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[
        {"InputName": "i", "S3Input": {**S3_INPUT, "LocalPath": "/opt/ml/processing/../../x"}}]), "/opt/ml/processing"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[
        {"InputName": "i", "S3Input": {**S3_INPUT, "S3InputMode": "Pipe"}}]), "does not stream"),
    ("CreateProcessingJob", make.processing("p", ProcessingInputs=[
        {"InputName": "i", "S3Input": {**S3_INPUT, "S3CompressionType": "Gzip"}}]), "Pipe mode only"),
    ("CreateTransformJob", make.transform("x", DataProcessing={"InputFilter": "$..a"}), "does not support"),
    ("CreateTransformJob", make.transform("x", DataProcessing={"JoinSource": "Input"},
                                          TransformInput__ContentType="image/png"), "ContentType"),
    ("CreateTransformJob", make.transform("x", DataProcessing={"JoinSource": "Input"},
                                          TransformInput__SplitType="None"), "SplitType Line"),
    ("CreateTransformJob", make.transform("x", DataProcessing={"JoinSource": "Input"},
                                          TransformOutput__AssembleWith="None"), "AssembleWith Line"),
    ("CreateTransformJob", make.transform("x", DataProcessing={"JoinSource": "Output"}), "enum value set"),
    ("CreateTransformJob", make.transform("x", MaxPayloadInMB=101, MaxConcurrentTransforms=0), "greater than 100"),
    ("CreateTransformJob", make.transform("x", DataCaptureConfig={"DestinationS3Uri": "s3://b/c"}), "not offered"),
    ("CreateTransformJob", make.transform("x", ModelName="nobody"), "Could not find model"),
    ("CreateTransformJob", make.transform("x", MaxConcurrentTransforms=20, MaxPayloadInMB=6), "100 MB"),
    ("CreateTransformJob", make.transform("x", BatchStrategy="MultiRecord",
                                          TransformInput__SplitType="None"), "SplitType"),
    ("CreateHyperParameterTuningJob", make.tuning("h" * 33), "less than or equal to 32"),
    ("CreateHyperParameterTuningJob", make.tuning(
        "h", HyperParameterTuningJobConfig__HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "no"}),
     "MetricDefinitions"),
    ("CreateHyperParameterTuningJob", make.tuning("h", HyperParameterTuningJobConfig__Strategy="Grid"), "categorical"),
    ("CreateHyperParameterTuningJob", make.tuning(
        "h", HyperParameterTuningJobConfig__ParameterRanges={"ContinuousParameterRanges": [
            {"Name": "x", "MinValue": "3", "MaxValue": "2"}]}), "exceeds"),
    ("CreateModel", make.model("m", PrimaryContainer=None), "either PrimaryContainer or Containers"),
    ("CreateModel", make.model("m", PrimaryContainer__ModelDataUrl="s3://b/model.zip"), ".tar.gz"),
    ("CreateModel", make.model("contract-model"), "already existing"),
    ("CreateEndpointConfig", make.endpoint_config("taken"), "already existing"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.variant("a", ModelName="nobody")]),
     "Could not find model"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.variant("a"), make.variant("b")],
                                                  ShadowProductionVariants=[make.variant("s")]), "only specify one"),
    ("CreateEndpointConfig", make.endpoint_config("c", ShadowProductionVariants=[make.variant("main")]), "unique"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.variant("a", InstanceType=None)]),
     "InstanceType"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.serverless("a")],
                                                  ShadowProductionVariants=[make.variant("s")]), "serverless"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.serverless("a")],
                                                  DataCaptureConfig=CAPTURE), "serverless"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[
        make.serverless("a", ServerlessConfig__MemorySizeInMB=1500)]), "multiple of 1024"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[
        make.serverless("a", ServerlessConfig__ProvisionedConcurrency=6)]), "ProvisionedConcurrency"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.serverless("a", ModelName="isolated")]),
     "isolation"),
    ("CreateEndpointConfig", make.endpoint_config("c", ProductionVariants=[make.serverless("a")],
                                                  VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
     "VPC"),
    ("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "nobody"}, "Could not find endpoint config"),
    ("AddTags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/m",
                 "Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}, "50"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "request_", "says"), RULES, ids=lambda value: str(value)[:40])
def test_a_documented_rule_is_held(sagemaker: SageMaker, operation: str, request_: dict[str, Any], says: str) -> None:
    error = refused(sagemaker, operation, request_)
    assert error.code in ("ValidationException", "ResourceLimitExceeded")
    assert says in error.message


def test_an_operation_that_sagemaker_has_and_the_laptop_has_not_is_named(sagemaker: SageMaker) -> None:
    error = refused(sagemaker, "CreateDomain", {"DomainName": "d", "AuthMode": "IAM", "DefaultUserSettings": {}})
    assert error.code == "UnknownOperationException"
    assert "CreateTrainingJob" in error.message


def test_an_endpoint_that_does_not_exist_cannot_be_asked(sagemaker: SageMaker) -> None:
    with pytest.raises(SageMakerError, match="not found") as caught:
        sagemaker.invoke_endpoint("nobody", {}, b"{}")
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
