"""Services that answer while machines are walked through: jobs that leave their results, endpoints, executions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from passerelle.contracts.base import Contract
from passerelle.contracts.monitoring import CountedWindow
from passerelle.contracts.zones import split_s3_uri
from tests.infra.requests.machines import RefusalError
from tests.infra.requests.samples import sample_answer
from tests.unit.steps import results
from tests.unit.steps.watched import reference

Request = Mapping[str, Any]
EXAMPLE: Final[dict[str, Any]] = {"dataframe_split": {"columns": ["a"], "data": [[1.5]]}, "predictions": [1]}
#: moto answers these; everything else is answered here.
IN_MOTO: Final = ("dynamodb", "s3", "ssm")


@dataclass
class Services:
    """What AWS does in one walk.

    `trainings`: what DescribeTrainingJob says, one after the other, on top of what was asked for. `refusals`: errors by
    operation, each given once. `rolls_back`: alarms end the next updates that they guard. `ends_in`: the state in which
    an execution may fail. `wrong`: a challenger beside the champion answers otherwise than in training.
    """

    s3: Any
    trainings: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, list[RefusalError]] = field(default_factory=dict)
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    models: dict[str, Request] = field(default_factory=dict)
    configs: dict[str, Request] = field(default_factory=dict)
    components: dict[str, Request] = field(default_factory=dict)
    rolls_back: bool = False
    ends_in: str = ""
    wrong: bool = False
    contract_hash: str = "c1"
    _jobs: dict[str, Request] = field(default_factory=dict)
    _tunings: dict[str, Request] = field(default_factory=dict)
    _tunings_seen: set[str] = field(default_factory=set)

    @property
    def tuned(self) -> bool:
        """Has a search been asked for?"""
        return bool(self._tunings)

    # Called by states

    def answer_state(self, service: str, operation: str, request: Request) -> Any:
        """Return what a state's call gives."""
        self._keep(operation, request)
        if self.refusals.get(operation):
            raise self.refusals[operation].pop(0)
        match operation:
            case "CreateProcessingJob" | "StartJobRun":
                return self._process(request) if service == "sagemaker" else self._spark(request)
            case "CreateTrainingJob":
                return {"TrainingJobArn": request["TrainingJobName"]}
            case "DescribeTrainingJob" | "DescribeHyperParameterTuningJob":
                return self._describe(request) if "TrainingJobName" in request else self._describe_tuning(request)
            case "UpdateEndpoint" if self.rolls_back and "DeploymentConfig" in request:
                pass
            case "CreateEndpoint" | "UpdateEndpoint":
                self.endpoints[request["EndpointName"]] = request["EndpointConfigName"]
            case "DescribeAlarms":
                return {"MetricAlarms": [{"AlarmName": name, "StateValue": "ALARM"} for name in request["AlarmNames"]]}
            case "DescribeInferenceComponent":
                return self._component(request["InferenceComponentName"])
            case "DescribeEndpoint":
                return self._endpoint(request["EndpointName"])
        return sample_answer(service, operation)

    def _keep(self, operation: str, request: Request) -> None:
        """Also what is refused is kept: it exists already then."""
        kept = {
            "CreateTrainingJob": (self._jobs, "TrainingJobName"),
            "CreateHyperParameterTuningJob": (self._tunings, "HyperParameterTuningJobName"),
            "CreateModel": (self.models, "ModelName"),
            "CreateEndpointConfig": (self.configs, "EndpointConfigName"),
            "CreateInferenceComponent": (self.components, "InferenceComponentName"),
            "UpdateInferenceComponent": (self.components, "InferenceComponentName"),
        }
        if operation in kept:
            place, name = kept[operation]
            place[request[name]] = request

    def _process(self, request: Request) -> dict[str, Any]:
        stage = request["AppSpecification"]["ContainerArguments"][0]
        uris = {item["OutputName"]: item["S3Output"]["S3Uri"] for item in request["ProcessingOutputConfig"]["Outputs"]}
        found: dict[str, Callable[[], Contract]] = {
            "prepare": lambda: results.prepared(contract_hash=self.contract_hash),
            "evaluate": results.evaluated,
            "judge": results.judged,
            "count": lambda: CountedWindow(rows=0, delivered=0),
        }
        result = found[stage]()
        self.put(f"{uris['result']}/result.json", result.model_dump_json().encode())
        self.put(f"{uris['result']}/card.json", b"{}")
        return {**request, "ProcessingStartTime": 1_795_000_000_000, "ProcessingEndTime": 1_795_000_090_000}

    def _spark(self, request: Request) -> dict[str, Any]:
        """A job run is told as GetJobRun tells it, its names in capitals."""
        drop, _ = request["jobDriver"]["sparkSubmit"]["entryPointArguments"]
        result = results.prepared(contract_hash=self.contract_hash, engine="spark", engine_reason="it is large")
        place = drop.removesuffix("drop/drop.json")
        self.put(f"{place}prepare/result.json", result.model_dump_json().encode())
        return {"ApplicationId": request["applicationId"], "JobRunId": "00job", "State": "SUCCESS"}

    def _describe(self, asked: Request) -> dict[str, Any]:
        name = asked["TrainingJobName"]
        request = self._jobs[name]
        said = self.trainings.pop(0) if self.trainings else {"TrainingJobStatus": "Completed"}
        if said["TrainingJobStatus"] == "Completed":
            files = {
                "result.json": results.trained().model_dump_json().encode(),
                "candidates/forest/model/MLmodel": b"x",
            }
            output = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output"
            self.put(f"{output}/output.tar.gz", results.archive(files))
            bundle = {
                "input_example.json": EXAMPLE,
                "metadata.json": request["HyperParameters"],
                "profile.json": reference().to_dict(),
            }
            packed = {name: json.dumps(document).encode() for name, document in bundle.items()}
            self.put(f"{output}/model.tar.gz", results.archive(packed))
        return {**request, "SecondaryStatusTransitions": [], "BillableTimeInSeconds": 60, **said}

    def _describe_tuning(self, asked: Request) -> dict[str, Any]:
        """A tuning job is at work when it is first asked for, then over."""
        name = asked["HyperParameterTuningJobName"]
        status = "Completed" if name in self._tunings_seen else "InProgress"
        self._tunings_seen.add(name)
        times = {"CreationTime": "2026-11-21T05:00:00Z", "HyperParameterTuningEndTime": "2026-11-21T05:20:00Z"}
        return {**self._tunings[name], **times, "HyperParameterTuningJobStatus": status}

    def _trial(self, name: str) -> dict[str, Any]:
        request = self._tunings[name.rpartition("-")[0]]
        definition = request["TrainingJobDefinition"]
        ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"].values()
        tuned = {item["Name"]: item["MinValue"] for group in ranges for item in group}
        return {
            "TrainingJobName": name,
            "TrainingJobStatus": "Completed",
            "HyperParameters": {**definition["StaticHyperParameters"], **tuned},
            "FinalMetricDataList": [{"MetricName": "tuning:score", "Value": 0.8}],
            "BillableTimeInSeconds": 60,
        }

    def put(self, uri: str, body: bytes) -> None:
        """Leave an object, as a job does."""
        bucket, key = split_s3_uri(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _endpoint(self, name: str) -> dict[str, Any]:
        sample = sample_answer("sagemaker", "DescribeEndpoint")
        found = {"EndpointName": name, "EndpointConfigName": self.endpoints[name], "EndpointStatus": "InService"}
        return {key: value for key, value in sample.items() if key != "FailureReason"} | found

    def _component(self, name: str) -> dict[str, Any]:
        kept = self.components[name]
        copies = kept["RuntimeConfig"]["CopyCount"]
        sample = sample_answer("sagemaker", "DescribeInferenceComponent")
        found = {
            "InferenceComponentName": name,
            "Specification": kept["Specification"],
            "InferenceComponentStatus": "InService",
            "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": copies},
        }
        return {key: value for key, value in sample.items() if key != "FailureReason"} | found

    # Called by our code

    def answer_code(self, service: str, operation: str, request: Request) -> Any:
        """Return what a client of boto3 gets; None where moto answers."""
        given = self.answers.get((service, operation))
        if isinstance(given, Exception):
            raise given
        if given is not None:
            return given(request) if callable(given) else given
        if service in IN_MOTO:
            return None
        if operation == "DescribeEndpoint":
            if request["EndpointName"] in self.endpoints:
                return self._endpoint(request["EndpointName"])
            raise client_error(
                operation, "ValidationException", f'Could not find endpoint "{request["EndpointName"]}".'
            )
        if operation == "DescribeInferenceComponent":
            return self._component(request["InferenceComponentName"])
        return self._answer(service, operation, request)

    def _answer(self, service: str, operation: str, request: Request) -> Any:
        match operation:
            case "ListTrainingJobsForHyperParameterTuningJob":
                return {"TrainingJobSummaries": [{"TrainingJobName": f"{request['HyperParameterTuningJobName']}-001"}]}
            case "DescribeTrainingJob":
                return self._trial(request["TrainingJobName"])
            case "GetMetricData":
                return {"MetricDataResults": []}
            case "DescribeEndpointConfig":
                return self.configs[request["EndpointConfigName"]]
            case "InvokeEndpoint":
                predictions = [0] if self.wrong and "TargetVariant" in request else EXAMPLE["predictions"]
                body = json.dumps({"predictions": predictions}).encode()
                return {"Body": StreamingBody(io.BytesIO(body), len(body))}
        return sample_answer(service, operation)


def client_error(operation: str, code: str, message: str = "why", status: int = 400) -> ClientError:
    """Return an error as boto3 raises it."""
    about: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(about, operation)
