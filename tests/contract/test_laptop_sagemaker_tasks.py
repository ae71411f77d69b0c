"""State machines run SageMaker jobs on the laptop: .sync, aws-sdk, aborts, the error names that AWS gives."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.laptop_platform import ROLE, LaptopPlatform, running_platform, unique, wait_for

TRAIN = """
import json, os, pathlib, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
wanted = json.loads((base / "input/config/hyperparameters.json").read_text())
print("training with", wanted, flush=True)
time.sleep(float(wanted.get("seconds", "0")))
if "fail" in wanted:
    (base / "output/failure").parent.mkdir(parents=True, exist_ok=True)
    (base / "output/failure").write_text(wanted["fail"])
    sys.exit(1)
(base / "model").mkdir(parents=True, exist_ok=True)
(base / "model/weights").write_text("w")
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopPlatform]:
    script = tmp_path_factory.mktemp("image") / "train.py"
    script.write_text(TRAIN)
    with running_platform(
        tracking_server=False, images={"tiny": (sys.executable, str(script))}, stop_grace_seconds=1.0
    ) as running:
        running.client("s3").create_bucket(Bucket="jobs")
        yield running


def _training(name: str, **hyperparameters: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "000000000000.dkr.ecr.us-east-1.amazonaws.com/tiny:1",
                                   "TrainingInputMode": "File"},
        "HyperParameters": hyperparameters,
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }  # fmt: skip


def _task(resource: str, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True, **fields}


def _run(aws: LaptopPlatform, state: dict[str, Any]) -> dict[str, Any]:
    return aws.finish(aws.start(aws.create_machine({"Task": state, "Caught": {"Type": "Succeed"}})))


def test_a_synchronous_training_task_ends_with_the_description_of_the_completed_job(aws: LaptopPlatform) -> None:
    name = unique("job")
    done = _run(aws, _task("sagemaker:createTrainingJob.sync", _training(name)))
    assert done["status"] == "SUCCEEDED", done
    job = json.loads(done["output"])
    assert (job["TrainingJobName"], job["TrainingJobStatus"]) == (name, "Completed")
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://jobs/")
    assert aws.client("s3").head_object(Bucket="jobs", Key=key)["ContentLength"] > 0
    tags = aws.client("sagemaker").list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"} in tags


def test_a_job_that_fails_fails_its_synchronous_task_with_the_description_as_the_cause(aws: LaptopPlatform) -> None:
    state = _task("sagemaker:createTrainingJob.sync", _training(unique("job"), fail="one class only in column y"))
    done = _run(aws, state)
    assert (done["status"], done["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(done["cause"])
    assert cause["TrainingJobStatus"] == "Failed"
    assert "one class only in column y" in cause["FailureReason"]


def test_a_job_that_somebody_stops_fails_its_synchronous_task(aws: LaptopPlatform) -> None:
    name = unique("job")
    state = _task("sagemaker:createTrainingJob.sync", _training(name, seconds="60"))
    execution = aws.start(aws.create_machine({"Task": state}))
    sagemaker = aws.client("sagemaker")
    wait_for(lambda: _status(aws, name) == "Training")
    sagemaker.stop_training_job(TrainingJobName=name)
    done = aws.finish(execution)
    assert (done["status"], json.loads(done["cause"])["TrainingJobStatus"]) == ("FAILED", "Stopped")


def _status(aws: LaptopPlatform, name: str) -> str | None:
    sagemaker = aws.client("sagemaker")
    if not sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]:
        return None
    return str(sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"])


def test_stopping_an_execution_stops_the_job_that_it_waits_for(aws: LaptopPlatform) -> None:
    name = unique("job")
    state = _task("sagemaker:createTrainingJob.sync", _training(name, seconds="60"))
    execution = aws.start(aws.create_machine({"Task": state}))
    wait_for(lambda: _status(aws, name) == "Training")
    aws.client("stepfunctions").stop_execution(executionArn=execution)
    wait_for(lambda: _status(aws, name) == "Stopped")
    assert aws.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_a_task_without_sync_goes_on_at_once_and_the_sdk_describes_the_job(aws: LaptopPlatform) -> None:
    name = unique("job")
    machine = aws.create_machine(
        {
            "Start": {**_task("aws-sdk:sagemaker:createTrainingJob", _training(name, seconds="1")), "Next": "Look"}
            | {"End": False},
            "Look": _task("aws-sdk:sagemaker:describeTrainingJob", {"TrainingJobName": name}),
        }
    )
    done = aws.finish(aws.start(machine))
    assert done["status"] == "SUCCEEDED", done
    assert json.loads(done["output"])["TrainingJobStatus"] == "InProgress"


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        ("sagemaker:createTrainingJob.sync", "SageMaker.ResourceInUseException"),
        ("sagemaker:createTrainingJob", "SageMaker.ResourceInUseException"),
        ("aws-sdk:sagemaker:createTrainingJob", "SageMaker.ResourceInUseException"),
    ],
)
def test_a_job_name_that_is_taken_gives_the_error_that_is_declared_by_sagemaker(
    aws: LaptopPlatform, resource: str, error: str
) -> None:
    request = _training(unique("job"))
    aws.client("sagemaker").create_training_job(**request)
    caught = [{"ErrorEquals": [error], "Output": "{% $states.errorOutput %}", "Next": "Caught"}]
    done = _run(aws, _task(resource, request, Catch=caught))
    assert done["status"] == "SUCCEEDED", done
    assert json.loads(done["output"])["Error"] == error


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        ("sagemaker:createTrainingJob", "SageMaker.AmazonSageMakerException"),
        ("aws-sdk:sagemaker:createTrainingJob", "SageMaker.SageMakerException"),
    ],
)
def test_a_refused_request_gives_the_base_error_of_the_integration_and_says_why(
    aws: LaptopPlatform, resource: str, error: str
) -> None:
    request = _training("not a name!")
    done = _run(aws, _task(resource, request))
    assert (done["status"], done["error"]) == ("FAILED", error)
    assert "ValidationException" in done["cause"]
    assert "rainingJobName" in done["cause"]


def test_a_model_that_does_not_exist_gives_the_base_error(aws: LaptopPlatform) -> None:
    done = _run(aws, _task("aws-sdk:sagemaker:describeEndpoint", {"EndpointName": "nothing"}))
    assert (done["status"], done["error"]) == ("FAILED", "SageMaker.SageMakerException")


def test_an_endpoint_that_does_not_exist_cannot_be_asked_by_a_task(aws: LaptopPlatform) -> None:
    request = {"EndpointName": "nothing", "Body": {"instances": [[1]]}, "ContentType": "application/json"}
    done = _run(aws, _task("aws-sdk:sagemakerruntime:invokeEndpoint", request))
    assert (done["status"], done["error"]) == ("FAILED", "SageMakerRuntime.ValidationErrorException")


def test_an_endpoint_task_has_no_sync_form(aws: LaptopPlatform) -> None:
    done = _run(aws, _task("sagemaker:createEndpoint.sync", {"EndpointName": "e", "EndpointConfigName": "c"}))
    assert (done["status"], done["error"]) == ("FAILED", "States.Runtime")


def test_boto3_reaches_control_plane_and_runtime_and_gets_sagemakers_errors(aws: LaptopPlatform) -> None:
    with pytest.raises(aws.client("sagemaker").exceptions.ClientError) as refused:
        aws.client("sagemaker").create_training_job(**{**_training("x"), "RoleArn": "no-arn-at-all-but-long"})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    runtime = aws.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName="nothing", Body=b"1,2")


def test_what_a_job_prints_is_in_cloudwatch_and_its_states_are_on_the_event_bus(aws: LaptopPlatform) -> None:
    sqs, events, name = aws.client("sqs"), aws.client("events"), unique("job")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"TrainingJobName": [name], "TrainingJobStatus": ["Completed"]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    aws.client("sagemaker").create_training_job(**_training(name, colour="red"))
    message = wait_for(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]
    assert json.loads(message["Body"])["detail-type"] == "SageMaker Training Job State Change"
    lines = wait_for(
        lambda: aws.client("logs").filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name, filterPattern="red"
        )["events"]
    )
    assert lines[0]["message"].startswith("training with")


def test_a_spot_job_that_is_interrupted_over_http_runs_again_and_completes(aws: LaptopPlatform) -> None:
    name = unique("job")
    request = _training(name, seconds="3") | {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
        "CheckpointConfig": {"S3Uri": f"s3://jobs/checkpoints/{name}"},
    }
    aws.client("sagemaker").create_training_job(**request)
    wait_for(lambda: _status(aws, name) == "Training")
    url = f"{aws.settings.endpoint_url}/_passerelle/interrupt/{name}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
        assert json.load(answer) == {"interrupted": name}
    wait_for(lambda: _status(aws, name) == "Completed")
    job = aws.client("sagemaker").describe_training_job(TrainingJobName=name)
    statuses = [item["Status"] for item in job["SecondaryStatusTransitions"]]
    assert "Interrupted" in statuses
    assert statuses.count("Training") == 2


def _tuning(name: str) -> dict[str, Any]:
    job = _training("x", seconds="60")
    metric = {"Name": "score", "Regex": "score=(.*)"}
    taken = ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "C", "MinValue": "0.1", "MaxValue": "1"}]},
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": job["HyperParameters"],
            "AlgorithmSpecification": {**job["AlgorithmSpecification"], "MetricDefinitions": [metric]},
            **{key: job[key] for key in taken},
        },
    }


def test_a_tuning_job_is_started_and_described_by_the_sdk_and_ends_when_it_is_stopped(aws: LaptopPlatform) -> None:
    name = unique("tune")
    described = _task("aws-sdk:sagemaker:describeHyperParameterTuningJob", {"HyperParameterTuningJobName": name})
    started = {**_task("aws-sdk:sagemaker:createHyperParameterTuningJob", _tuning(name)), "Next": "Look", "End": False}
    machine = aws.create_machine({"Start": started, "Look": described})
    done = aws.finish(aws.start(machine))
    assert done["status"] == "SUCCEEDED", done
    job = json.loads(done["output"])
    assert (job["HyperParameterTuningJobStatus"], job["CreationTime"][:2]) == ("InProgress", "20")
    sagemaker = aws.client("sagemaker")
    wait_for(lambda: sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"])
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    describe = lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)  # noqa: E731
    wait_for(lambda: describe()["HyperParameterTuningJobStatus"] == "Stopped")
    (trial,) = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    assert trial["TrainingJobStatus"] == "Stopped"


def test_stopping_an_execution_stops_the_jobs_of_all_branches(aws: LaptopPlatform) -> None:
    names = [unique("job"), unique("job")]
    branches = [
        {
            "StartAt": "Task",
            "States": {"Task": _task("sagemaker:createTrainingJob.sync", _training(name, seconds="60"))},
        }
        for name in names
    ]
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    state = {"Type": "Parallel", "Branches": branches, "Retry": retry, "End": True}
    execution = aws.start(aws.create_machine({"Both": state}))
    for name in names:
        wait_for(lambda name=name: _status(aws, name) == "Training")
    aws.client("stepfunctions").stop_execution(executionArn=execution)
    for name in names:
        wait_for(lambda name=name: _status(aws, name) == "Stopped")
    assert aws.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"
