"""Alarms of the embedded CloudWatch ring for the metric that they name, and go out; they roll an endpoint back."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import pytest

from tests.laptop_platform import LaptopPlatform, running_platform, unique, wait_for


def put(aws: LaptopPlatform, namespace: str, value: float, **options: Any) -> None:
    aws.client("cloudwatch").put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "Faults", "Value": value, **options}]
    )


def put_alarm(aws: LaptopPlatform, namespace: str, **changes: Any) -> str:
    name = unique("alarm")
    rule = {"MetricName": "Faults", "Namespace": namespace, "Statistic": "Sum", "Period": 10, "EvaluationPeriods": 1,
            "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}  # fmt: skip
    aws.client("cloudwatch").put_metric_alarm(AlarmName=name, **(rule | changes))
    return name


def state(aws: LaptopPlatform, alarm: str) -> str:
    (found,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return str(found["StateValue"])


def wait_for_state(aws: LaptopPlatform, alarm: str, wanted: str) -> None:
    """Alarms are judged when metrics are put, but by a busy machine only by the watch that looks once a second."""
    wait_for(lambda: state(aws, alarm) == wanted)


def test_an_alarm_reads_the_dimensions_that_it_names_and_no_others(embedded_aws: LaptopPlatform) -> None:
    namespace, mine = unique("Alarms"), [{"Name": "EndpointName", "Value": "mine"}]
    alarm = put_alarm(embedded_aws, namespace, Dimensions=mine, TreatMissingData="notBreaching")
    put(embedded_aws, namespace, 1.0, Dimensions=[{"Name": "EndpointName", "Value": "another"}])
    put(embedded_aws, namespace, 1.0)
    wait_for_state(embedded_aws, alarm, "OK")
    put(embedded_aws, namespace, 1.0, Dimensions=mine)
    wait_for_state(embedded_aws, alarm, "ALARM")


def test_an_alarm_goes_out_by_itself_when_its_data_is_of_the_past(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Alarms")
    alarm = put_alarm(embedded_aws, namespace, Period=3, TreatMissingData="notBreaching")
    put(embedded_aws, namespace, 1.0)
    wait_for_state(embedded_aws, alarm, "OK")
    history = embedded_aws.client("cloudwatch").describe_alarm_history(AlarmName=alarm)["AlarmHistoryItems"]
    assert any("to ALARM" in item["HistorySummary"] for item in history)


def test_one_bad_datapoint_is_not_three(embedded_aws: LaptopPlatform) -> None:
    namespace, moment = unique("Alarms"), time.time()
    alarm = put_alarm(embedded_aws, namespace, EvaluationPeriods=3, TreatMissingData="notBreaching")
    wait_for_state(embedded_aws, alarm, "OK")
    put(embedded_aws, namespace, 5.0, Timestamp=moment)
    assert state(embedded_aws, alarm) == "OK"
    for age in (12, 22):
        put(embedded_aws, namespace, 5.0, Timestamp=moment - age)
    wait_for_state(embedded_aws, alarm, "ALARM")


def test_a_state_that_somebody_sets_holds_for_a_period(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Alarms")
    alarm = put_alarm(embedded_aws, namespace, Period=60, TreatMissingData="notBreaching")
    wait_for_state(embedded_aws, alarm, "OK")
    embedded_aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")
    put(embedded_aws, unique("Alarms"), 0.0)
    assert state(embedded_aws, alarm) == "ALARM"


SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.reply(200)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(500 if os.environ["NAME"] == "broken" else 200)
    def reply(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("broken", [True, False])
def test_a_canary_whose_errors_ring_a_real_alarm_is_rolled_back(tmp_path: Any, broken: bool) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with running_platform(tracking_server=False, images={"script": (sys.executable, str(script))}) as aws:
        sagemaker, runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
        for name, served_by in (("old", "sound"), ("new", "broken" if broken else "sound")):
            image = {
                "Image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/script:1",
                "Environment": {"NAME": served_by},
            }
            sagemaker.create_model(
                ModelName=name, PrimaryContainer=image, ExecutionRoleArn="arn:aws:iam::000000000000:role/r"
            )
            variant = {
                "VariantName": "main",
                "ModelName": name,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
            sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        status = lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"]  # noqa: E731
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="old")
        wait_for(lambda: status() == "InService")
        place = {"EndpointName": "e", "VariantName": "main", "EndpointConfigName": "new"}
        alarm = put_alarm(
            aws, "AWS/SageMaker", MetricName="InvocationModelErrors", Period=60, TreatMissingData="notBreaching",
            Dimensions=[{"Name": name, "Value": value} for name, value in place.items()],
        )  # fmt: skip
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": 30 if broken else 2,
                   "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}  # fmt: skip
        deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
                      "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}}  # fmt: skip
        sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="new", DeploymentConfig=deployment)
        while status() != "InService":
            with contextlib.suppress(runtime.exceptions.ModelError):
                runtime.invoke_endpoint(EndpointName="e", Body=b"hi")
            time.sleep(0.05)
        answer = sagemaker.describe_endpoint(EndpointName="e")
        assert answer["EndpointConfigName"] == ("old" if broken else "new")
        assert (alarm in answer.get("FailureReason", "")) == broken
        runtime.invoke_endpoint(EndpointName="e", Body=b"hi")
