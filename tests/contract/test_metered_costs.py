"""The ledger of what really ran in the embedded AWS: jobs, trials, endpoints, executions and functions, metered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passerelle.aws.ledger_files import LedgerFiles
from passerelle.aws.objects import Objects
from passerelle.contracts import tags, zones
from passerelle.contracts.ledger import OWN, Charge
from passerelle.domain.cost.ledger.sums import spot, training_runs
from passerelle.errors import InputError
from passerelle.settings import MeterCostsSettings
from passerelle.steps.meter_costs import meter_costs
from tests.contract import sagemaker_requests as make
from tests.laptop_platform import LaptopPlatform, unique, wait_for
from tests.unit.steps.world import Aws, embedded

NAME = unique("ledger")
ENVIRONMENT = "ledgered"
#: The training that took 0.1 s a step is on spot, which saves a part of it on the laptop.
TAGS = {tags.PROJECT: "flights", tags.ENVIRONMENT: ENVIRONMENT, tags.RUN: "r1", tags.COST_CENTRE: "cc-7"}
CALLED = "def handler(event, context):\n    return event\n"


def _listed(marks: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in marks.items()]


@pytest.fixture(scope="module")
def world(embedded_aws: LaptopPlatform) -> Iterator[Aws]:
    with pytest.MonkeyPatch.context() as patch, embedded(embedded_aws.settings, patch):
        aws = Aws(NAME, ENVIRONMENT)
        aws.s3.create_bucket(Bucket="contract")
        aws.begin_run("r1", status="succeeded", model_version="3")
        yield aws


@pytest.fixture(scope="module")
def machine(world: Aws, embedded_aws: LaptopPlatform) -> str:
    """A machine that calls a function; another function is called beside it."""
    functions = [
        embedded_aws.create_function(
            CALLED, MemorySize=512, Architectures=["arm64"], Tags={tags.ENVIRONMENT: ENVIRONMENT}
        )
        for _ in range(2)
    ]
    call = {"FunctionName": functions[0], "Payload": "{% $states.input %}"}
    state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": call, "End": True}
    arn = embedded_aws.create_machine({"Only": state})
    for name in ("flights-r1-1", "other"):
        asked = {"project": "flights", "run_id": "r1"} if name == "flights-r1-1" else {"unknown": True}
        assert embedded_aws.finish(embedded_aws.start(arn, asked, name=name))["status"] == "SUCCEEDED"
    embedded_aws.client("lambda").invoke(FunctionName=functions[1], Payload=b"{}")
    return arn


@pytest.fixture(scope="module")
def jobs(world: Aws, embedded_aws: LaptopPlatform) -> list[str]:
    """Jobs of this environment, and one of another."""
    sagemaker = embedded_aws.client("sagemaker")
    mine, others = _listed(TAGS), _listed(TAGS | {tags.ENVIRONMENT: "other"})
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition__MaxWaitTimeInSeconds": 120}
    wanted = [unique("train"), unique("other"), unique("prepare")]
    sagemaker.create_training_job(**make.training(wanted[0], Environment={"STEPS": "3"}, Tags=mine, **spot))
    sagemaker.create_training_job(**make.training(wanted[1], Tags=others))
    sagemaker.create_processing_job(
        **make.processing(wanted[2], AppSpecification__ContainerArguments=["prepare"], Tags=mine)
    )
    search = f"{unique('s')}"
    definition = make.tuning(search, Tags=mine, TrainingJobDefinition__StaticHyperParameters={"epochs": "1"})
    sagemaker.create_hyper_parameter_tuning_job(**definition)
    for name in wanted[:2]:
        wait_for(
            lambda name=name: sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Completed"
        )
    wait_for(
        lambda: (
            sagemaker.describe_processing_job(ProcessingJobName=wanted[2])["ProcessingJobStatus"]
            in ("Completed", "Failed")
        )
    )
    wait_for(
        lambda: (
            sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=search)[
                "HyperParameterTuningJobStatus"
            ]
            == "Completed"
        )
    )
    return [*wanted, search]


@pytest.fixture(scope="module")
def endpoints(world: Aws, embedded_aws: LaptopPlatform) -> list[str]:
    """An endpoint of two instances that nobody asks, and a serverless one that is asked twice."""
    sagemaker, runtime = embedded_aws.client("sagemaker"), embedded_aws.client("sagemaker-runtime")
    environ = {"PASSERELLE_MODEL_VERSION": "3"}
    model = unique("model")
    sagemaker.create_model(**make.model(model, PrimaryContainer__Environment=environ, Tags=_listed(TAGS)))
    names = [f"passerelle-{ENVIRONMENT}-flights", f"passerelle-{ENVIRONMENT}-quick"]
    variants = [
        make.variant("champion", ModelName=model, InitialInstanceCount=2),
        make.serverless("champion", ModelName=model),
    ]
    for name, variant in zip(names, variants, strict=True):
        project = {tags.PROJECT: name.rpartition("-")[2]}
        sagemaker.create_endpoint_config(**make.endpoint_config(name, ProductionVariants=[variant]))
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=_listed(TAGS | project))
    for name in names:
        wait_for(lambda name=name: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    for _ in range(2):
        runtime.invoke_endpoint(EndpointName=names[1], Body=b"{}", ContentType="application/json")

    def counted() -> bool:
        found = embedded_aws.client("cloudwatch").list_metrics(Namespace="AWS/SageMaker", MetricName="ModelLatency")
        return any({"Name": "EndpointName", "Value": names[1]} in item["Dimensions"] for item in found["Metrics"])

    wait_for(counted)
    return names


@pytest.fixture(scope="module")
def settings(world: Aws, machine: str, jobs: list[str], endpoints: list[str]) -> MeterCostsSettings:
    return MeterCostsSettings(
        **world.shared,
        zones=world.buckets,
        region="us-east-1",
        training_pipeline_arn=machine,
        deploy_model_arn=world.pipeline,
        watch_project_arn=world.pipeline,
    )


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _charges(world: Aws, project: str) -> list[Charge]:
    return LedgerFiles(Objects(world.s3), world.buckets["reports"]).read(project, _today())


def test_everything_that_ran_has_a_line_with_its_owner_and_its_price(settings: MeterCostsSettings, world: Aws) -> None:
    answer = meter_costs({"day": _today()}, settings)
    assert (answer["outcome"], answer["broken"], answer["problems"]) == ("metered", 0, [])
    lines = _charges(world, "flights")
    by_stage: dict[str, list[Charge]] = {}
    for line in lines:
        by_stage.setdefault(line.stage, []).append(line)
        assert (line.project, line.environment) == ("flights", ENVIRONMENT)
    instances = [line for line in lines if line.unit == "instance-hour"]
    assert sorted(line.stage for line in instances) == ["prepare", "serve", "train", "tune", "tune", "tune"]
    assert {line.model_version for line in instances} == {"3"}
    assert {line.run_id for line in instances} == {"r1"}
    (train,) = [line for line in by_stage["train"] if line.unit == "instance-hour"]
    assert (train.cost_centre, train.pricing_category) == ("cc-7", "Dynamic")
    assert train.usd is not None
    assert train.on_demand_usd is not None
    assert 0 < train.usd <= train.on_demand_usd
    assert {line.unit for line in by_stage["pipeline"]} == {"transition", "request", "GB-second"}
    assert all(line.run_id == "r1" for line in by_stage["pipeline"])
    assert training_runs(lines)["r1"].complete
    assert (spot(lines).jobs, spot(lines).unknown) == (1, 0)


def test_metering_again_replaces_and_doubles_nothing(settings: MeterCostsSettings, world: Aws) -> None:
    meter_costs({"day": _today()}, settings)
    first = _charges(world, "flights")
    meter_costs({}, settings)
    again = _charges(world, "flights")
    assert [line.id for line in first] == [line.id for line in again]
    assert [line for line in first if line.stage != "serve"] == [line for line in again if line.stage != "serve"]


def test_other_environments_jobs_are_not_ours(settings: MeterCostsSettings, world: Aws, jobs: list[str]) -> None:
    meter_costs({}, settings)
    assert jobs[1] not in {line.resource_name for line in _charges(world, "flights")}


def test_what_belongs_to_no_project_is_the_platforms_own(settings: MeterCostsSettings, world: Aws) -> None:
    meter_costs({}, settings)
    assert {line.resource_type for line in _charges(world, OWN)} == {"state-machine", "function"}


def test_a_serverless_endpoint_costs_what_it_worked_and_an_instance_its_hours(
    settings: MeterCostsSettings, world: Aws
) -> None:
    meter_costs({}, settings)
    (line,) = _charges(world, "quick")
    assert (line.unit, line.requests) == ("second", 2)
    assert line.quantity
    assert line.usd
    (line,) = [line for line in _charges(world, "flights") if line.stage == "serve"]
    assert line.quantity
    took = datetime.fromisoformat(line.charge_end) - datetime.fromisoformat(line.charge_start)
    assert line.quantity == pytest.approx(2 * took.total_seconds() / 3600, abs=2 / 3600)
    assert line.requests is None  # CloudWatch has no data, which is not zero


def test_a_file_that_is_broken_is_told_and_kept_and_the_others_are_written(
    settings: MeterCostsSettings, world: Aws
) -> None:
    key = zones.ledger_key("flights", _today())
    world.s3.put_object(Bucket=world.buckets["reports"], Key=key, Body=b"no parquet")
    world.s3.delete_object(Bucket=world.buckets["reports"], Key=zones.ledger_key("quick", _today()))
    answer = meter_costs({}, settings)
    assert answer["broken"] >= 1
    assert "passerelle cost ledger --meter" in answer["problems"][0]
    assert world.s3.get_object(Bucket=world.buckets["reports"], Key=key)["Body"].read() == b"no parquet"
    assert _charges(world, "quick")
    world.s3.delete_object(Bucket=world.buckets["reports"], Key=key)
    assert meter_costs({}, settings)["broken"] == 0


def test_an_endpoint_that_is_deleted_keeps_what_was_metered_of_it(
    settings: MeterCostsSettings, world: Aws, embedded_aws: LaptopPlatform, endpoints: list[str]
) -> None:
    meter_costs({}, settings)
    before = _charges(world, "quick")
    embedded_aws.client("sagemaker").delete_endpoint(EndpointName=endpoints[1])
    wait_for(
        lambda: (
            endpoints[1]
            not in [item["EndpointName"] for item in embedded_aws.client("sagemaker").list_endpoints()["Endpoints"]]
        )
    )
    meter_costs({}, settings)
    assert _charges(world, "quick") == before


def test_a_day_that_has_not_begun_is_refused(settings: MeterCostsSettings) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(InputError, match="has not begun"):
        meter_costs({"day": f"{tomorrow:%Y-%m-%d}"}, settings)


def test_cloudwatch_is_told_what_the_month_has_cost(
    settings: MeterCostsSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    meter_costs({}, settings)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    found: list[dict[str, Any]] = [one for one in told if "CostMonthToDate" in one]
    assert {one.get("Project") for one in found} == {None, "flights"}
    (whole,) = [one for one in found if "Project" not in one]
    (project,) = [one for one in found if one.get("Project") == "flights"]
    assert whole["CostMonthToDate"][0] > project["CostMonthToDate"][0] > 0
    assert project["CostForecast"][0] >= project["CostMonthToDate"][0]
