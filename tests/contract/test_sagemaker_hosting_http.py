"""Endpoints as boto3 sees them, over HTTP and through the embedded AWS: no call retried, every error as modelled."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from laptop.platform import AWS, down, up
from laptop.processes import Processes
from passerelle.aws.endpoint_metrics import Watched, count_of, latency_of
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import CONTAINER
from tests.laptop_platform import LaptopPlatform, running_platform, unique, wait_for
from tests.unit.steps.world import embedded


@pytest.fixture(scope="module")
def aws() -> Iterator[LaptopPlatform]:
    images = {"script": (sys.executable, str(CONTAINER))}
    with running_platform(tracking_server=False, images=images) as running:
        yield running


def configured(aws: LaptopPlatform, *variants: dict[str, Any], **environment: str) -> str:
    """Create a model that tells its configuration's name, and the configuration; returns the name."""
    name, sagemaker = unique("c"), aws.client("sagemaker")
    sagemaker.create_model(**make.model(name, PrimaryContainer__Environment={"NAME": name, **environment}))
    listed = [variant | {"ModelName": name} for variant in variants or (make.variant("main"),)]
    sagemaker.create_endpoint_config(**make.endpoint_config(name, ProductionVariants=listed))
    return name


def served(aws: LaptopPlatform, config: str) -> str:
    endpoint, sagemaker = unique("e"), aws.client("sagemaker")
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    return endpoint


def ask(aws: LaptopPlatform, endpoint: str, body: bytes = b"hi", **options: str) -> dict[str, Any]:
    return dict(aws.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=body, **options))


def refused(aws: LaptopPlatform, endpoint: str, body: bytes = b"hi", **options: str) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        ask(aws, endpoint, body, **options)
    return dict(caught.value.response)


def test_boto3_clients_that_never_pause_get_every_answer_through_several_updates(aws: LaptopPlatform) -> None:
    configs = [configured(aws) for _ in range(4)]
    endpoint = served(aws, configs[0])
    seen: set[str] = set()
    failures: list[BaseException] = []
    done = threading.Event()

    def send() -> None:
        runtime = aws.client("sagemaker-runtime")
        while not done.is_set():
            try:
                answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=b"hi")
                seen.add(json.loads(answer["Body"].read())["name"])
            except BaseException as error:
                failures.append(error)

    clients = [threading.Thread(target=send) for _ in range(4)]
    for client in clients:
        client.start()
    sagemaker = aws.client("sagemaker")
    for config in configs[1:]:
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
        wait_for(lambda config=config: config in seen)
    done.set()
    for client in clients:
        client.join()
    assert failures == []
    assert seen == set(configs)


def test_the_answer_carries_the_variant_and_the_containers_custom_attributes(aws: LaptopPlatform) -> None:
    endpoint = served(aws, configured(aws))
    answer = ask(aws, endpoint, ContentType="text/csv", Accept="application/json", CustomAttributes="trace-1",
                 InferenceId="id 1", TargetVariant="main")  # fmt: skip
    assert answer["InvokedProductionVariant"] == "main"
    assert answer["CustomAttributes"] == "seen trace-1"
    assert answer["ContentType"] == "application/json"
    headers = json.loads(answer["Body"].read())["headers"]
    assert (headers["content-type"], headers["accept"]) == ("text/csv", "application/json")
    assert headers["x-amzn-sagemaker-inference-id"] == "id 1"
    assert "authorization" not in headers


def test_a_containers_refusal_is_a_model_error_with_its_status_words_and_log(aws: LaptopPlatform) -> None:
    endpoint = served(aws, configured(aws))
    answer = refused(aws, endpoint, b"bad")
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 400
    assert json.loads(answer["OriginalMessage"])["body"] == "bad"
    assert answer["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{endpoint}")


def test_what_the_runtime_does_not_take_is_a_validation_error(aws: LaptopPlatform) -> None:
    endpoint = served(aws, configured(aws))
    for answer in (
        refused(aws, endpoint, b"x" * 6_291_457),
        refused(aws, endpoint, TargetVariant="nobody"),
        refused(aws, unique("nobody")),
    ):
        assert answer["Error"]["Code"] == "ValidationError"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_serverless_endpoint_throttles_beyond_its_concurrency(aws: LaptopPlatform, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    one = make.serverless("main", ServerlessConfig__MaxConcurrency=1)
    endpoint = served(aws, configured(aws, one, HOLD=str(hold)))
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(ask(aws, endpoint)))
    caller.start()
    wait_for(lambda: (hold.parent / "hold.seen").exists())
    assert refused(aws, endpoint)["Error"]["Code"] == "ThrottlingException"
    hold.unlink()
    caller.join()
    assert len(answers) == 1


def test_cloudwatch_has_every_call_of_every_variant(aws: LaptopPlatform) -> None:
    endpoint = served(aws, configured(aws))
    for _ in range(20):
        ask(aws, endpoint)
    refused(aws, endpoint, b"bad")

    def statistic(metric: str, name: str) -> float:
        today = datetime.now(UTC)
        answer = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=metric, Period=3600, Statistics=[name],
            StartTime=today - timedelta(hours=1), EndTime=today + timedelta(hours=1),
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "main"}],
        )  # fmt: skip
        return float(sum(point[name] for point in answer["Datapoints"]))

    wait_for(lambda: statistic("Invocations", "Sum") == 21)
    assert statistic("Invocation4XXErrors", "Sum") == 1
    assert statistic("Invocation4XXErrors", "SampleCount") == 21
    assert statistic("ModelLatency", "SampleCount") == 21
    assert statistic("ModelLatency", "Minimum") > 0


def test_what_a_variant_stood_in_one_configuration_is_counted_and_timed_with_intervals(
    aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(aws)
    endpoint = served(aws, config)
    for _ in range(40):
        ask(aws, endpoint)
    refused(aws, endpoint, b"bad")
    with embedded(aws.settings, monkeypatch):
        watched = Watched(endpoint=endpoint, variant="main", config=config, since=datetime.now(UTC))
        wait_for(lambda: count_of(watched).requests == 41)
        assert count_of(watched).errors == 0
        found = {seen.share: seen.found for seen in latency_of(watched)}
        nobody = replace(watched, variant="nobody")
        assert (count_of(nobody).requests, latency_of(nobody)) == (0, ())
    middle, slowest = found[0.5], found[0.99]
    assert middle.lower is not None
    assert middle.upper is not None
    assert 0 < middle.lower <= middle.value <= middle.upper <= slowest.value
    assert slowest.upper is None


def test_after_a_restart_of_the_platform_endpoints_answer_with_their_changed_weights(aws: LaptopPlatform) -> None:
    name = configured(aws, make.variant("a"), make.variant("b"))
    endpoint, sagemaker = served(aws, name), aws.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0.0}]
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    down(aws.settings)
    up(aws.settings, tracking_server=False)
    assert {ask(aws, endpoint)["InvokedProductionVariant"] for _ in range(20)} == {"b"}
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService")


def test_a_platform_killed_in_mid_update_serves_the_old_model_and_ends_the_update(
    aws: LaptopPlatform, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    old, new = configured(aws), configured(aws, READY_WHEN=str(gate))
    endpoint, sagemaker = served(aws, old), aws.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)
    platform = Processes(aws.settings).find(AWS)
    assert platform is not None
    servers = psutil.Process(platform.pid).children(recursive=True)
    os.kill(platform.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert alive == [], "no server outlives the platform"
    up(aws.settings, tracking_server=False)
    assert json.loads(ask(aws, endpoint)["Body"].read())["name"] == old
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", old)
    gate.touch()
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    assert json.loads(ask(aws, endpoint)["Body"].read())["name"] == new
