"""Write down that an A/B test has begun: the challenger answers some of the entities from now on."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts.ab_tests import AbTest
from passerelle.settings import BeginExperimentSettings
from passerelle.steps.ab_tests import keep, last_ab_test


def begin_experiment(request: dict[str, Any], settings: BeginExperimentSettings) -> dict[str, Any]:
    """Return the test as it was written down; called again, it began when it first did."""
    table = RunsTable(client("dynamodb"), settings.runs_table)
    test = AbTest.model_validate(request["experiment"] | {"started_at": utc_now()})
    with translated("beginning an A/B test"):
        before = last_ab_test(table, test.project)
        if before and (before.name, before.version, before.ended) == (test.name, test.version, None):
            test = before
        keep(table, test)
    return {"project": test.project, "run_id": test.run_id, "status": "trying", "experiment": test.model_dump()}
