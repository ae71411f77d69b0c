"""One environment at work: its real functions, with the settings of its templates, on AWS as moto has it."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from unittest import mock

import boto3
import yaml

from passerelle.aws import clients
from passerelle.aws.experiment_log import Registered
from passerelle.contracts import naming
from passerelle.domain.project import Project, load_project
from passerelle.errors import JobFailedError
from tests.infra.conftest import ROOT
from tests.infra.iam.functions import assets_bucket
from tests.infra.iam.states import definition
from tests.infra.iam.templates import Resource
from tests.infra.requests.deployed import Deployed
from tests.infra.requests.integrations import Integration
from tests.infra.requests.machines import Call, FailedError, RefusalError, Rendered, Walk, machine_of
from tests.infra.requests.recorder import Recorder
from tests.infra.requests.services import Services
from tests.unit.steps.machine import CONTEXT, load_handler

_PREFIX: Final = "PASSERELLE_"
_CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class NoMlflow:
    """Stands for MLflow's server, which is no part of AWS; each model is a version of its own."""

    versions = count(1)

    def __init__(self, *_: str) -> None:
        pass

    def tell(self, story: Any, *_: Any) -> Registered:
        return Registered("http://mlflow/run", str(next(self.versions)))

    def __getattr__(self, name: str) -> Any:
        return lambda *positional, **named: None


class Cloud:
    """`environment` replaces the templates' name, to try the longest that is allowed."""

    def __init__(self, deployed: Deployed, recorder: Recorder, *, environment: str | None = None) -> None:
        self.deployed, self.recorder = deployed, recorder
        with self.settings("gather_drop") as settings:
            self.environment = environment or settings["PASSERELLE_ENVIRONMENT"]
            self.zones: dict[str, str] = json.loads(settings["PASSERELLE_ZONES"])
            self.runs_table = settings["PASSERELLE_RUNS_TABLE"]
        self.region = deployed.account.region
        clients.client.cache_clear()  # those of the cloud before may be of another region
        self.s3, self.ssm = (boto3.client(service, region_name=self.region) for service in ("s3", "ssm"))
        self._build()

    def _build(self) -> None:
        existing = {item["Name"] for item in self.s3.list_buckets()["Buckets"]}
        if set(self.zones.values()) <= existing:
            return
        for bucket in (*self.zones.values(), assets_bucket(self.deployed)):
            if bucket not in existing:
                place = {"LocationConstraint": self.region}
                self.s3.create_bucket(
                    Bucket=bucket, **({"CreateBucketConfiguration": place} if self.region != "us-east-1" else {})
                )
        self.s3.put_bucket_versioning(Bucket=self.zones["raw"], VersioningConfiguration={"Status": "Enabled"})
        boto3.client("dynamodb", region_name=self.region).create_table(
            TableName=self.runs_table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        )

    def deploy(self, project: str, **changes: Mapping[str, Any]) -> Project:
        """Deploy flights under another name; `changes` replace fields of sections of its project.yaml."""
        document = yaml.safe_load((ROOT / "projects/flights/project.yaml").read_text(encoding="utf-8"))
        document["name"] = project
        for section, values in changes.items():
            document[section] = dict(values) if section == "tags" else document.get(section, {}) | values
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("project.yaml", yaml.safe_dump(document))
        bucket, key = assets_bucket(self.deployed), f"{project:0<64}.zip"  # as long as CDK's
        self.s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
        where = json.dumps({"uri": f"s3://{bucket}/{key}", "hash": "0" * 12})
        name = naming.project_parameter(self.environment, project)
        self.ssm.put_parameter(Name=name, Value=where, Type="String", Overwrite=True)
        return load_project(yaml.safe_dump(document), source=f"{project}/project.yaml")

    # Functions

    @contextmanager
    def settings(self, handler: str) -> Iterator[dict[str, str]]:
        """Give this process the environment of a function while it lasts."""
        function = self.deployed.handler(handler)
        assert function is not None, handler
        with self._settings(function) as found:
            yield found

    @contextmanager
    def _settings(self, function: Resource) -> Iterator[dict[str, str]]:
        found = self.deployed.environ(function) | {"PASSERELLE_QUIET_WINDOW_SECONDS": "0"}
        if getattr(self, "environment", None):
            found["PASSERELLE_ENVIRONMENT"] = self.environment
        kept = {name: value for name, value in os.environ.items() if not name.startswith((_PREFIX, "AWS_"))}
        region = {"AWS_DEFAULT_REGION": self.deployed.account.region, "POWERTOOLS_LOG_LEVEL": "CRITICAL"}
        with mock.patch.dict(os.environ, kept | found | region | _CREDENTIALS, clear=True):
            yield found

    def invoke(self, handler: str, event: Any, services: Services) -> Any:
        """Call a function's handler in a fresh environment, as Lambda does; its requests are recorded."""
        function = self.deployed.handler(handler)
        assert function is not None, f"{handler} is not deployed in {self.environment}"
        return self._invoke(function, event, services)

    def _invoke(self, function: Resource, event: Any, services: Services) -> Any:
        name = function.properties["Handler"].split(".")[1]
        self.recorder.answer = services.answer_code
        with (
            self._settings(function),
            self.recorder.at_work(),
            mock.patch("passerelle.steps.register_model.ExperimentLog", NoMlflow),
            mock.patch("passerelle.steps.promote_model.ExperimentLog", NoMlflow),
            mock.patch("passerelle.steps.log_windows.WindowLog", NoMlflow),
        ):
            return load_handler(name)(event, CONTEXT)

    # State machines

    def execute(
        self, machine: Resource, execution: Mapping[str, Any], value: Any, services: Services
    ) -> list[Rendered]:
        """Walk through a machine, and those that it starts; returns every request that the states would send."""
        rendered: list[Rendered] = []

        def call(integration: Integration, request: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
            if integration.name == "lambda:invoke":
                function = self.deployed.function_of(arguments["FunctionName"])
                try:
                    return {"Payload": self._invoke(function, arguments.get("Payload"), services)}
                except JobFailedError as error:
                    raise RefusalError(type(error).__name__, str(error)) from error
            if integration.name == "states:startExecution":
                nested = machine_of(self.deployed, request["stateMachineArn"])
                inner = {
                    **execution,
                    "Name": request["name"],
                    "Id": _execution_arn(self.deployed, nested, request["name"]),
                }
                rendered.extend(self.execute(nested, inner, json.loads(request["input"]), services))
                return {"Output": {}}
            return services.answer_state(integration.service, integration.operation, request)

        return self._walked(machine, execution, value, call, services, rendered)

    def _walked(
        self,
        machine: Resource,
        execution: Mapping[str, Any],
        value: Any,
        call: Call,
        services: Services,
        rendered: list[Rendered],
    ) -> list[Rendered]:
        services.answers |= _history(definition(machine))
        walk = Walk(machine, execution, call, services.models)
        try:
            walk.run(value)
        except FailedError as failed:
            if failed.state != services.ends_in:
                raise
        return [*walk.rendered, *rendered]


def _history(machine: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """What Step Functions tells of an execution: one call of the machine's first function."""
    moment = datetime(2026, 11, 21, 5, tzinfo=UTC)
    state = next(name for name, state in machine["States"].items() if "Payload" in state.get("Arguments", {}))
    entered = {"type": "TaskStateEntered", "timestamp": moment, "stateEnteredEventDetails": {"name": state}}
    events = [entered, *({"type": type_, "timestamp": moment} for type_ in ("TaskScheduled", "TaskSucceeded"))]
    return {
        ("stepfunctions", "GetExecutionHistory"): {"events": events},
        ("stepfunctions", "DescribeStateMachineForExecution"): {"definition": json.dumps(machine)},
    }


def _execution_arn(deployed: Deployed, machine: Resource, name: str) -> str:
    return f"{deployed.arn_of(machine).replace(':stateMachine:', ':execution:')}:{name}"


def execution_context(deployed: Deployed, machine: Resource, name: str, redrives: int = 0) -> dict[str, Any]:
    """Return `$states.context.Execution`; RedriveCount is there once an execution was redriven (developer guide)."""
    context = {"Id": _execution_arn(deployed, machine, name), "Name": name}
    return {**context, **({"RedriveCount": redrives} if redrives else {})}
