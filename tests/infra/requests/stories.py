"""What a project may be, and what may happen to its run: together they lead through every state of every machine.

A state that no story reaches fails `test_requests_of_states`; add the story here that leads to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3

from infra.constructs.project_monitors import JOB_FROM_MIB
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.steps.serve_again import deployment_request
from tests.infra.requests.cloud import Cloud, execution_context
from tests.infra.requests.machines import RefusalError, Rendered, machine_of, machine_of_file
from tests.infra.requests.services import Services

#: As long as names may be: `naming.PROJECT_PATTERN`, the name of `PlatformConfig`.
LONGEST_PROJECT: Final = 20
LONGEST_ENVIRONMENT: Final = "longest-env-name"
#: Step Functions redrives at most 1,000 times; attempts have as many digits as a configuration's name has room for.
MOST_REDRIVES: Final = 1_000
MOST_ATTEMPTS: Final = 999
Changes = Mapping[str, Mapping[str, Any]]
CAPACITY: Final = {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: no capacity"}
_INTERRUPTED: Final = [{"Status": "Interrupted"}] * 2


@dataclass(frozen=True)
class Story:
    """One project, and what becomes of its run.

    `runs` of it follow each other; then an A/B test `tries` the first's, or what its model is asked is `watched`.
    """

    name: str
    environment: str = "prod"
    project: Changes = field(default_factory=dict)
    happens: Callable[[Services], None] = lambda _: None
    runs: int = 1
    redrives: int = 0
    attempt: int = 1
    longest: bool = False
    tries: bool = False
    watched: bool = False

    @property
    def project_name(self) -> str:
        return f"{self.name.replace(' ', '-')[:LONGEST_PROJECT]:x<{LONGEST_PROJECT}}"


def _real_time(**serving: Any) -> Changes:
    return {"serving": {"profile": "real-time", "instance_type": "ml.m5.large", "instance_count": 2, **serving}}


def _serverless(**serving: Any) -> Changes:
    return {
        "serving": {
            "profile": "serverless",
            "memory_mb": 6144,
            "max_concurrency": 200,
            "capture_percent": None,
            **serving,
        }
    }


def _no_capacity_twice(services: Services) -> None:
    services.trainings = [CAPACITY, {"TrainingJobStatus": "InProgress"}, CAPACITY]


def _interrupted(services: Services) -> None:
    at_work = {"TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": _INTERRUPTED}
    stopped = {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped", "SecondaryStatusTransitions": _INTERRUPTED}
    services.trainings = [at_work, stopped]


def _everything_exists(services: Services) -> None:
    exists = RefusalError("SageMaker.SageMakerException", "Cannot create already existing model.")
    services.refusals = {
        "CreateTrainingJob": [RefusalError("SageMaker.ResourceInUseException", "exists")],
        "CreateModel": [exists],
        "CreateEndpointConfig": [exists],
    }


def _component_exists(services: Services) -> None:
    exists = RefusalError("SageMaker.SageMakerException", "Cannot create already existing inference component.")
    if not services.endpoints:
        services.refusals = {"CreateInferenceComponent": [exists]}


def _rolled_back(services: Services) -> None:
    services.rolls_back, services.ends_in = bool(services.endpoints), "RolledBack"


def _no_quota(services: Services) -> None:
    services.refusals = {"CreateTrainingJob": [RefusalError("SageMaker.ResourceLimitExceededException", "0 instances")]}


def _no_quota_for_tuning(services: Services) -> None:
    """The first run's first search finds no room; what it would have searched is told."""
    none = [RefusalError("SageMaker.ResourceLimitExceededException", "0 instances")]
    services.refusals = {} if services.tuned else {"CreateHyperParameterTuningJob": none}


_SCARCE: Final = {
    "instance_type": "ml.r5.4xlarge",
    "fallback_instance_types": ["ml.m5.4xlarge", "ml.c5.9xlarge"],
    "on_demand_after_interruptions": 2,
    "spot": True,
}
_SEARCHED: Final = {
    "spot": True,
    "tuning": {
        "engine": "sagemaker", "trials": 40, "minutes": 60, "usd": 20, "parallel": 5, "pruner": "hyperband",
        "candidates": ["logistic", "xgboost"],
    },
}  # fmt: skip
_TAGS: Final = {f"a-tag-{number:02}": "Équipe météo / R+D = 1@2" for number in range(40)}
STORIES: Final = (
    Story(
        "scaled serverless",
        project={
            **_serverless(provisioned_concurrency=5, autoscaling={"min": 1, "max": 10, "utilization_percent": 70}),
            "training": {"spot": False, "keep_alive_minutes": 60},
        },
    ),
    Story("captured", "staging", {**_real_time(capture_percent=100), "training": _SCARCE}, _interrupted, runs=2),
    Story(
        "one instance",
        "dev",
        {**_real_time(instance_count=1, capture_percent=0), "training": _SCARCE},
        _no_capacity_twice,
    ),
    Story(
        "no vpc nor key",
        "laptop",
        {**_real_time(instance_count=1, capture_percent=100), "training": _SCARCE},
        _no_quota,
    ),
    Story("plain serverless", "laptop", _serverless(), _everything_exists),
    Story(
        "scaled linear",
        project=_real_time(
            capture_percent=10,
            autoscaling={"min": 2, "max": 100, "invocations_per_minute": 600},
            rollout={"type": "linear", "percent": 10},
        ),
        runs=2,
    ),
    Story(
        "scaled to zero",
        "dev",
        _real_time(
            instance_count=1,
            capture_percent=0,
            autoscaling={"min": 0, "max": 100, "invocations_per_minute": 600},
            rollout={"wait_minutes": 60},
        ),
        _component_exists,
        runs=2,
    ),
    Story(
        "searched by a fleet",
        project={**_serverless(), "training": _SEARCHED},
        happens=_no_quota_for_tuning,
        attempt=MOST_ATTEMPTS,
        runs=2,
    ),
    Story("on spark", "staging", {**_serverless(), "data": {"engine": "spark"}, "tags": _TAGS}, redrives=MOST_REDRIVES),
    Story("rolled back", project=_real_time(capture_percent=0), happens=_rolled_back, runs=2),
    Story("shadow", project=_real_time(capture_percent=50, shadow={"percent": 50, "hours": 2}), runs=2),
    Story(
        "tried",
        project=_real_time(capture_percent=100, experiment={"percent": 5, "outcome": "right", "effect": 0.1}),
        runs=2,
        tries=True,
    ),
    Story(
        "watched",
        project={
            **_real_time(capture_percent=100),
            "training": {"on_drop": "keep"},
            "monitoring": {"retrain": {"every_days": 1, "cool_down_hours": 0}},
            "tags": _TAGS,
        },
        runs=2,
        longest=True,
        watched=True,
    ),
    Story(
        "longest names",
        project={"training": _SCARCE, "tags": _TAGS, **_real_time(capture_percent=100)},
        happens=_no_capacity_twice,
        redrives=MOST_REDRIVES,
        attempt=MOST_ATTEMPTS,
        longest=True,
    ),
)


def tell(story: Story, cloud: Cloud) -> list[Rendered]:
    """Drop a file, let claim_drop start the pipeline, and walk through it; returns what its states would send."""
    project = story.project_name
    deployed = cloud.deploy(project, **story.project)
    services = Services(cloud.s3, contract_hash=deployed.contract_hash())
    found: list[Rendered] = []
    for number in range(story.runs):
        story.happens(services)
        started = _drop(cloud, project, number, services)
        request = {**started["input"], "attempt": story.attempt}
        name = started["name"].removesuffix("-1") + f"-{story.attempt}"
        machine = machine_of(cloud.deployed, started["stateMachineArn"])
        context = execution_context(cloud.deployed, machine, name, story.redrives)
        found += cloud.execute(machine, context, request, services)
    if story.watched:
        found += _watch(cloud, project, services)
    return found + (_try(cloud, project, services) if story.tries else [])


def _watch(cloud: Cloud, project: str, services: Services) -> list[Rendered]:
    """Look at two days, one of more records than a function counts: a job does, and then the project trains anew."""
    table = RunsTable(boto3.client("dynamodb", region_name=cloud.region), cloud.runs_table)
    (kept,) = [record for record in table.newest(project) if record.status == "kept"]
    accepted = [file.model_copy(update={"rows_accepted": 10}) for file in kept.files]
    table.save(kept.model_copy(update={"files": tuple(accepted)}))
    today = datetime.now(UTC)
    key = f"{zones.prediction_records_prefix(project)}/{today:%Y-%m-%d}/a.parquet"
    cloud.s3.put_object(Bucket=cloud.zones["predictions"], Key=key, Body=bytes((JOB_FROM_MIB + 1) * 2**20))
    machine = machine_of_file(cloud.deployed, "watch_project.asl.json")
    assert machine is not None
    request = {"project": project, "now": (today + timedelta(days=2)).isoformat()}
    return cloud.execute(machine, execution_context(cloud.deployed, machine, f"{project}-watch"), request, services)


def _try(cloud: Cloud, project: str, services: Services) -> list[Rendered]:
    """Begin an A/B test of the first model beside the last one: it fails its smoke test, then it does not; end it."""
    table = RunsTable(boto3.client("dynamodb", region_name=cloud.region), cloud.runs_table)
    # Both runs may have begun within one second, which their names do not tell apart.
    first = min(table.newest(project), key=lambda record: int(record.model_version or 0))
    begun = {"asked": {"how": "experiment"}, "experiment": {"name": "spring", "spread": 0.4}}
    beside = deployment_request(table, cloud.zones["models"], project, first.model_version) | begun
    alone = deployment_request(table, cloud.zones["models"], project, None) | {"asked": {"how": "stop"}}
    machine = machine_of_file(cloud.deployed, "deploy_model.asl.json")
    assert machine is not None
    found: list[Rendered] = []
    for wrong, request in ((True, beside), (False, beside), (False, alone)):
        services.wrong, services.ends_in = wrong, "ShadowWithdrawn" if wrong else ""
        context = execution_context(cloud.deployed, machine, f"{project}-{len(found)}")
        found += cloud.execute(machine, context, request, services)
    return found


def _drop(cloud: Cloud, project: str, number: int, services: Services) -> dict[str, Any]:
    """Put a raw object and send its event (S3 user guide, "EventBridge event message structure")."""
    key, body = f"{project}/été {number}.csv", f"{project} {number}".encode()
    put = cloud.s3.put_object(Bucket=cloud.zones["raw"], Key=key, Body=body)
    item = {"key": key, "version-id": put["VersionId"], "etag": put["ETag"].strip('"'), "size": len(body)}
    event = {
        "time": "2026-11-21T05:00:00Z",
        "detail": {"bucket": {"name": cloud.zones["raw"]}, "object": {**item, "sequencer": "01"}},
    }
    before = len(cloud.recorder.recorded)
    answer = cloud.invoke("claim_drop", event, services)
    assert answer["outcome"] == "claimed", answer
    (start,) = [item for item in cloud.recorder.recorded[before:] if item.operation == "StartExecution"]
    return {**start.request, "input": json.loads(start.request["input"])}
