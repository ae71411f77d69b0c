"""The deploy machine changes endpoints in the right order, and what goes wrong leaves the champion serving."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from laptop.sagemaker.jobs.transfer import download_manifest, download_prefix, upload_folder
from passerelle.contracts.experiment import Estimate, LatencySeen, VariantSeen
from passerelle.domain.requests.components import ServedComponent
from passerelle.settings import JudgeShadowSettings, PlanDeploymentSettings, RecordShadowSettings
from training.judge.main import main as judge

from .machine import Machine, TaskError
from .results import BASE
from .world import IMAGE, ROLE, Aws

ENDPOINT = "passerelle-laptop-flights"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
REAL = {"profile": "real-time", "instance_count": 2, "capture_percent": 100}
SCALED = {"autoscaling": {"min": 2, "max": 6, "invocations_per_minute": 600}}
#: moto knows no such dimension.
COPIES = "sagemaker:inference-component:DesiredCopyCount"
SHADOW = {"shadow": {"percent": 50, "hours": 24}}


def seen(requests: int, errors: int = 0, p99_ms: float = 3) -> VariantSeen:
    """What CloudWatch has of a variant."""
    found = Estimate(value=p99_ms, lower=p99_ms * 0.9, upper=p99_ms * 1.1)
    return VariantSeen(requests=requests, errors=errors, latency=(LatencySeen(share=0.99, found=found),))


class Deployments:
    """One endpoint, and walks through the machine that change it. `rolls_back`: updates that an alarm ends."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.aws, self.configs, self.serves, self.rolls_back = aws, dict[str, Any](), "", set[int]()
        self.updates: list[dict[str, Any]] = []
        self.refused, self.smoke, self.asked = "", "", dict[str, Any]()
        self.record: dict[str, Any] = {"gate": {"status": "passed"}}
        self.copies, self.component, self.components = dict[str, Any](), dict[str, Any](), list[dict[str, Any]]()
        self.alarms, self.targets = boto3.client("cloudwatch"), boto3.client("application-autoscaling")
        self.seen = {"challenger": seen(90), "champion": seen(90)}
        self.folder, self.job_fails = folder, ""
        monkeypatch.setattr("passerelle.steps.plan_deployment.current_config", lambda *_: self.serves or None)
        monkeypatch.setattr("passerelle.steps.plan_deployment.describe_config", lambda name: self.configs[name])
        monkeypatch.setattr("passerelle.steps.plan_deployment.current_component", self._served_component)
        judged = "passerelle.steps.judge_shadow"
        monkeypatch.setattr(f"{judged}.count_of", lambda it: self.seen[it.variant].model_copy(update={"latency": ()}))
        monkeypatch.setattr(f"{judged}.latency_of", lambda it: self.seen[it.variant].latency)
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
        settings = PlanDeploymentSettings(
            **aws.shared, zones=aws.buckets, image_uri=IMAGE, model_role_arn=ROLE, kms_key_arn="",
            alerts_topic_arn=TOPIC, rollout_wait_seconds=60,
        )  # fmt: skip
        judging = JudgeShadowSettings(
            **aws.shared, zones=aws.buckets, image_uri=IMAGE, judge_role_arn=ROLE, kms_key_arn="",
            prepare_instance_type="ml.m5.large",
        )  # fmt: skip
        recording = RecordShadowSettings(**aws.shared, zones=aws.buckets)
        for name, value in (settings.to_env() | judging.to_env() | recording.to_env()).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(Machine, "_call", self._call(Machine._call))

    def _call(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(machine: Machine, name: str, resource: str, arguments: Any) -> Any:
            if name == "SmokeTest":
                if self.smoke:
                    raise TaskError("States.TaskFailed", self.smoke)
                return {"Payload": arguments["Payload"]}
            if name == "PromoteModel":
                version = arguments["Payload"]["model_version"]
                self.aws.table.put("flights", "CHAMPION", model_version=version, endpoint_config=self.serves)
                self.champion = self.aws.table.item("flights", "CHAMPION")
                return {"Payload": {}}
            return real(machine, name, resource, arguments)

        return call

    def deploy(self, run_id: str, refused: str = "", **serving: Any) -> Machine:
        """Deploy a run's model; raises AssertionError, naming the state, when the execution fails."""
        self.aws.deploy_project(serving=serving)
        self.refused = refused
        drop = self.alarms.delete_alarms
        tasks: dict[str, Callable[[Any], Any]] = {
            "CreateModel": lambda request: {},
            "CreateEndpointConfig": self._keep,
            "CreateConfigOfBoth": self._keep,
            "CompareAnswers": self._judge,
            "PutMetricAlarm": lambda request: dict(self.alarms.put_metric_alarm(**request)),
            "PauseScaling": self._pause,
            "ResumeScaling": self._register,
            "PutScalingPolicy": self._put_policy,
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "DescribeEndpoint": lambda request: {"EndpointStatus": "InService", "EndpointConfigName": self.serves},
            "CreateInferenceComponent": self._create_component,
            "UpdateInferenceComponent": self._update_component,
            "DescribeInferenceComponent": lambda request: self.component | {"InferenceComponentStatus": "InService"},
            "PutWakePolicy": self._put_policy,
            "PutWakeAlarm": lambda request: dict(self.alarms.put_metric_alarm(**request)),
            "FindTrippedAlarms": self._describe_alarms,
            "DropUnusedAlarms": lambda request: dict(drop(**request)),
            "DropRetiredAlarms": lambda request: dict(drop(**request)),
            "DropAlarmsOfBoth": lambda request: dict(drop(**request)),
        }
        self.machine = Machine("deploy_model.asl.json", tasks, {"Id": "arn:deploy", "Name": "deploy"})
        trained = f"s3://{self.aws.buckets['models']}/flights/{run_id}/model.tar.gz"
        self.aws.begin_run(run_id, **self.record)
        asked = {**BASE, "run_id": run_id, "model_version": 3, "model_data_url": trained} | self.asked
        self.output = self.machine.run(asked)
        return self.machine

    def _keep(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["EndpointConfigName"] in self.configs:
            raise TaskError("SageMaker.SageMakerException", "Cannot create already existing endpoint configuration")
        self.configs[request["EndpointConfigName"]] = request
        return {}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        self.serves = request["EndpointConfigName"]
        return {}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.refused:
            raise TaskError("SageMaker.SageMakerException", self.refused)
        self.updates.append(request)
        if len(self.updates) not in self.rolls_back:
            return self._create(request)
        return self._trip(request)

    def _judge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run the job that compares answers, with what it downloads and uploads."""
        if self.job_fails:
            raise TaskError("States.TaskFailed", json.dumps({"ExitMessage": self.job_fails}))
        shutil.rmtree(self.folder, ignore_errors=True)
        opt_ml = Path("/opt/ml")
        for item in request["ProcessingInputs"]:
            source = item["S3Input"]
            download = download_manifest if source["S3DataType"] == "ManifestFile" else download_prefix
            download(self.aws.s3, source["S3Uri"], self.folder / Path(source["LocalPath"]).relative_to(opt_ml))
        assert judge() == 0
        for output in request["ProcessingOutputConfig"]["Outputs"]:
            written = self.folder / Path(output["S3Output"]["LocalPath"]).relative_to(opt_ml)
            upload_folder(self.aws.s3, written, output["S3Output"]["S3Uri"])
        return {}

    def _served_component(self, *_: str) -> ServedComponent | None:
        if not self.component:
            return None
        model, copies = self.component["Specification"]["ModelName"], self.component["RuntimeConfig"]["CopyCount"]
        return ServedComponent(model_name=model, copies=copies)

    def _create_component(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.component:
            raise TaskError("SageMaker.SageMakerException", "Cannot create already existing inference component")
        self.component = request
        return {}

    def _update_component(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.refused:
            raise TaskError("SageMaker.SageMakerException", self.refused)
        self.components.append(request)
        if len(self.components) in self.rolls_back:
            return self._trip(request)
        self.component = request
        return {}

    def _trip(self, request: dict[str, Any]) -> dict[str, Any]:
        (tripped, *_) = request["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        self.alarms.set_alarm_state(AlarmName=tripped["AlarmName"], StateValue="ALARM", StateReason="5xx")
        return {}

    def _register(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ScalableDimension"] != COPIES:
            return dict(self.targets.register_scalable_target(**request))
        self.copies[request["ResourceId"]] = request
        return {}

    def _put_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ScalableDimension"] != COPIES:
            return {"PolicyARN": self.targets.put_scaling_policy(**request)["PolicyARN"]}
        assert request["ResourceId"] in self.copies, "no such target"
        return {"PolicyARN": f"arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1:{request['PolicyName']}"}

    def _pause(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ScalableDimension"] == COPIES:
            self.copies.pop(request["ResourceId"])
            return {}
        try:
            return dict(self.targets.deregister_scalable_target(**request))
        except ClientError as error:  # moto's is another one than AWS documents
            raise TaskError("ApplicationAutoScaling.ObjectNotFoundException", str(error)) from error

    def _describe_alarms(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self.alarms.describe_alarms(**request)["MetricAlarms"]
        return {"MetricAlarms": [{key: alarm[key] for key in ("AlarmName", "StateValue")} for alarm in found]}

    def alarm_names(self) -> set[str]:
        return {alarm["AlarmName"].rpartition(".")[2] for alarm in self.alarms.describe_alarms()["MetricAlarms"]}

    def scales(self) -> list[tuple[str, int, int]]:
        found = self.targets.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        every = [*found, *self.copies.values()]
        return [(item["ResourceId"], item["MinCapacity"], item["MaxCapacity"]) for item in every]


@pytest.fixture
def deployments(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deployments:
    return Deployments(aws, monkeypatch, tmp_path / "opt-ml")


def _hash(config: str) -> str:
    return config.rpartition("-")[2]


def test_the_first_deployment_has_alarms_but_no_champion_to_guard(deployments: Deployments) -> None:
    machine = deployments.deploy("r1", **REAL, **SCALED, **SHADOW)
    assert [name for name in machine.visited if name.startswith(("Put", "Create", "Update", "Pause", "Resume"))] == [
        "CreateModel", "CreateEndpointConfig", "PutAlarms", "PutMetricAlarm", "PutMetricAlarm", "CreateEndpoint", "ResumeScaling",
        "PutScalingPolicy",
    ]  # fmt: skip
    assert not deployments.updates
    assert deployments.alarm_names() == {_hash(deployments.serves)}
    assert deployments.scales() == [(f"endpoint/{ENDPOINT}/variant/champion", 2, 6)]


def test_an_update_is_a_canary_with_alarms_of_its_own_and_scaling_rests_meanwhile(deployments: Deployments) -> None:
    deployments.deploy("r1", **REAL, **SCALED)
    machine = deployments.deploy("r2", **REAL, **SCALED)
    order = [machine.visited.index(name) for name in ("PutAlarms", "PauseScaling", "UpdateEndpoint", "ResumeScaling")]
    assert order == sorted(order)
    (update,) = deployments.updates
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert policy["TerminationWaitInSeconds"] == 60
    assert update["RetainAllVariantProperties"] is True
    guards = [item["AlarmName"] for item in update["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
    assert {_hash(deployments.serves)} == {name.rpartition(".")[2] for name in guards} == deployments.alarm_names()
    assert len(deployments.scales()) == 1


def test_a_deployment_that_is_repeated_changes_nothing(deployments: Deployments) -> None:
    for _ in range(2):
        deployments.deploy("r1", **REAL, **SCALED)
    assert not deployments.updates
    assert deployments.machine.visited.count("IsEndpointConfigThere") == 1
    assert deployments.alarm_names() == {_hash(deployments.serves)}


def test_a_rollback_names_its_alarm_and_leaves_the_champion_watched_and_scaling(deployments: Deployments) -> None:
    deployments.deploy("r1", **REAL, **SCALED)
    champion = deployments.serves
    deployments.rolls_back.add(1)
    with pytest.raises(AssertionError) as failed:
        deployments.deploy("r2", **REAL, **SCALED)
    wanted = deployments.updates[0]["EndpointConfigName"]
    assert str(failed.value) == (
        f"RolledBack: Endpoint {ENDPOINT} was rolled back by alarm {ENDPOINT}.errors.{_hash(wanted)}. "
        f"The champion goes on serving with {champion}."
    )
    assert deployments.alarm_names() == {_hash(champion)}
    assert len(deployments.scales()) == 1
    assert "PromoteModel" not in deployments.machine.visited


def test_what_sagemaker_refuses_is_told_in_its_words_and_the_champion_scales_again(deployments: Deployments) -> None:
    deployments.deploy("r1", **REAL, **SCALED)
    champion = deployments.serves
    with pytest.raises(AssertionError, match=r"DeploymentFailed: .* is InService with .*: Not with ServerlessConfig"):
        deployments.deploy(
            "r2", "Not with ServerlessConfig", profile="serverless", capture_percent=None, instance_count=1
        )
    assert deployments.serves == champion
    assert deployments.alarm_names() == {_hash(champion)}


def test_a_challenger_is_watched_in_the_shadow_before_it_takes_over(deployments: Deployments) -> None:
    deployments.deploy("r1", **REAL, **SCALED)
    machine = deployments.deploy("r2", **REAL, **SCALED, **SHADOW)
    shadow, serve = deployments.updates
    config = deployments.configs[shadow["EndpointConfigName"]]
    (champion,), (challenger,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert champion["ModelName"] != challenger["ModelName"]
    assert "DeploymentConfig" not in shadow
    assert "DeploymentConfig" in serve
    assert (
        deployments.configs[serve["EndpointConfigName"]]["ProductionVariants"][0]["ModelName"]
        == challenger["ModelName"]
    )
    put = [request["AlarmName"].rpartition(".")[2] for request in machine.arguments["PutMetricAlarm"]]
    names = [shadow["EndpointConfigName"], serve["EndpointConfigName"]]
    assert put == [_hash(name) for name in names for _ in range(2)], "the champion is watched beside its shadow, too"
    order = [name for name in machine.visited if name in ("PutAlarms", "CompareAnswers")]
    assert order == ["PutAlarms", "CompareAnswers", "PutAlarms"]
    assert [machine.visited.count(name) for name in ("PauseScaling", "ResumeScaling", "WatchShadow")] == [2, 2, 1]
    assert machine.events["JudgeShadow"]["shadow"]["wait_seconds"] == 60, "the environment is in a hurry"
    assert deployments.alarm_names() == {_hash(deployments.serves)}


def test_a_shadow_that_an_aborted_deployment_left_is_taken_up_by_its_own_run_and_replaced_by_the_next(
    deployments: Deployments,
) -> None:
    deployments.deploy("r1", **REAL)
    champion = deployments.serves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("passerelle.steps.judge_shadow.count_of", lambda _: pytest.fail("aborted"))
        with pytest.raises(pytest.fail.Exception):
            deployments.deploy("r2", **REAL, **SHADOW)
    left = deployments.serves
    assert left != champion
    deployments.seen["challenger"] = seen(90, errors=90)
    deployments.deploy("r2", **REAL, **SHADOW)
    assert [update["EndpointConfigName"] for update in deployments.updates] == [left, champion]
    deployments.serves = left
    deployments.deploy("r3", **REAL, **SHADOW)
    assert deployments.serves == champion
    assert deployments.updates[-2]["EndpointConfigName"] not in (left, champion)


def test_serving_again_what_serves_retires_no_alarms(deployments: Deployments) -> None:
    deployments.deploy("r1", **REAL)
    machine = deployments.deploy("r1", **REAL)
    assert "DropRetiredAlarms" not in machine.visited
    assert deployments.alarm_names() == {_hash(deployments.serves)}
