"""Every function's handler runs with the events that its state machine or trigger sends, from the real definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from passerelle import settings as function_settings
from passerelle.contracts import naming, zones
from passerelle.errors import JobFailedError, SettingsError
from tests.laptop_platform import LaptopPlatform, wait_for
from tests.unit.steps import results
from tests.unit.steps.machine import CONTEXT, Machine, load_handler
from tests.unit.steps.registry import World
from tests.unit.steps.world import IMAGE, ROLE, ROOT, embedded

#: Behind CloudFormation's resources, which get an answer in every case: see test_custom_resource.py.
RESOURCES = ("build_image", "upgrade_schema")
FUNCTIONS = sorted({path.parent.name for path in ROOT.glob("lambdas/*/handler.py")} - {*RESOURCES})
ENDPOINT_EXAMPLE = {"dataframe_split": {"columns": ["a"], "data": [[1.5]]}, "predictions": [1]}


GOOD_JOBS = ({"TrainingJobStatus": "InProgress"}, {"TrainingJobStatus": "Completed"})


class Whole(World):
    """What the functions' environment says, and the jobs that the state machines start."""

    def environment_of_functions(self) -> dict[str, str]:
        everything = function_settings.GatherDropSettings(**self.jobs, quiet_window_seconds=0, poll_seconds=1).to_env()
        reconcile = function_settings.ReconcileDropsSettings(
            **self.shared,
            raw_bucket=self.buckets["raw"],
            reports_bucket=self.buckets["reports"],
            pipeline_arn=self.pipeline,
            grace_seconds=0,
        ).to_env()
        others = {"PASSERELLE_MODEL_ROLE_ARN": ROLE, "PASSERELLE_TRACKING_URI": self.uri, "PASSERELLE_IMAGE_URI": IMAGE}
        rollout = {"PASSERELLE_ALERTS_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alerts"}
        rollout["PASSERELLE_ROLLOUT_WAIT_SECONDS"] = "60"
        return everything | reconcile | others | rollout | {"PASSERELLE_TRACKING_SECRET": ""}

    def claimed(self, name: str, body: bytes) -> str:
        """Drop a file and send its event to claim_drop; returns the run."""
        event = self.drop(f"flights/{name}", body)
        # An event as the S3 user guide shows it ("EventBridge event message structure").
        event |= {"version": "0", "id": "17793124", "detail-type": "Object Created", "source": "aws.s3"}
        event["detail"] |= {"version": "0", "request-id": "N4N7", "requester": "123456789012", "reason": "PutObject"}
        return str(load_handler("claim_drop")(event, CONTEXT)["run_id"])

    def pipeline_of(
        self, run_id: str, *, gate: str = "passed", data: str = "accepted", jobs: Sequence[dict[str, Any]] = GOOD_JOBS
    ) -> tuple[Machine, Any]:
        """Walk through the pipeline of a run, whose training `jobs` are described so; returns machine and output."""
        described = iter(jobs)

        def prepare(job: dict[str, Any]) -> dict[str, Any]:
            result = results.prepared(status=data, **({} if data == "accepted" else {"split": {}}))
            results.put_result(self, "prepare", result.model_dump_json(), run_id)
            return results.processing_description("prepare", ProcessingJobName=job["ProcessingJobName"])

        def train(job: dict[str, Any]) -> dict[str, Any]:
            name = job["TrainingJobName"]
            if not name.endswith("-1"):
                files = {"result.json": results.trained().model_dump_json().encode()}
                results.put_training_output(self, results.archive(files), job_name=name)
            return results.training_description(self, TrainingJobName=name, **next(described))

        def evaluate(job: dict[str, Any]) -> dict[str, Any]:
            results.put_result(self, "evaluate", results.evaluated(gate).model_dump_json(), run_id)
            return results.processing_description("evaluate", ProcessingJobName=job["ProcessingJobName"])

        name = naming.execution_name("flights", run_id, 1)
        files = {
            "candidates/forest/model/MLmodel": b"flavors: {}",
            "result.json": results.trained().model_dump_json().encode(),
        }
        results.put_training_output(self, results.archive(files), run_id)
        machine = Machine(
            "training_pipeline.asl.json",
            {
                "PrepareDataset": prepare,
                "StartTraining": lambda job: {"TrainingJobArn": job["TrainingJobName"]},
                "DescribeTraining": train,
                "StopTraining": lambda arguments: {},
                "EvaluateModel": evaluate,
                "DeployModel": lambda arguments: self.deployment(arguments["Input"]),
            },
            {"Id": self.execution_arn(run_id), "Name": name},
        )
        return machine, machine.run({"project": "flights", "run_id": run_id, "attempt": 1})

    def deployment(self, value: Any, statuses: tuple[str, ...] = ("Creating", "InService"), config: str = "") -> Any:
        """Walk through a deployment whose endpoint has these statuses; `config` when it falls back to another one."""
        _, key = zones.split_s3_uri(value["model_data_url"])
        bundle = results.archive({"input_example.json": json.dumps(ENDPOINT_EXAMPLE).encode()})
        self.s3.put_object(Bucket=self.buckets["models"], Key=key, Body=bundle)
        coming, asked = iter(statuses), []

        def describe(_: Any) -> dict[str, Any]:
            return {"EndpointStatus": next(coming), "EndpointConfigName": config or asked[0]["EndpointConfigName"]}

        def nothing(request: Any) -> dict[str, Any]:
            return {}

        tasks = {
            "CreateModel": nothing,
            "CreateEndpointConfig": nothing,
            "PutMetricAlarm": nothing,
            "CreateEndpoint": lambda request: asked.append(request) or {},
            "DescribeEndpoint": describe,
            "FindTrippedAlarms": lambda request: {"MetricAlarms": []},
            "DropUnusedAlarms": nothing,
        }
        self.deploy = Machine("deploy_model.asl.json", tasks, {"Id": "arn:deploy", "Name": "deploy"})
        return {"Output": self.deploy.run(value)}


@pytest.fixture
def whole(platform: LaptopPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    with embedded(platform.settings, monkeypatch):
        world = Whole(platform)
        for name, value in world.environment_of_functions().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("passerelle.steps.smoke_test.ask", lambda *_, **__: b'{"predictions": [1]}')
        yield world


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_without_its_environment_names_every_variable_that_is_missing(name: str) -> None:
    with pytest.raises(SettingsError, match=r"PASSERELLE_ENVIRONMENT is missing; PASSERELLE_RUNS_TABLE is missing"):
        load_handler(name)({}, CONTEXT)


def test_a_job_that_loses_its_spot_instance_too_often_is_stopped_and_goes_on_on_demand(whole: Whole) -> None:
    whole.deploy_project(training={"spot": True, "on_demand_after_interruptions": 2})
    run_id = whole.claimed("spot.csv", b"spot")
    lost = {"EnableManagedSpotTraining": True, "SecondaryStatusTransitions": [{"Status": "Interrupted"}] * 2}
    jobs = (
        {"TrainingJobStatus": "InProgress", **lost, "SecondaryStatusTransitions": [{"Status": "Interrupted"}]},
        {"TrainingJobStatus": "InProgress", **lost},
        {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped", **lost},
        {"TrainingJobStatus": "Completed"},
    )
    machine, output = whole.pipeline_of(run_id, jobs=jobs)
    assert output["status"] == "succeeded"
    assert machine.visited.count("StopTraining") == 1
    started = machine.arguments["StartTraining"]
    first = naming.job_name("flights", run_id, "train", 1)
    assert [(job["TrainingJobName"], job["EnableManagedSpotTraining"]) for job in started] == [
        (first, True), (f"{first}-2", False),
    ]  # fmt: skip
    assert started[0]["CheckpointConfig"] == started[1]["CheckpointConfig"]
    served = whole.table.item("flights", "CHAMPION")
    assert served is not None
    assert f"/{first}-2/output/" in served["model_data_url"]


def test_a_good_run_passes_every_state_with_every_functions_real_handler(whole: Whole) -> None:
    run_id = whole.claimed("a.csv", b"a")
    machine, output = whole.pipeline_of(run_id)
    assert output == {"project": "flights", "run_id": run_id, "status": "succeeded"}
    called = {*machine.events, *whole.deploy.events}
    assert called == {
        "GatherDrop", "RecordDataset", "RecordTraining", "RecordEvaluation", "RegisterModel", "CloseRun",
        "PlanDeployment", "SmokeTest", "PromoteModel",
    }  # fmt: skip
    assert machine.visited.count("DescribeTraining") == 2
    record = whole.table.need("flights", run_id)
    assert (record.status, record.model_version) == ("succeeded", "1")
    assert [(stage.stage, stage.status) for stage in record.stages] == [
        (name, "done") for name in ("collect", "prepare", "train", "evaluate", "register", "deploy")
    ]
    assert (whole.alias("champion"), whole.table.item("flights", "LOCK")) == ("1", None)
    assert record.execution_arn == whole.execution_arn(run_id)


@pytest.mark.parametrize(("data", "gate", "status"), [("rejected", "", "rejected"), ("accepted", "refused", "refused")])
def test_bad_data_and_a_refused_model_close_the_run_and_deploy_nothing(
    whole: Whole, data: str, gate: str, status: str
) -> None:
    run_id = whole.claimed("a.csv", b"a")
    machine, output = whole.pipeline_of(run_id, data=data, gate=gate)
    assert output["status"] == status
    assert "DeployModel" not in machine.visited
    assert whole.alias("champion") is None
    assert whole.table.item("flights", "LOCK") is None


@pytest.mark.parametrize(
    ("statuses", "config"),
    [
        (("Creating", "Failed"), ""),
        (("Updating", "InService"), "older"),  # a rolled back update
        (("Updating", "UpdateRollbackFailed"), ""),
        (("InService", "InService"), ""),  # whose answers are wrong
    ],
)
def test_no_model_is_promoted_before_its_endpoint_serves_it(
    whole: Whole, statuses: tuple[str, ...], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = whole.claimed("a.csv", b"a")
    deploy = whole.deployment
    monkeypatch.setattr(whole, "deployment", lambda value: deploy(value, statuses, config))
    if statuses == ("InService", "InService"):
        monkeypatch.setattr("passerelle.steps.smoke_test.ask", lambda *_, **__: b'{"predictions": [0]}')
    with pytest.raises((AssertionError, JobFailedError), match=r"DeploymentFailed|gives predictions \[0\]"):
        whole.pipeline_of(run_id)
    assert "PromoteModel" not in whole.deploy.visited
    assert (whole.alias("champion"), whole.alias("challenger")) == (None, "1")
    assert whole.table.item("flights", "CHAMPION") is None


def test_the_same_bytes_again_close_their_run_as_duplicate(whole: Whole) -> None:
    first = whole.claimed("a.csv", b"a")
    whole.pipeline_of(first)
    second = whole.claimed("b.csv", b"a")
    machine, output = whole.pipeline_of(second)
    assert (output["status"], machine.visited) == ("duplicate", ["GatherDrop", "IsDropReady", "CloseRun"])
    assert whole.table.need("flights", second).duplicate_of == first


def test_a_run_without_files_ends_without_a_trace(whole: Whole) -> None:
    machine, _ = whole.pipeline_of("r1")
    assert machine.visited == ["GatherDrop", "IsDropReady", "NothingToDo"]
    assert whole.table.get("flights", "r1") is None


def test_a_run_waits_for_the_quiet_window_and_then_goes_on(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = whole.claimed("a.csv", b"a")
    monkeypatch.setenv("PASSERELLE_QUIET_WINDOW_SECONDS", "3600")
    claim = whole.table.items("flights", "DROP#")[0]

    def time_passes(machine: Machine, name: str, state: Any, value: Any) -> Any:
        if name == "WaitForQuiet":
            assert 0 < value["wait_seconds"] <= 3601
            kept = {key: item for key, item in claim.items() if key not in ("pk", "sk")}
            whole.table.put("flights", claim["sk"], **kept | {"claimed_at": "2026-01-01T00:00:00+00:00"})
        return real(machine, name, state, value)

    real = Machine._step
    monkeypatch.setattr(Machine, "_step", time_passes)
    machine, output = whole.pipeline_of(run_id)
    assert machine.visited[:5] == ["GatherDrop", "IsDropReady", "WaitForQuiet", "GatherDrop", "IsDropReady"]
    assert output["status"] == "succeeded"


def test_an_execution_that_failed_is_told_by_the_event_of_step_functions(whole: Whole) -> None:
    run_id = whole.claimed("a.csv", b"a")
    arn = whole.execution_arn(run_id)
    whole.begin_run(run_id, execution_arn=arn)
    whole.sfn.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    event = {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "resources": [arn],
        "detail": {
            "executionArn": arn,
            "stateMachineArn": whole.pipeline,
            "name": arn.rsplit(":", 1)[1],
            "status": "ABORTED",
            "startDate": 1551225271984,
            "stopDate": 1551225271990,
            "input": json.dumps({"project": "flights", "run_id": run_id, "attempt": 1}),
            "output": None,
        },
    }
    assert load_handler("fail_run")(event, CONTEXT)["outcome"] == "failed"
    error = whole.table.need("flights", run_id).error
    assert error is not None
    assert error.message == "The execution was stopped. by hand"


def test_the_schedules_empty_event_finds_an_object_that_no_event_announced(whole: Whole) -> None:
    whole.drop("flights/a.csv", b"a")
    # S3 gives times in whole seconds: what was put in this second may seem younger than now.
    claimed = wait_for(lambda: load_handler("reconcile_drops")({}, CONTEXT)["claimed"])
    assert claimed == ["flights/a.csv"]
    assert len(whole.executions()) == 1
