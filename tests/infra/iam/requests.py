"""SageMaker requests as this environment would send them: made by the platform's own builders, for each kind of project."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from passerelle.contracts import zones
from passerelle.contracts.container import PrepareResult, SplitPart
from passerelle.domain.batch import StoredObject, form_of
from passerelle.domain.monitoring.windows import window_at
from passerelle.domain.project import Project, load_project
from passerelle.domain.requests.backtest import backtest_job
from passerelle.domain.requests.batch import BatchJob, transform_job
from passerelle.domain.requests.components import ServedComponent
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.domain.requests.jobs import JobPlace, RunRef, evaluate_job, judge_job, prepare_job, training_job
from passerelle.domain.requests.rollout import RolloutPlace, Served, rollout
from passerelle.domain.requests.spark import spark_job
from passerelle.domain.requests.tuning import tuning_job
from passerelle.domain.requests.watch import count_job
from passerelle.domain.tuning.fleet import Share
from passerelle.domain.tuning.space import SPACES
from passerelle.settings import GatherDropSettings, JudgeShadowSettings, PlanDeploymentSettings
from passerelle.steps.judge_shadow import judge_place
from passerelle.steps.preparation import job_place, spark_place
from tests.infra.conftest import ROOT
from tests.infra.iam.functions import assets_bucket
from tests.infra.iam.templates import Assembly

Request = dict[str, Any]
_PROFILES: Final = {
    "real-time": {"profile": "real-time", "instance_type": "ml.m5.large", "instance_count": 1, "capture_percent": 100},
    "serverless": {"profile": "serverless", "memory_mb": 2048, "max_concurrency": 5},
    "scaled": {
        "profile": "real-time",
        "instance_type": "ml.m5.large",
        "capture_percent": 100,
        "shadow": {"percent": 50, "hours": 24},
        "experiment": {"percent": 50, "effect": 1.0},
        "autoscaling": {"min": 2, "max": 6, "invocations_per_minute": 600},
    },
    "sleeping": {
        "profile": "real-time",
        "instance_type": "ml.m5.large",
        "autoscaling": {"min": 0, "max": 6, "invocations_per_minute": 600},
    },
}


@dataclass(frozen=True)
class Requests:
    """By operation of SageMaker's API, every kind of request that the state machines send."""

    by_operation: dict[str, list[Request]]

    def of(self, operation: str) -> list[Request]:
        return self.by_operation.get(operation, [])

    def of_machine(self, definition: str) -> Requests:
        """Return the requests without the processing jobs that another machine starts: states name them by entry."""
        jobs = self.of("CreateProcessingJob")
        own = [job for job in jobs if f"{job['AppSpecification']['ContainerArguments'][0]}_job" in definition]
        return Requests(self.by_operation | {"CreateProcessingJob": own})


@cache
def _project() -> Project:
    path = ROOT / "projects" / "flights" / "project.yaml"
    return load_project(path.read_text(encoding="utf-8"), source=str(path))


def handler_settings(assembly: Assembly, handler: str) -> dict[str, str]:
    """Return the environment that the template gives a function."""
    (function,) = (
        item
        for item in assembly.of_type("AWS::Lambda::Function")
        if item.properties["Handler"] == f"lambdas.{handler}.handler.handler"
    )
    return dict(function.properties["Environment"]["Variables"])


def sagemaker_requests(assembly: Assembly) -> Requests:
    """Return the requests with the buckets, keys, roles and networks that the functions' settings name."""
    project = _project()
    settings = GatherDropSettings.from_env(handler_settings(assembly, "gather_drop"))
    place = job_place(settings)
    run = RunRef(
        project=project.name, run_id="run", attempt=1, project_uri=f"s3://{assets_bucket(assembly)}/archive.zip"
    )
    dataset = _dataset(settings.zones["curated"], project.name)
    models = f"s3://{settings.zones['models']}/{zones.training_output_prefix(project.name)}/job/output/model.tar.gz"
    evaluation = evaluate_job(
        place, run, project, training_job="job", test_uri=dataset.split["test"].uri, champion_uri=models
    )
    # `passerelle backtest` finds role, image and network by parameters that say what these settings do.
    judge = judge_place(JudgeShadowSettings.from_env(handler_settings(assembly, "judge_shadow")))
    aged = backtest_job(judge, run, project, name="backtest", training_job="job", dataset_id="set")
    judged = _judging(assembly, run, project, models)
    counted = _counting(judge, run, project)
    found: dict[str, list[Request]] = {
        "CreateProcessingJob": [prepare_job(place, run, project), evaluation, judged, aged, counted],
        "CreateTrainingJob": [training_job(place, run, project, dataset)],
        "CreateHyperParameterTuningJob": [
            tuning_job(place, run, project, dataset, SPACES["xgboost"], Share(trials=9, seconds=600, parallel=3))
        ],
    }
    if settings.spark_application:
        found["StartJobRun"] = [spark_job(spark_place(settings), run, project)]
    found["CreateTransformJob"] = [_batch(assembly, project)]
    for hosted in _hosted(assembly, project, models):
        for operation, request in hosted.items():
            found.setdefault(operation, []).append(request)
    return Requests(found)


def _batch(assembly: Assembly, project: Project) -> Request:
    """Return what `passerelle batch` sends for a prefix whose outputs lie beside its inputs."""
    settings = PlanDeploymentSettings.from_env(handler_settings(assembly, "plan_deployment"))
    folder = zones.s3_uri(settings.zones["predictions"], f"{zones.batch_prefix(project.name)}/july")
    inputs = (StoredObject("a.csv", "e", 1, datetime(2026, 1, 1, tzinfo=UTC)),)
    return transform_job(
        BatchJob(
            name="job",
            model_name="model",
            manifest_uri=f"{zones.batch_plans_prefix(folder)}/job.manifest",
            output_uri=folder,
            form=form_of(inputs, folder),
            inputs=inputs,
            joined=False,
            instance_type="ml.m5.large",
            kms_key_arn=settings.kms_key_arn,
            tags={},
        )
    )


def _judging(assembly: Assembly, run: RunRef, project: Project, model: str) -> Request:
    """Return the job that compares answers, with what is listed as SageMaker reads it: manifest and objects."""
    settings = JudgeShadowSettings.from_env(handler_settings(assembly, "judge_shadow"))
    result = zones.result_prefix(run.project, run.run_id, run.attempt, "judge")
    listed = {
        "champion": zones.s3_uri(settings.zones["curated"], f"{result}/captured/champion.manifest"),
        "challenger": zones.s3_uri(settings.zones["predictions"], zones.capture_prefix(project.name)),
    }
    return judge_job(judge_place(settings), run, project, listed=listed, model=model, suffix="abcdef")


def _counting(place: JobPlace, run: RunRef, project: Project) -> Request:
    """Return the job that counts a large window, with the records themselves as what its manifest lists."""
    window = window_at(datetime(2026, 1, 1, tzinfo=UTC), "daily")
    records = zones.s3_uri(place.zones["predictions"], zones.prediction_records_prefix(project.name))
    folder = zones.s3_uri(place.zones["curated"], zones.counted_prefix(project.name, window.name, "source"))
    return count_job(place, project, window, "abcdef", project_uri=run.project_uri, records=records, folder=folder)


def _hosted(assembly: Assembly, project: Project, model_data_url: str) -> list[dict[str, Request]]:
    settings = PlanDeploymentSettings.from_env(handler_settings(assembly, "plan_deployment"))
    place = HostingPlace(
        environment=settings.environment,
        zones=settings.zones,
        image_uri=settings.image_uri,
        role_arn=settings.model_role_arn,
        kms_key_arn=settings.kms_key_arn,
        vpc=settings.vpc,
    )
    found = []
    for profile in _PROFILES.values():
        document = project.model_dump(mode="json") | {"serving": profile}
        planned = deployment(
            place,
            Project.model_validate(document),
            run_id="run",
            attempt=1,
            model_data_url=model_data_url,
            model_version="1",
        )
        (variant,) = planned.endpoint_config["ProductionVariants"]
        older = f"{planned.endpoint_name}-older"
        component = ServedComponent(model_name=older, copies=0) if planned.component else None
        place_of = RolloutPlace(topic_arn=settings.alerts_topic_arn, longest_wait_seconds=settings.rollout_wait_seconds)
        made = Project.model_validate(document)
        served = Served(config_name=older, variant=variant, alone=older, component=component)
        rest = rollout(place_of, made, planned, served)
        if made.serving.experiment:
            tried = rollout(place_of, made, planned, served, made.serving.experiment)
            found += [_beside(planned.model, one) for one in (rest, tried)]
        found.append(
            {
                "CreateModel": planned.model,
                "CreateEndpointConfig": planned.endpoint_config,
                # plan_deployment adds the tags when there is no endpoint yet.
                "CreateEndpoint": planned.endpoint | {"Tags": planned.model["Tags"]},
                "UpdateEndpoint": rest.get("serve", rest["change"])["endpoint"],
                "PutMetricAlarm": rest["alarms"]["put"][0],
                "DeleteAlarms": {"AlarmNames": rest["alarms"]["retired"]},
                "DescribeAlarms": {"AlarmNames": rest["alarms"]["names"]},
                "DeregisterScalableTarget": rest["scaling"]["pause"],
                **(
                    {
                        "CreateInferenceComponent": rest["component"]["create"],
                        "UpdateInferenceComponent": rest["component"]["update"],
                    }
                    if "component" in rest
                    else {}
                ),
                **({"RegisterScalableTarget": rest["scaling"]["target"]} if "target" in rest["scaling"] else {}),
                **({"PutScalingPolicy": rest["scaling"]["policy"]} if "policy" in rest["scaling"] else {}),
            }
        )
    return found


def _beside(model: Request, rest: Request) -> Request:
    """Return what a challenger beside the champion needs besides."""
    both = rest["both"]
    return {
        "CreateModel": model,
        "CreateEndpointConfig": both["config"],
        "UpdateEndpoint": rest["change"]["endpoint"],
        "PutMetricAlarm": both["alarms"][-1],
        "DeleteAlarms": {"AlarmNames": both["names"]},
        "DescribeAlarms": {"AlarmNames": both["names"]},
    }


def _dataset(curated: str, project: str) -> PrepareResult:
    """Return as much of what `prepare` writes as the builder of the training request reads."""
    uri = f"s3://{curated}/{zones.dataset_prefix(project, 'set')}"
    parts = {name: SplitPart.model_construct(uri=f"{uri}/{name}/", rows=1) for name in ("train", "validation", "test")}
    return PrepareResult.model_construct(
        status="accepted", files=(), dataset_id="set", contract_hash="hash", split=parts
    )
