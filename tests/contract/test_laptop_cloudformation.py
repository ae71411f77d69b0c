"""Stacks on the laptop: SageMaker's types are real; what is only recorded is checked, listed and never dropped."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.platform import down, up
from tests.laptop_platform import ROLE, LaptopPlatform, running_platform, unique, wait_for

SERVER = """
import http.server, os, pathlib, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("content-length", 0)))
        if asked.startswith(b"slow "):
            arrived, released = map(pathlib.Path, asked.decode().split()[1:])
            arrived.touch()
            while not released.exists():
                time.sleep(0.02)
        self.send_response(200); self.send_header("content-type", "text/plain"); self.end_headers()
        self.wfile.write(os.environ.get("ANSWER", "none").encode())
    def log_message(self, *arguments):
        pass
if os.environ.get("ANSWER") == "crash":
    sys.exit("this model does not load")
port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/tiny:1"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopPlatform]:
    script = tmp_path_factory.mktemp("image") / "serve.py"
    script.write_text(SERVER)
    with running_platform(tracking_server=False, images={"tiny": (sys.executable, str(script))}) as running:
        s3 = running.client("s3")
        s3.create_bucket(Bucket="models")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            entry = tarfile.TarInfo("weights")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"w"))
        s3.put_object(Bucket="models", Key="model.tar.gz", Body=archive.getvalue())
        yield running


def _serving(answer: str, **names: str) -> dict[str, Any]:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz", "Environment": {"ANSWER": answer}}
    variant = {"VariantName": "main", "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
               "InitialInstanceCount": 1, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0}  # fmt: skip
    return {
        "Model": {"Type": "AWS::SageMaker::Model",
                  "Properties": {"ExecutionRoleArn": ROLE, "PrimaryContainer": container}},
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]}},
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint",
                     "Properties": {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}, **names}},
    }  # fmt: skip


def _template(resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> str:
    return json.dumps(
        {"Resources": resources, "Outputs": {key: {"Value": item} for key, item in (outputs or {}).items()}}
    )


def _finished(aws: LaptopPlatform, stack: str) -> dict[str, Any]:
    cloudformation = aws.client("cloudformation")

    def ended() -> Any:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        return not found["StackStatus"].endswith("IN_PROGRESS") and found

    return dict(wait_for(ended, 90))


def _create(aws: LaptopPlatform, template: str, **options: Any) -> dict[str, Any]:
    stack = unique("stack")
    aws.client("cloudformation").create_stack(StackName=stack, TemplateBody=template, **options)
    return _finished(aws, stack)


def _reasons(aws: LaptopPlatform, stack: dict[str, Any]) -> str:
    events = aws.client("cloudformation").describe_stack_events(StackName=stack["StackName"])["StackEvents"]
    return "\n".join(event.get("ResourceStatusReason", "") for event in events)


def _names(aws: LaptopPlatform, stack: dict[str, Any]) -> dict[str, str]:
    listed = aws.client("cloudformation").list_stack_resources(StackName=stack["StackName"])["StackResourceSummaries"]
    return {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in listed}


def test_a_stack_with_an_endpoint_is_complete_when_the_endpoint_answers(aws: LaptopPlatform) -> None:
    stack = _create(aws, _template(_serving("one")), Tags=[{"Key": "project", "Value": "flights"}])
    assert stack["StackStatus"] == "CREATE_COMPLETE", _reasons(aws, stack)
    endpoint = aws.client("sagemaker").describe_endpoint(EndpointName=_names(aws, stack)["Endpoint"])
    assert endpoint["EndpointStatus"] == "InService"
    tags = aws.client("sagemaker").list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    assert {"Key": "project", "Value": "flights"} in tags


def test_a_changed_model_is_replaced_and_the_endpoint_updated_then_a_delete_removes_all(
    aws: LaptopPlatform, tmp_path: Path
) -> None:
    stack = _create(aws, _template(_serving("one")))
    before = _names(aws, stack)
    runtime, sagemaker = aws.client("sagemaker-runtime"), aws.client("sagemaker")
    assert runtime.invoke_endpoint(EndpointName=before["Endpoint"], Body=b"x")["Body"].read() == b"one"

    aws.client("cloudformation").update_stack(StackName=stack["StackName"], TemplateBody=_template(_serving("two")))
    updated = _finished(aws, stack["StackName"])
    assert updated["StackStatus"] == "UPDATE_COMPLETE", _reasons(aws, updated)
    after = _names(aws, updated)
    assert after["Endpoint"] == before["Endpoint"]
    assert after["Model"] != before["Model"]
    assert after["Config"] != before["Config"]
    assert runtime.invoke_endpoint(EndpointName=after["Endpoint"], Body=b"x")["Body"].read() == b"two"
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=before["Model"])

    arrived, released = tmp_path / "arrived", tmp_path / "released"
    slow = threading.Thread(
        target=runtime.invoke_endpoint,
        kwargs={"EndpointName": after["Endpoint"], "Body": f"slow {arrived} {released}".encode()},
    )
    slow.start()
    wait_for(arrived.exists)
    aws.client("cloudformation").delete_stack(StackName=stack["StackName"])
    assert not _gone(sagemaker.describe_endpoint, "Endpoint", after["Endpoint"]), "a request is with it"
    released.touch()
    wait_for(lambda: _gone(sagemaker.describe_model, "Model", after["Model"]))
    assert _gone(sagemaker.describe_endpoint, "Endpoint", after["Endpoint"]), "it is deleted before its model"
    slow.join()


def _gone(call: Any, key: str, name: str) -> bool:
    try:
        call(**{f"{key}Name": name})
    except ClientError:
        return True
    return False


def test_a_model_that_does_not_load_fails_the_stack_and_leaves_nothing(aws: LaptopPlatform) -> None:
    name = unique("endpoint")
    stack = _create(aws, _template(_serving("crash", EndpointName=name)))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "did not get into service" in _reasons(aws, stack)
    wait_for(lambda: _gone(aws.client("sagemaker").describe_endpoint, "Endpoint", name))


def test_a_request_that_sagemaker_refuses_fails_the_stack_with_sagemakers_words(aws: LaptopPlatform) -> None:
    resources = _serving("one")
    resources["Config"]["Properties"]["ProductionVariants"][0]["InstanceType"] = "ml.imaginary.large"
    stack = _create(aws, _template(resources))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "ml.imaginary.large" in _reasons(aws, stack)


BUDGET = {
    "Type": "AWS::Budgets::Budget",
    "Properties": {"Budget": {"BudgetType": "COST", "TimeUnit": "MONTHLY",
                              "BudgetLimit": {"Amount": 50, "Unit": "USD"}}},
}  # fmt: skip
SCALING = {
    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
    "Properties": {"MaxCapacity": "4", "MinCapacity": 1, "ResourceId": "endpoint/e/variant/main",
                   "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "ServiceNamespace": "sagemaker"},
}  # fmt: skip


def _recorded(aws: LaptopPlatform) -> str:
    with urllib.request.urlopen(f"{aws.settings.endpoint_url}/_passerelle/status") as answer:
        return "\n".join(json.load(answer)["recorded_only"])


def test_a_recorded_resource_is_listed_until_its_stack_is_deleted_and_its_attributes_resolve(
    aws: LaptopPlatform,
) -> None:
    output = {"id": {"Fn::GetAtt": ["Target", "Id"]}, "budget": {"Ref": "Budget"}}
    stack = _create(aws, _template({"Budget": BUDGET, "Target": SCALING}, output))
    assert stack["StackStatus"] == "CREATE_COMPLETE", _reasons(aws, stack)
    names = _names(aws, stack)
    assert {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]} == {
        "id": names["Target"],
        "budget": names["Budget"],
    }
    assert f"AWS::Budgets::Budget {names['Budget']}" in _recorded(aws)
    assert f"AWS::ApplicationAutoScaling::ScalableTarget {names['Target']}" in _recorded(aws)
    aws.client("cloudformation").delete_stack(StackName=stack["StackName"])
    wait_for(lambda: names["Budget"] not in _recorded(aws) and names["Target"] not in _recorded(aws))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Budget": {"BudgetType": "COST"}}, "Budget.TimeUnit is missing"),
        ({"Budget": BUDGET["Properties"]["Budget"], "Colour": "red"}, "Colour is unknown"),  # type: ignore[index]
        ({"Budget": "COST"}, "Budget must be object, not string"),
        ({"Budget": {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "much", "Unit": "USD"}}},
         "Budget.BudgetLimit.Amount must be number, not string"),
    ],
)  # fmt: skip
def test_a_wrong_property_of_a_recorded_resource_fails_the_stack_with_its_path(
    aws: LaptopPlatform, change: dict[str, Any], reason: str
) -> None:
    stack = _create(aws, _template({"Budget": {**BUDGET, "Properties": change}}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in _reasons(aws, stack)


def test_a_type_that_nobody_knows_is_refused_before_anything_is_made(aws: LaptopPlatform) -> None:
    with pytest.raises(ClientError, match="AWS::SageMaker::Imaginary"):
        _create(aws, _template({"Thing": {"Type": "AWS::SageMaker::Imaginary", "Properties": {}}}))


def test_an_endpoint_answers_again_as_soon_as_the_platform_is_up_again(aws: LaptopPlatform) -> None:
    endpoint = _names(aws, _create(aws, _template(_serving("still here"))))["Endpoint"]
    down(aws.settings)
    up(aws.settings, tracking_server=False)
    answer = aws.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"x")
    assert answer["Body"].read() == b"still here"


def test_what_an_endpoint_answers_is_counted_in_sagemakers_metrics(aws: LaptopPlatform) -> None:
    endpoint = _names(aws, _create(aws, _template(_serving("counted"))))["Endpoint"]
    for _ in range(3):
        aws.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"x")
    moment = datetime.now(UTC)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "main"}]

    def counted() -> bool:
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=dimensions, Period=7200,
            StartTime=moment - timedelta(hours=1), EndTime=moment + timedelta(hours=1), Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        return bool(sum(point["Sum"] for point in points) == 3)

    wait_for(counted)
