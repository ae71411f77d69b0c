"""Code that calls AWS outside the machines' functions: custom resources, failures, the command line, the container.

Each runs with real clients of boto3; what AWS answers is made up, so that nothing but the requests is real.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest import mock

import boto3
from botocore.response import StreamingBody

from cli import deployment
from passerelle.aws import (
    alerts,
    clients,
    dashboards,
    endpoints,
    executions,
    image_copy,
    log_streams,
    monitored,
    tuning_jobs,
)
from passerelle.aws.account import Account
from passerelle.aws.bill import from_cost_explorer
from passerelle.aws.custom_resource import Resource
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.hash_key import hash_key
from passerelle.aws.objects import Objects
from passerelle.aws.price_list import PriceList
from passerelle.aws.source_environment import SourceEnvironment
from passerelle.aws.tracking_tasks import session_target
from passerelle.contracts.runs import RunRecord, RunStatus
from passerelle.domain.dashboard.body import Body
from passerelle.errors import PasserelleError, TransientError
from passerelle.settings import ReconcileDropsSettings
from passerelle.steps.build_image import build_image
from passerelle.steps.reconcile_drops import reconcile_drops
from passerelle.steps.upgrade_schema import upgrade_schema
from tests.infra.iam.functions import parameters
from tests.infra.requests.deployed import Deployed
from tests.infra.requests.recorder import Recorder
from tests.infra.requests.samples import sample_answer
from tests.infra.requests.services import client_error
from tests.infra.requests.told import CREDENTIALS

_LAYER: Final = b"layer"
ROLE: Final = "arn:aws:iam::123456789012:role/r"
CERTIFICATE: Final = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"


def _sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


_MANIFEST: Final = json.dumps({"config": {"digest": _sha256(_LAYER)}, "layers": [{"digest": _sha256(_LAYER)}]})


def _record(status: RunStatus) -> RunRecord:
    moment = "2026-11-21T05:00:00+00:00"
    return RunRecord(project="flights", run_id="r1", attempt=1, status=status, created_at=moment, updated_at=moment)


@dataclass
class Place:
    """Where code runs: an environment's templates, and a folder."""

    deployed: Deployed
    folder: Path
    session: boto3.Session

    def resources(self, type_: str) -> Iterator[Resource]:
        """Yield what CloudFormation sends for the custom resources of a type, as text where it sends text."""
        for item in self.deployed.of_type(type_):
            yield Resource(item.properties, time.monotonic() + 60)

    def answer(self, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Answer as AWS might."""
        made = getattr(self, f"_{service.replace('-', '_')}_{operation.lower()}", None)
        return made(request) if made else sample_answer(service, operation)

    def _ssm_getparameter(self, request: Mapping[str, Any]) -> Any:
        name = str(request["Name"])
        return {"Parameter": {"Value": dict(parameters(self.deployed)).get(name, name.rpartition("/")[2])}}

    def _ssm_getparametersbypath(self, request: Mapping[str, Any]) -> Any:
        return {"Parameters": [{"Name": f"{request['Path']}/flights"}]}

    def _ssm_getparameters(self, request: Mapping[str, Any]) -> Any:
        return {"Parameters": []}

    def _s3_getobject(self, request: Mapping[str, Any]) -> Any:
        return {"Body": StreamingBody(io.BytesIO(b"x"), 1)}

    def _sagemaker_runtime_invokeendpoint(self, request: Mapping[str, Any]) -> Any:
        if "InferenceComponentName" not in request:
            raise client_error("InvokeEndpoint", "ValidationError", "Inference Component Name header is required")
        return self._s3_getobject(request)

    def _dynamodb_getitem(self, request: Mapping[str, Any]) -> Any:
        if request["Key"]["pk"]["S"] != "PROJECT#flights":
            return {}
        return {
            "Item": {
                "record": {"S": _record("running").model_dump_json()},
                "revision": {"N": "1"},
                "run_id": {"S": "r1"},
            }
        }

    def _dynamodb_query(self, request: Mapping[str, Any]) -> Any:
        return {"Items": []}

    def _s3_listobjectversions(self, request: Mapping[str, Any]) -> Any:
        return {"Versions": []}

    def _dynamodb_scan(self, request: Mapping[str, Any]) -> Any:
        return {"Items": []}

    def _stepfunctions_describeexecution(self, request: Mapping[str, Any]) -> Any:
        return {"status": "SUCCEEDED", "executionArn": request["executionArn"], "output": "{}"}

    def _codebuild_batchgetbuilds(self, request: Mapping[str, Any]) -> Any:
        return {"builds": [{"id": request["ids"][0], "buildStatus": "SUCCEEDED"}]}

    def _ecr_describeimages(self, request: Mapping[str, Any]) -> Any:
        raise client_error("DescribeImages", "ImageNotFoundException")

    def _ecr_batchgetimage(self, request: Mapping[str, Any]) -> Any:
        if request["repositoryName"] == "here":
            return {"images": []}
        kind = "application/vnd.oci.image.manifest.v1+json"
        return {"images": [{"imageManifest": _MANIFEST, "imageManifestMediaType": kind}]}

    def _ecr_getdownloadurlforlayer(self, request: Mapping[str, Any]) -> Any:
        path = self.folder / "layer"
        path.write_bytes(_LAYER)
        return {"downloadUrl": path.as_uri()}

    def _ecr_batchchecklayeravailability(self, request: Mapping[str, Any]) -> Any:
        return {"layers": []}

    def _ecs_runtask(self, request: Mapping[str, Any]) -> Any:
        return {"tasks": [{"taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/c/{'0' * 32}"}], "failures": []}

    def _ecs_describetasks(self, request: Mapping[str, Any]) -> Any:
        container = {"name": "mlflow", "runtimeId": "r", "lastStatus": "RUNNING", "exitCode": 1}
        return {"tasks": [{"taskArn": request["tasks"][0], "lastStatus": "STOPPED", "containers": [container]}]}

    def _sagemaker_describeendpoint(self, request: Mapping[str, Any]) -> Any:
        arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"
        return {"EndpointStatus": "Failed", "EndpointConfigName": "c", "EndpointArn": arn}

    def _sagemaker_describeendpointconfig(self, request: Mapping[str, Any]) -> Any:
        return {"ProductionVariants": [{"VariantName": "champion"}]}

    def _s3_listobjectsv2(self, request: Mapping[str, Any]) -> Any:
        key = f"{request['Prefix']}flights-batch-1.json"
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return {"Contents": [{"Key": key, "ETag": "e", "Size": 1, "LastModified": moment}]}

    def _sagemaker_describeinferencecomponent(self, request: Mapping[str, Any]) -> Any:
        return {"InferenceComponentStatus": "Failed", "Specification": {"ModelName": "m"}}

    def _iam_getrole(self, request: Mapping[str, Any]) -> Any:
        return {"Role": {}}


# Paths: each a function of a place


def custom_resources(place: Place) -> None:
    """Images and the schema of the tracking server, with the properties of the templates."""
    for resource in place.resources("Custom::PasserelleImage"):
        with suppress(PasserelleError):  # the image is never found
            build_image(resource, poll_seconds=0)
    for resource in place.resources("Custom::PasserelleSchemaUpgrade"):
        with suppress(PasserelleError):  # the task fails, so that its log is read
            upgrade_schema(resource, poll_seconds=0)


def reconciler(place: Place) -> None:
    """The schedule's function."""
    function = place.deployed.handler("reconcile_drops")
    assert function is not None
    reconcile_drops(ReconcileDropsSettings.from_env(place.deployed.environ(function)))


def failures(place: Place) -> None:
    """An endpoint and a component that failed are deleted, a search is stopped; the log of what failed is looked for.

    People are told of an incident.
    """
    alerts.tell("arn:aws:sns:us-east-1:123456789012:alerts", "flights (prod): distance −12 % …", "What: distance")
    with suppress(PasserelleError):
        endpoints.current_config("passerelle-prod-flights", "c")
    with suppress(PasserelleError):
        endpoints.current_component("passerelle-prod-flights", "m")
    tuning_jobs.stop_tuning("r20130101000000-abcdef-t1-1")
    executions.describe("arn:aws:states:us-east-1:123456789012:execution:m:e")
    log_streams.newest_stream("/aws/sagemaker/TrainingJobs", "flights-r1-train-1")
    log_streams.newest_stream("/aws/sagemaker/Endpoints/passerelle-prod-flights")


def command_line(place: Place) -> None:
    """What people do with a deployed environment."""
    platform = DeployedPlatform("prod", place.session)
    file = place.folder / "été.csv"
    file.write_bytes(b"a\n1\n")
    platform.drop("flights", [file])
    platform.runs(), platform.execution_status("arn:aws:states:us-east-1:123456789012:execution:m:e")
    platform.retry(_record("failed"))
    list(platform.log_lines("/aws/sagemaker/TrainingJobs", prefix="flights"))
    platform.predict("flights", b"{}", content_type="application/json")
    platform.endpoint_status("flights")
    session_target(platform.client("ecs"), "cluster", "service", "mlflow")
    monitored.watch_now(platform, "flights")
    monitored.train_anew(platform, "flights", "by hand")
    with suppress(ValueError):  # the answer's body is no dashboard
        dashboards.read_body(platform, "passerelle-prod-flights")
    requests = ["AWS/SageMaker", "Invocations", "EndpointName", "passerelle-prod-flights"]
    graph = {"type": "metric", "properties": {"title": "Requests", "metrics": [requests, [{"expression": "2"}]]}}
    now, span = datetime.now(UTC), timedelta(days=1)
    dashboards.read_panels(platform, Body.parse(json.dumps({"widgets": [graph]})), now=now, span=span)


def command_deploy(place: Place) -> None:
    """What `passerelle deploy` remembers of the laptop's stacks."""
    platform = DeployedPlatform("laptop", place.session)
    session: Any = mock.MagicMock(platform=platform, on_laptop=True, environment="laptop")
    with mock.patch.object(deployment, "_deploy_on_laptop"):
        deployment.deploy_environment(session)


def questions(place: Place) -> None:
    """What `passerelle doctor` asks of an account."""
    account = Account(lambda service, region: place.session.client(service, region_name=region), region="eu-west-3")
    asked: tuple[Callable[[], Any], ...] = (
        account.regions, account.zones, account.vpcs, account.addresses,
        lambda: account.parameter("/cdk-bootstrap/hnb659fds/version"),
        lambda: account.has_bucket("cdk-hnb659fds-assets-123456789012-eu-west-3", owner="123456789012"),
        lambda: account.quotas("sagemaker"),
        lambda: account.offered_instances(["m5.large"]),
        lambda: account.database_offers("postgres", "17.9", "db.t4g.micro"),
        lambda: account.certificate(CERTIFICATE),
        lambda: account.secret_state("passerelle/oidc"),
        lambda: account.identity_provider("token.actions.githubusercontent.com", account="123456789012"),
        lambda: account.has_role("AWSServiceRoleForECS"),
        lambda: account.may_create_service_role(ROLE, "ecs.amazonaws.com"),
    )  # fmt: skip
    with suppress(KeyError):  # the answer has no headers
        account.identity()
    for ask in asked:
        ask()


def money(place: Place) -> None:
    """What `passerelle cost` asks: the Price List, and the bill."""
    prices = PriceList(lambda service, region: place.session.client(service, region_name=region), region="eu-west-3")
    with suppress(TransientError):  # the answer's product is no JSON
        list(prices.products("AmazonSageMaker", {"regionCode": "eu-west-3"}))
    with suppress(ValueError):  # a group of the answer has one key
        from_cost_explorer(place.session.client("ce"), "prod", date(2026, 11, 1), date(2026, 12, 1))


def carrying(place: Place) -> None:
    """Another environment's run and image."""
    source = SourceEnvironment.enter("staging", role_arn=ROLE, region="us-east-1")
    source.run("flights", "r1")
    source.bucket("models")
    image = image_copy.ImageReference("registry", "passerelle-staging-training", _sha256(_MANIFEST.encode()))
    assert image_copy.copy_image(source, image, "here", patience_seconds=60)
    Objects(clients.client("s3")).write_file("bucket", "key", Path(__file__), hashlib.sha256(b"x").hexdigest())


def container(place: Place) -> None:
    """What `prepare` asks of S3, with the client that it makes itself: on Spark's machines it copies and deletes."""
    Objects().download("bucket", "flights/été.csv", place.folder / "raw", "v1")
    Objects().copy("bucket", "staged/été.parquet", "other", "rows/00000.parquet")
    Objects().delete("bucket", "staged/été.parquet")


def personal_entity(place: Place) -> None:
    """The key of entities that are personal, which no project of this repository has."""
    hash_key.cache_clear()
    assert hash_key("arn:aws:secretsmanager:us-east-1:123456789012:secret:EntityHashKey-AbCdEf")
    hash_key.cache_clear()


CodePath = Callable[[Place], None]
PATHS: Final[tuple[CodePath, ...]] = (
    custom_resources, reconciler, failures, command_line, command_deploy, questions, money, carrying, container,
    personal_entity,
)  # fmt: skip


@contextmanager
def _quiet_seams() -> Iterator[None]:
    """Credentials of nobody's, and fresh clients before and after."""
    clients.client.cache_clear()
    with mock.patch.dict(os.environ, CREDENTIALS):
        yield
    clients.client.cache_clear()


def walk_paths(deployed: Deployed, folder: Path, paths: tuple[CodePath, ...] = PATHS) -> Recorder:
    """Run paths; returns what was asked."""
    with _quiet_seams():
        place = Place(deployed, folder, boto3.Session(region_name="us-east-1"))
        recorder = Recorder(place.answer)
        with recorder.at_work():
            for path in paths:
                path(place)
    return recorder
