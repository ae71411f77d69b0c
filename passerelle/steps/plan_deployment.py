"""Say what must be created to serve a model."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.endpoints import current_config
from passerelle.aws.runs_table import RunsTable
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.settings import PlanDeploymentSettings
from passerelle.steps.project_source import read_project


def plan_deployment(request: dict[str, Any], settings: PlanDeploymentSettings) -> dict[str, Any]:
    """Return whole CreateModel, CreateEndpointConfig and Create- or UpdateEndpoint requests."""
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    deployed = read_project(settings.environment, project)
    with translated(f"run {run_id}"):
        record = RunsTable(client("dynamodb"), settings.runs_table).get(project, run_id)
    # What trained a model serves it: after a new release, or in another environment, the image here is another one.
    image_uri = (record.image_uri if record else None) or settings.image_uri
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
    wanted = planned.endpoint["EndpointConfigName"]
    current = current_config(planned.endpoint_name, wanted)
    served = current == wanted
    tags = {"Tags": planned.model["Tags"]}
    return {
        "project": project,
        "run_id": run_id,
        "attempt": attempt,
        "model_version": str(request["model_version"]),
        "model_data_url": planned.model["PrimaryContainer"]["ModelDataUrl"],
        "endpoint_name": planned.endpoint_name,
        "action": "none" if served else ("update" if current else "create"),
        "model": planned.model,
        "endpoint_config": planned.endpoint_config,
        "endpoint": planned.endpoint if current else planned.endpoint | tags,
    }
