"""What a person asks the deploy state machine for: an A/B test, and its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.ab_tests import AbTest, Beginning
from passerelle.contracts.promotions import Asked
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.ab_tests import ab_test_at_work, last_ab_test, need_no_other
from passerelle.steps.change_champion import History, promotion_request
from passerelle.steps.serve_again import deployment_request


def beginning_request(
    table: RunsTable,
    models_bucket: str,
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

    Raises as promotion_request, and InputError while another test is at work.
    """
    request = promotion_request(table, models_bucket, history, asked, version=version, run=run)
    wanted = str(request["model_version"])
    need_no_other(ab_test_at_work(table, history.project), asked, wanted)
    begun = Beginning(name=name or f"version-{wanted}-{datetime.now(UTC):%Y%m%d}", percent=percent, spread=spread)
    return request | {"experiment": begun.model_dump(exclude_none=True)}


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
