"""What a person asks the deploy state machine for: an A/B test, and its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.ab_tests import AbTest, Beginning
from passerelle.contracts.promotions import Asked
from passerelle.domain.project import Project
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.ab_tests import ab_test_at_work, last_ab_test
from passerelle.steps.change_champion import History, promotion_request
from passerelle.steps.plan_experiment import planned_test, trial_of
from passerelle.steps.serve_again import deployment_request


def beginning_request(
    table: RunsTable,
    models_bucket: str,
    project: Project,
    history: History,
    asked: Asked,
    *,
    version: str | None,
    run: str | None,
    name: str | None,
    percent: int | None,
    spread: float | None,
) -> dict[str, Any]:
    """Return the deploy state machine's input that tries a version beside the champion: named, or the challenger.

    Raises as promotion_request, and what the machine's first step would refuse: `trial_of`, `planned_test`.
    """
    request = promotion_request(table, models_bucket, history, asked, version=version, run=run)
    wanted = str(request["model_version"])
    begun = _beginning(name or f"version-{wanted}-{datetime.now(UTC):%Y%m%d}", percent, spread)
    request |= {"experiment": begun.model_dump(exclude_none=True)}
    trial = trial_of(table, project, request)
    assert trial is not None, "an A/B test is asked for"
    planned_test(table, project, table.need(project.name, request["run_id"]), request, trial)
    return request


def _beginning(name: str, percent: int | None, spread: float | None) -> Beginning:
    try:
        return Beginning(name=name, percent=percent, spread=spread)
    except ValidationError as error:
        raise InputError(
            f"An A/B test named {name!r}, of {percent or 'the declared'} percent, with spread {spread}: its name is of "
            "1 to 48 lower-case letters, digits and dashes, its share 5 to 50, its spread above 0."
        ) from error


def ending_request(
    table: RunsTable, models_bucket: str, project: str, asked: Asked, *, promoted: bool
) -> dict[str, Any]:
    """Return the deploy state machine's input that ends the test at work: the champion serves alone, or the challenger.

    Raises InputError when none is at work.
    """
    test = ab_test_at_work(table, project)
    if test is None:
        raise InputError(f"No A/B test of {project} is at work. `passerelle experiment start {project}` begins one.")
    version = test.version if promoted else None
    return deployment_request(table, models_bucket, project, version) | {"asked": asked.model_dump()}


def need_test(table: RunsTable, project: str) -> AbTest:
    """Return the project's last A/B test.

    Raises NotFoundError when there was none.
    """
    found = last_ab_test(table, project)
    if found is None:
        raise NotFoundError(
            f"{project} has had no A/B test. Declare serving.experiment, deploy, then "
            f"`passerelle experiment start {project}` (docs/experiments.md)."
        )
    return found
