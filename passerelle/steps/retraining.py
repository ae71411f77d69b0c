"""Whether a project is to be trained anew now, by its own rule: what its windows showed, how old its model is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from passerelle.aws.clients import translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.domain.monitoring.incidents import Incident
from passerelle.domain.monitoring.retraining import Loss, RetrainRule, State, Verdict, decide
from passerelle.domain.project import Project

#: So many runs back the last one that trained is looked for.
_RUNS: Final = 200


def retraining_due(
    table: RunsTable,
    project: Project,
    incidents: Sequence[Incident],
    now: datetime,
    *,
    estimated: Loss | None,
    realised: Loss | None,
) -> Verdict | None:
    """Return the verdict, None where no model serves or a run is at work.

    Parameters
    ----------
    estimated, realised : what the last window has probably lost of the metric, and the last one with labels has.
    """
    with translated(f"runs of {project.name}"):
        champion = table.item(project.name, "CHAMPION")
        runs = table.newest(project.name, limit=_RUNS)
    if champion is None or any(run.status not in FINAL_STATUSES for run in runs):
        return None
    trained = [run for run in runs if any(stage.stage == "train" for stage in run.stages)]
    served = next((run for run in runs if run.run_id == champion["run_id"]), None)
    since = trained[0] if trained else None
    began = _moment(since.created_at) if since else _moment(str(champion["promoted_at"]))
    rows = sum(file.rows_accepted for run in runs if run.status == "kept" and _after(run, since) for file in run.files)
    state = State(
        now=now,
        trained=_moment(served.created_at) if served else began,
        began=began,
        incidents=incidents,
        estimated=estimated,
        realised=realised,
        new_labels=rows,
        trained_rows=_trained_rows(served),
    )
    return decide(RetrainRule.of(project.monitoring.retraining), state)


def _after(run: RunRecord, other: RunRecord | None) -> bool:
    return other is None or run.created_at > other.created_at


def _trained_rows(run: RunRecord | None) -> int:
    """Return how many rows a run's model was trained on, 0 where the run does not say."""
    prepared = next((stage for stage in run.stages if stage.stage == "prepare"), None) if run else None
    return int(prepared.summary.get("split", {}).get("train", 0)) if prepared else 0


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
