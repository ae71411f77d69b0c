"""Say what an A/B test is to be, when a person asks for one: as project.yaml declares it, and the gate measured."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.ab_tests import AbTest, Beginning
from passerelle.contracts.promotions import Asked
from passerelle.contracts.runs import RunRecord
from passerelle.domain.experiment.outcomes import spread_of, unit_of
from passerelle.domain.project import Project
from passerelle.domain.project.experiment import Experiment
from passerelle.errors import InputError
from passerelle.steps.ab_tests import ab_test_at_work, last_ab_test, need_no_other


def trial_of(table: RunsTable, project: Project, request: dict[str, Any]) -> Experiment | None:
    """Return the test that this deployment begins, with the share that was asked for; None for any other deployment.

    Raises InputError where project.yaml declares none, and while another test is at work.
    """
    asked = Asked.model_validate(request.get("asked", {}))
    with translated(f"A/B tests of {project.name}"):
        need_no_other(ab_test_at_work(table, project.name), asked, str(request["model_version"]))
    if asked.how != "experiment":
        return None
    declared = project.serving.experiment
    if declared is None:
        raise InputError(
            f"{project.name} declares no serving.experiment: which entities, what is measured, what difference "
            "matters. Add it to project.yaml (docs/experiments.md), then `passerelle deploy`."
        )
    percent = Beginning.model_validate(request["experiment"]).percent
    return declared.model_copy(update={"percent": percent}) if percent else declared


def planned_test(
    table: RunsTable, project: Project, record: RunRecord, request: dict[str, Any], trial: Experiment
) -> dict[str, Any]:
    """Return the AbTest that is to begin, as JSON.

    Raises InputError for the champion itself, for a name that was used, and where nothing tells how outcomes vary.
    """
    begun = Beginning.model_validate(request["experiment"])
    with translated(f"champion of {project.name}"):
        champion, last = table.item(project.name, "CHAMPION") or {}, last_ab_test(table, project.name)
    version = str(request["model_version"])
    if str(champion.get("model_version")) == version:
        raise InputError(f"Version {version} of {project.name} is the champion: there is nothing to compare it with.")
    if last and last.name == begun.name:
        raise InputError(
            f"A/B test {begun.name} of {project.name} was there before. Give this one another --name: it draws anew "
            "who meets which model."
        )
    spread = begun.spread or spread_of(trial.outcome, record.gate.get("test_metrics", {}))
    if spread is None:
        raise InputError(
            f"The gate of run {record.run_id} does not say how much a prediction's outcome varies, by which the test "
            f"is planned. Give its standard deviation in {unit_of(project, trial.outcome)}: --spread NUMBER."
        )
    test = AbTest(
        project=project.name,
        name=begun.name,
        version=version,
        run_id=record.run_id,
        champion=str(champion.get("model_version")),
        entity=trial.entity or project.data.entity_id,
        outcome=trial.outcome,
        unit=unit_of(project, trial.outcome),
        effect=trial.effect,
        spread=spread,
        least_days=trial.least_days,
        most_days=trial.most_days,
        share=trial.share,
        asked=Asked.model_validate(request["asked"]),
    )
    return test.model_dump(mode="json")
