"""Say what must be created to serve a model."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.endpoints import current_component, current_config, describe_config
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.promotions import Asked
from passerelle.contracts.runs import RunRecord
from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.project import Project
from passerelle.domain.requests.hosting import Deployment, HostingPlace, deployment
from passerelle.domain.requests.rollout import RolloutPlace, Served, at_once, rollout
from passerelle.errors import InputError
from passerelle.settings import PlanDeploymentSettings
from passerelle.steps.ab_tests import ab_test_at_work
from passerelle.steps.accepted import need_accepted, need_own_model
from passerelle.steps.plan_experiment import planned_test, trial_of
from passerelle.steps.project_source import read_project


def plan_deployment(request: dict[str, Any], settings: PlanDeploymentSettings) -> dict[str, Any]:
    """Return whole requests: the model, its configuration, alarms, scaling, and what changes the endpoint.

    Raises InputError for a model that the gate has not passed, whoever asks for it.
    """
    asked = Asked.model_validate(request.get("asked", {}))
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    deployed = read_project(settings.environment, project)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated(f"run {run_id}"):
        record = table.need(project, run_id)
    need_accepted(record)
    need_own_model(record, request)
    trial = trial_of(table, deployed.project, request)
    # What trained a model serves it, or what evaluated it where a GPU did: after a new release, or in another
    # environment, the image here is another one.
    image_uri = record.served_by or settings.image_uri
    planned = deployment(
        HostingPlace(
            environment=settings.environment,
            zones=settings.zones,
            image_uri=image_uri,
            role_arn=settings.model_role_arn,
            kms_key_arn=settings.kms_key_arn,
            vpc=settings.vpc,
        ),
        deployed.project,
        run_id=run_id,
        attempt=attempt,
        model_data_url=request["model_data_url"],
        model_version=str(request["model_version"]),
    )
    current = current_config(planned.endpoint_name, planned.endpoint["EndpointConfigName"])
    place = RolloutPlace(topic_arn=settings.alerts_topic_arn, longest_wait_seconds=settings.rollout_wait_seconds)
    experiment = planned_test(table, deployed.project, record, request, trial) if trial else None
    return {
        "project": project,
        "run_id": run_id,
        "attempt": attempt,
        "model_version": str(request["model_version"]),
        "asked": asked.model_dump(),
        "model_data_url": planned.model["PrimaryContainer"]["ModelDataUrl"],
        "endpoint_name": planned.endpoint_name,
        "model": planned.model,
        "endpoint_config": planned.endpoint_config,
        "endpoint": planned.endpoint if current else planned.endpoint | {"Tags": planned.model["Tags"]},
        **rollout(
            place,
            _rolled_out(table, deployed.project, record, asked),
            planned,
            _served(table, settings.environment, planned, project, current) if current else None,
            trial,
        ),
        **({"experiment": experiment} if experiment else {}),
    }


def _rolled_out(table: RunsTable, project: Project, record: RunRecord, asked: Asked) -> Project:
    """Return the project with the rollout that this change is to have; only what was served before is spared tests.

    What stood an A/B test has answered callers for as long as that was at work.
    """
    if asked.how != "rollback":
        with translated(f"A/B tests of {project.name}"):
            return at_once(project) if ab_test_at_work(table, project.name) else project
    if record.endpoint_name is None:
        raise InputError(
            f"The model of run {record.run_id} was never served, so serving it is no way back. "
            f"`passerelle promote {record.project} --run {record.run_id}` serves it."
        )
    return at_once(project)


def _served(table: RunsTable, environment: str, planned: Deployment, project: str, config_name: str) -> Served:
    """Return what an endpoint serves. A shadow that an earlier attempt left, or an A/B test, is no part of it."""
    config = describe_config(config_name)
    alone: str | None = config_name
    variants = {variant["VariantName"]: variant for variant in config["ProductionVariants"]}
    if config.get("ShadowProductionVariants") or len(variants) > 1:
        with translated(f"champion of {project}"):
            alone = (table.item(project, "CHAMPION") or {}).get("endpoint_config")
    variant, component = variants.get(VARIANT, config["ProductionVariants"][0]), None
    if "ModelName" not in variant and planned.component:
        component = current_component(naming.component_name(environment, project), planned.model["ModelName"])
    tries = SHADOW_VARIANT in variants
    return Served(config_name=config_name, variant=variant, alone=alone, component=component, tries=tries)
