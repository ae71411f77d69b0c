"""An endpoint of inference components on the embedded AWS: asleep, woken by a request through a real alarm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.laptop_platform import ROLE, running_platform, wait_for

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"awake")
    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
COPIES = {"ServiceNamespace": "sagemaker", "ResourceId": "inference-component/sleeper",
          "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}  # fmt: skip


def test_a_request_wakes_an_endpoint_that_was_scaled_to_zero(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with running_platform(tracking_server=False, images={"script": (sys.executable, str(script))}) as aws:
        sagemaker, runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
        image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/script:1"
        sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": image}, ExecutionRoleArn=ROLE)
        scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 1}
        variant = {"VariantName": "main", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
                   "ManagedInstanceScaling": scaling}  # fmt: skip
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant], ExecutionRoleArn=ROLE)
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        wait_for(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
        needs = {"NumberOfCpuCoresRequired": 1, "MinMemoryRequiredInMb": 128}
        sagemaker.create_inference_component(
            InferenceComponentName="sleeper", EndpointName="e", VariantName="main", RuntimeConfig={"CopyCount": 1},
            Specification={"ModelName": "m", "ComputeResourceRequirements": needs},
        )  # fmt: skip

        def copies() -> int | None:
            found = sagemaker.describe_inference_component(InferenceComponentName="sleeper")
            settled = found["InferenceComponentStatus"] == "InService"
            return int(found["RuntimeConfig"]["CurrentCopyCount"]) if settled else None

        def ask() -> Any:
            return runtime.invoke_endpoint(EndpointName="e", InferenceComponentName="sleeper", Body=b"hi")[
                "Body"
            ].read()

        wait_for(lambda: copies() == 1)
        assert ask() == b"awake"
        autoscaling = aws.client("application-autoscaling")
        autoscaling.register_scalable_target(**COPIES, MinCapacity=0, MaxCapacity=1)
        steps = {"AdjustmentType": "ChangeInCapacity", "Cooldown": 60, "MetricAggregationType": "Maximum",
                 "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}  # fmt: skip
        policy = autoscaling.put_scaling_policy(
            **COPIES, PolicyName="wake", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
        )
        aws.client("cloudwatch").put_metric_alarm(
            AlarmName="asked", Namespace="AWS/SageMaker", MetricName="NoCapacityInvocationFailures",
            Dimensions=[{"Name": "InferenceComponentName", "Value": "sleeper"}], Statistic="Maximum", Period=30,
            EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="missing", AlarmActions=[policy["PolicyARN"]],
        )  # fmt: skip
        sagemaker.update_inference_component_runtime_config(
            InferenceComponentName="sleeper", DesiredRuntimeConfig={"CopyCount": 0}
        )
        wait_for(lambda: copies() == 0)
        with pytest.raises(runtime.exceptions.ClientError, match="has no capacity to process this request"):
            ask()
        wait_for(lambda: copies() == 1)
        assert ask() == b"awake"
        (activity,) = autoscaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]
        assert (activity["StatusCode"], "CopyCount to 1" in activity["Description"]) == ("Successful", True)
