"""Where policies are enforced, every part of AWS acts with its role: states, jobs, rules, schedules, buckets' keys."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from laptop.access import Keys, administrator, authority, derived_keys
from laptop.mlflow_server import ARTIFACT_BUCKET, IDENTITY
from tests.laptop_platform import LaptopPlatform, running_platform, unique, wait_for

ACCOUNT = "000000000000"
PLACE = f"us-east-1:{ACCOUNT}"
PRINT = "def handler(event, context):\n    print('ran')\n    return event\n"
WHOSE = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"


class Enforced(LaptopPlatform):
    """A platform whose tests act as its administrator, or with other keys."""

    def client(self, service: str, keys: Keys | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.settings.endpoint_url,
            region_name=self.settings.region,
            verify=authority(self.settings),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
            **(keys or administrator(self.settings)).arguments(),
        )

    def role(self, service: str, *allowed: tuple[str, str], conditions: dict[str, Any] | None = None) -> str:
        """Create a role that a service may take on, which may do (action, resource)."""
        iam, name = self.client("iam"), unique("role")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
        role = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=_policy({**trust, **({"Condition": conditions} if conditions else {})}),
        )
        self.allow(name, *allowed)
        return str(role["Role"]["Arn"])

    def allow(self, role: str, *allowed: tuple[str, str]) -> None:
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allowed]
        if statements:
            self.client("iam").put_role_policy(
                RoleName=role.rpartition("/")[2], PolicyName="own", PolicyDocument=_policy(*statements)
            )

    def run_state(self, role: str, resource: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a machine of one task with a role; returns the execution's description."""
        state = {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True}
        definition = {"QueryLanguage": "JSONata", "StartAt": "Do", "States": {"Do": state}}
        states = self.client("stepfunctions")
        machine = states.create_state_machine(name=unique("m"), roleArn=role, definition=json.dumps(definition))
        return self.finish(self.start(machine["stateMachineArn"]))


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="module")
def aws() -> Iterator[Enforced]:
    images = {"tiny": (sys.executable, "-c", "pass")}
    with running_platform(tracking_server=False, enforce=True, images=images) as running:
        yield Enforced(running.settings)


def test_a_state_may_do_what_its_machines_role_may(aws: Enforced) -> None:
    own = aws.role("lambda")
    function = aws.create_function(WHOSE, Role=own)
    request = {"FunctionName": function, "Payload": {}}
    resource = "arn:aws:states:::lambda:invoke"
    role = aws.role("states")
    refused = aws.run_state(role, resource, request)
    assert refused["error"] == "Lambda.AWSLambdaException"
    assert f"assumed-role/{role.rpartition('/')[2]}/" in refused["cause"]
    assert f"is not authorized to perform: lambda:InvokeFunction on resource: {function}" in refused["cause"]
    aws.allow(role, ("lambda:InvokeFunction", function))
    done = aws.run_state(role, resource, request)
    assert done["status"] == "SUCCEEDED"
    # And the function acts with its own.
    assert f"assumed-role/{own.rpartition('/')[2]}/" in json.loads(done["output"])["Payload"]


def test_a_role_that_does_not_trust_step_functions_is_not_taken_on(aws: Enforced) -> None:
    function = aws.create_function(PRINT, Role=aws.role("lambda"))
    role = aws.role("lambda", ("lambda:InvokeFunction", function))
    refused = aws.run_state(role, "arn:aws:states:::lambda:invoke", {"FunctionName": function, "Payload": {}})
    assert "Could not assume role" in refused["cause"]


def test_a_task_that_cannot_be_checked_does_not_run(aws: Enforced) -> None:
    refused = aws.run_state(aws.role("states", ("*", "*")), "arn:aws:states:::sqs:sendMessage", {"QueueUrl": "q"})
    assert refused["error"] == "States.Runtime"
    assert "cannot be checked" in refused["cause"]


def _job(role: str, bucket: str) -> dict[str, Any]:
    return {
        "TrainingJobName": unique("job"),
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/tiny:1",
            "TrainingInputMode": "File",
        },
        "InputDataConfig": [
            {
                "ChannelName": "data",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def test_who_starts_a_job_must_be_allowed_to_pass_its_role(aws: Enforced) -> None:
    bucket = unique("bucket")
    aws.client("s3").create_bucket(Bucket=bucket)
    job = _job(aws.role("sagemaker"), bucket)
    resource = "arn:aws:states:::aws-sdk:sagemaker:createTrainingJob"
    create = ("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{PLACE}:training-job/*")
    refused = aws.run_state(aws.role("states", create), resource, job)
    assert refused["error"] == "SageMaker.SageMakerException"
    assert f"is not authorized to perform: iam:PassRole on resource: {job['RoleArn']}" in refused["cause"]
    allowed = aws.role("states", create, ("iam:PassRole", job["RoleArn"]))
    assert aws.run_state(allowed, resource, job)["status"] == "SUCCEEDED"


def test_sagemaker_takes_on_only_roles_that_trust_it_for_this_account(aws: Enforced) -> None:
    for role in (
        aws.role("lambda"),
        aws.role("sagemaker", conditions={"StringEquals": {"aws:SourceAccount": "111111111111"}}),
        f"arn:aws:iam::{ACCOUNT}:role/nobody",
    ):
        with pytest.raises(ClientError, match=f"Could not assume role {role}"):
            aws.client("sagemaker").create_training_job(**_job(role, "bucket"))


def test_a_job_reads_with_its_role_and_needs_the_key_behind_the_bucket(aws: Enforced) -> None:
    s3, bucket, sagemaker = aws.client("s3"), unique("bucket"), aws.client("sagemaker")
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket=bucket)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=bucket, Key="data/a", Body=b"a")
    role = aws.role("sagemaker")
    reading = [("s3:ListBucket", f"arn:aws:s3:::{bucket}"), ("s3:GetObject", f"arn:aws:s3:::{bucket}/*")]

    def reason(*allowed: tuple[str, str]) -> str:
        aws.allow(role, *allowed)
        job = _job(role, bucket)
        sagemaker.create_training_job(**job)
        describe = lambda: sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])  # noqa: E731
        wait_for(lambda: describe()["TrainingJobStatus"] in ("Completed", "Failed"))
        return str(describe().get("FailureReason", ""))

    assert "s3:ListBucket" in reason()
    assert "is not authorized to perform: kms:Decrypt" in reason(*reading)
    assert reason(*reading, ("kms:Decrypt", key)) == ""


def test_a_bucket_that_is_deployed_has_the_key_of_its_template(aws: Enforced) -> None:
    key, name, cloud = (
        aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        unique("bucket"),
        aws.client("cloudformation"),
    )
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    encryption = {"ServerSideEncryptionConfiguration": [rule]}
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name, "BucketEncryption": encryption}}
    cloud.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Bucket": bucket}}))
    wait_for(lambda: cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    found = aws.client("s3").get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert found[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key


def _ran(aws: Enforced, function: str) -> bool:
    group = f"/aws/lambda/{function.rpartition(':')[2]}"
    logs = aws.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return False
    return any("ran" in event["message"] for event in logs.filter_log_events(logGroupName=group)["events"])


def test_a_rule_invokes_a_function_that_lets_it_and_buries_the_event_of_one_that_does_not(aws: Enforced) -> None:
    events, sqs = aws.client("events"), aws.client("sqs")
    queue = sqs.create_queue(QueueName=unique("dead"))["QueueUrl"]
    dead = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions = [aws.create_function(PRINT, Role=aws.role("lambda", ("logs:*", "*"))) for _ in range(2)]
    name = unique("rule")
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": ["mine"]}))["RuleArn"]
    aws.client("lambda").add_permission(
        FunctionName=functions[0],
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    targets = [{"Id": str(i), "Arn": arn, "DeadLetterConfig": {"Arn": dead}} for i, arn in enumerate(functions)]
    events.put_targets(Rule=name, Targets=targets)
    events.put_events(Entries=[{"Source": "mine", "DetailType": "t", "Detail": "{}", "Time": datetime.now(UTC)}])
    wait_for(lambda: _ran(aws, functions[0]))
    buried = wait_for(
        lambda: sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages")
    )
    told = {key: value["StringValue"] for key, value in buried[0]["MessageAttributes"].items()}
    assert (told["ERROR_CODE"], told["TARGET_ARN"]) == ("NO_PERMISSIONS", functions[1])
    assert not _ran(aws, functions[1])


def test_mlflow_reaches_its_bucket_and_nothing_else(aws: Enforced) -> None:
    for bucket in (ARTIFACT_BUCKET, other := unique("bucket")):
        aws.client("s3").create_bucket(Bucket=bucket)
    mlflow = aws.client("s3", derived_keys(aws.settings, IDENTITY))
    mlflow.put_object(Bucket=ARTIFACT_BUCKET, Key="a", Body=b"a")
    with pytest.raises(ClientError, match="AccessDenied"):
        mlflow.put_object(Bucket=other, Key="a", Body=b"a")


def test_a_request_without_keys_or_with_an_unreadable_header_is_nobodys(aws: Enforced) -> None:
    context = ssl.create_default_context(cafile=authority(aws.settings))
    for headers in ({}, {"Authorization": "Bearer anything"}):
        target = {"X-Amz-Target": "DynamoDB_20120810.ListTables", **headers}
        request = urllib.request.Request(aws.settings.endpoint_url, b"{}", target)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10, context=context)
        assert refused.value.code == 400


SCALED = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/nobody/variant/main",
          "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "request_", "action", "place", "error"),
    [
        ("cloudwatch:deleteAlarms", {"AlarmNames": ["mine"]}, "cloudwatch:DeleteAlarms",
         f"arn:aws:cloudwatch:{PLACE}:alarm:mine", None),
        ("applicationautoscaling:deregisterScalableTarget", SCALED, "application-autoscaling:DeregisterScalableTarget",
         f"arn:aws:application-autoscaling:{PLACE}:scalable-target/*",
         "ApplicationAutoScaling.ObjectNotFoundException"),
    ],
)  # fmt: skip
def test_alarms_and_scaling_need_their_own_permissions(
    aws: Enforced, resource: str, request_: dict[str, Any], action: str, place: str, error: str | None
) -> None:
    task, other = f"arn:aws:states:::aws-sdk:{resource}", place.replace("mine", "other").replace(":scalable", ":other")
    refused = aws.run_state(aws.role("states", (action, other)), task, request_)
    assert f"is not authorized to perform: {action} on resource: {place}" in refused["cause"]
    done = aws.run_state(aws.role("states", (action, place)), task, request_)
    assert done.get("error") == error, done
