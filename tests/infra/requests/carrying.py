"""One more story: a model that staging trained and serves is taken over by production."""

from __future__ import annotations

from typing import Final

import boto3

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from tests.infra.requests.cloud import Cloud, execution_context
from tests.infra.requests.machines import Rendered, machine_of_file
from tests.infra.requests.services import Services
from tests.infra.requests.stories import STORIES, Story

#: Which story's model is carried: one of staging that is served there.
CARRIED: Final[Story] = next(story for story in STORIES if story.environment == "staging")
_LENT: Final = ("models-bucket", "curated-bucket", "runs-table")


def carry(story: Story, staging: Cloud, prod: Cloud) -> list[Rendered]:
    """Walk through the machine that takes over the story's newest run; returns what its states would send."""
    machine = machine_of_file(prod.deployed, "import_model.asl.json")
    if machine is None:
        return []
    project = story.project_name
    found = (staging.zones["models"], staging.zones["curated"], staging.runs_table)
    for name, value in zip(_LENT, found, strict=True):
        parameter = naming.resource_parameter(staging.environment, name)
        staging.ssm.put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)
    dynamodb = boto3.client("dynamodb", region_name=staging.region)
    (run, *_) = RunsTable(dynamodb, staging.runs_table).newest(project, limit=1)
    deployed = prod.deploy(project, **story.project)
    services = Services(prod.s3, contract_hash=deployed.contract_hash())
    context = execution_context(prod.deployed, machine, naming.execution_name(project, run.run_id, 1))
    return prod.execute(machine, context, {"project": project, "run_id": run.run_id, "attempt": 1}, services)
