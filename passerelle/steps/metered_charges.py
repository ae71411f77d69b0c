"""The lines of the ledger for a time, from what AWS tells: every job, endpoint, execution and function of ours.

What one description lacks costs that line alone: it is left out, counted and said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.execution_usage import own_usage_of
from passerelle.aws.metered_calls import Execution, definition_of, ended_executions, function_day, functions_beside
from passerelle.aws.metered_endpoints import (
    ModelSeen,
    VariantSeen,
    asked_of,
    billed_endpoints,
    model_seen,
    scales_copies,
    scaling_activities,
    variants_of,
)
from passerelle.aws.metered_jobs import Job, described, ended_jobs, ended_spark_jobs, job_tags, tags_of
from passerelle.aws.runs_table import RunsTable
from passerelle.aws.spark_runs import billed
from passerelle.contracts.ledger import OWN, Charge, ChargeStage
from passerelle.contracts.variants import SHADOW_VARIANT
from passerelle.domain.cost.ledger.calls import Calls, execution_charges, function_charges, spark_charges
from passerelle.domain.cost.ledger.days import Day
from passerelle.domain.cost.ledger.hosting import Asked, Change, Variant, changes_of, endpoint_charges
from passerelle.domain.cost.ledger.jobs import CHARGES
from passerelle.domain.cost.ledger.used import Owner, Used, owner_of
from passerelle.errors import InputError, NotFoundError, ProjectError
from passerelle.settings import MeterCostsSettings
from passerelle.steps.ab_tests import last_ab_test
from passerelle.steps.project_source import read_project

LOG: Final = logging.getLogger(__name__)
#: What a description can lack, and what is gone when it is asked for.
_BROKEN: Final = (LookupError, TypeError, ValueError, AttributeError, NotFoundError, ProjectError, InputError)
_WATCHING: Final = "watch-project"
_LAMBDA_CLOCK: Final = "by CloudWatch's Duration, which AWS bills in begun milliseconds"


@dataclass
class Metered:
    """Lines, and what could not be metered and why."""

    charges: list[Charge] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Go on after what cannot be metered, and keep the reason."""
        try:
            yield
        except _BROKEN as error:
            self.problems.append(f"{what}: {type(error).__name__}: {error}")
            LOG.error("%s cannot be metered, and is missing in the ledger: %r", what, error)


class Meter:
    """Asks AWS once for what several lines need.

    Raises TransientError when AWS does not answer: nothing was written then, and a later try writes everything.
    """

    def __init__(self, settings: MeterCostsSettings) -> None:
        self._settings, self._region, self._metered = settings, settings.region, Metered()
        self._table = RunsTable(client("dynamodb"), settings.runs_table)
        self._versions: dict[tuple[str, str], str] = {}
        self._centres = {OWN: ""}
        self._models: dict[str, ModelSeen] = {}

    def meter(self, days: Iterable[Day]) -> Metered:
        """Return the lines of some days on end, the first first."""
        known, settings = list(days), self._settings
        start, end = known[0].start, known[-1].end
        for job in ended_jobs(start, end):
            with self._metered.told(f"{job.kind.lower()} job {job.name}"):
                self._metered.charges += list(self._job(job))
        self._spark_jobs(start, end)
        self._executions("training-pipeline", settings.training_pipeline_arn, start, end)
        self._executions("deploy-model", settings.deploy_model_arn, start, end)
        self._executions(_WATCHING, settings.watch_project_arn, start, end)
        for name in billed_endpoints(settings.environment):
            with self._metered.told(f"endpoint {name}"):
                self._metered.charges += list(self._endpoint(name, known))
        machines = (
            definition_of(settings.training_pipeline_arn),
            definition_of(settings.deploy_model_arn),
            definition_of(settings.watch_project_arn),
        )
        for arn in functions_beside(settings.environment, machines):
            for day in known:
                with self._metered.told(f"function {arn}"):
                    self._metered.charges += list(self._function(arn, day))
        return self._metered

    # Jobs

    def _job(self, job: Job) -> Iterator[Charge]:
        owner = owner_of(job_tags(job), self._settings.environment)
        if owner is None:
            return
        owner = replace(owner, model_version=self._version(owner.project, owner.run_id))
        for charge in CHARGES[job.kind](described(job), owner, self._region):
            # Windows are counted in a job that bears, in the place of a run's, a name of its own.
            yield charge.model_copy(update={"run_id": ""}) if charge.stage == "watch" else charge

    def _spark_jobs(self, start: datetime, end: datetime) -> None:
        application = self._settings.spark_application
        if not application:
            return
        for run in ended_spark_jobs(application, start, end):
            with self._metered.told(f"Spark job {run.get('jobRunId')}"):
                self._metered.charges += list(self._spark_job(application, run))

    def _spark_job(self, application: str, run: dict[str, Any]) -> Iterator[Charge]:
        owner = owner_of(run.get("tags", {}), self._settings.environment)
        if owner is not None:
            owner = replace(owner, model_version=self._version(owner.project, owner.run_id))
            used = Used(
                owner=owner,
                stage="prepare",
                resource_type="spark-job",
                resource_id=run["arn"],
                resource_name=run.get("name") or run["jobRunId"],
                start=run["createdAt"],
                end=run["updatedAt"],
            )
            yield from spark_charges(used, billed(application, run["jobRunId"]), self._region)

    # What is paid by the call

    def _executions(self, machine: str, arn: str, start: datetime, end: datetime) -> None:
        for execution in ended_executions(arn, start, end):
            with self._metered.told(f"execution {execution.name}"):
                self._metered.charges += list(self._execution(execution, machine))

    def _execution(self, execution: Execution, machine: str) -> Iterator[Charge]:
        project, run_id = str(execution.request.get("project") or OWN), str(execution.request.get("run_id") or "")
        stage: ChargeStage = "watch" if machine == _WATCHING else "pipeline"
        used = Used(
            owner=Owner(
                project=project,
                cost_centre=self._cost_centre(project),
                environment=self._settings.environment,
                run_id=run_id,
                model_version=self._version(project, run_id),
            ),
            stage=stage,
            resource_type="state-machine",
            resource_id=execution.arn,
            resource_name=f"{machine}/{execution.name}",
            start=execution.start,
            end=execution.end,
        )
        usage = own_usage_of(execution.arn)
        called = None
        if usage.functions is not None:
            called = tuple(Calls(one.architecture, one.calls, one.gb_seconds) for one in usage.functions)
        yield from execution_charges(used, usage.transitions, called, self._region)

    def _function(self, arn: str, day: Day) -> Iterator[Charge]:
        found = function_day(arn, day.start, day.end)
        if found is None:
            return
        used = Used(
            owner=Owner(project=OWN, cost_centre="", environment=self._settings.environment),
            stage="platform",
            resource_type="function",
            resource_id=arn,
            resource_name=found.name,
            start=day.start,
            end=day.end,
            day=day.name,
        )
        work = None if found.seconds is None else found.seconds * found.memory_mib / 1024
        calls = Calls(found.architecture, found.calls, work)
        yield from function_charges(used, calls, _LAMBDA_CLOCK, self._region)

    # Endpoints

    def _endpoint(self, name: str, days: list[Day]) -> Iterator[Charge]:
        for variant in variants_of(name):
            owner, changes = self._owner_of_variant(variant), changes_of(scaling_activities(variant))
            if owner is None:
                continue
            for day in days:
                start = max(day.start, variant.endpoint["CreationTime"])
                if start < day.end:
                    yield from endpoint_charges(_variant_day(variant, owner, changes, day, start), self._region)

    def _owner_of_variant(self, variant: VariantSeen) -> Owner | None:
        """Return whose a variant is: of its endpoint's tags, the run is that of the first deployment."""
        owner = owner_of(tags_of(variant.endpoint["EndpointArn"], "endpoint"), self._settings.environment)
        if owner is None or not variant.model:
            return owner
        if variant.model not in self._models:
            self._models[variant.model] = model_seen(variant.model)
        model = self._models[variant.model]
        of_model = owner_of(tags_of(model.arn, "model"), self._settings.environment)
        test = self._ab_test(owner.project) if variant.name == SHADOW_VARIANT else ""
        run_id = of_model.run_id if of_model else ""
        return replace(owner, run_id=run_id, model_version=model.version, experiment=test)

    def _ab_test(self, project: str) -> str:
        with translated(f"A/B tests of {project}"):
            test = last_ab_test(self._table, project)
        return test.name if test and test.ended is None else ""

    # What belongs to runs and projects

    def _version(self, project: str, run_id: str) -> str:
        """Return the version that a run's model got, "" where it got none yet."""
        if run_id and (project, run_id) not in self._versions:
            with translated(f"run {run_id} of {project}"):
                record = self._table.get(project, run_id)
            self._versions[project, run_id] = (record.model_version if record else None) or ""
        return self._versions.get((project, run_id), "")

    def _cost_centre(self, project: str) -> str:
        """Return who pays; "" for a project that is not deployed any more, or cannot be read."""
        if project not in self._centres:
            try:
                found = read_project(self._settings.environment, project).project.budget.cost_centre
            except (NotFoundError, ProjectError) as error:
                LOG.warning("the cost centre of %s is not known: %s", project, error)
                found = ""
            self._centres[project] = found
        return self._centres[project]


def _variant_day(seen: VariantSeen, owner: Owner, changes: list[Change], day: Day, start: datetime) -> Variant:
    requests, seconds = asked_of(seen, start, day.end)
    # Copies of a component share instances: with none of them there is no instance.
    most = int(seen.now.get("CurrentInstanceCount") or 1)
    counted = [replace(one, count=min(one.count, most)) for one in changes] if scales_copies(seen) else changes
    return Variant(
        owner=owner,
        endpoint_arn=seen.endpoint["EndpointArn"],
        endpoint=seen.endpoint_name,
        name=seen.name,
        now=seen.now,
        configured=seen.configured,
        start=start,
        end=day.end,
        changes=counted,
        asked=Asked(requests=requests, work_seconds=seconds),
    )
