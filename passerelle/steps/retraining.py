"""Whether a project is to be trained anew now, by its own rule: what its windows showed, how old its model is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from passerelle.aws.clients import translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.monitoring import Figure
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.domain.drift.estimated import Estimate
from passerelle.domain.monitoring.incidents import Incident
from passerelle.domain.monitoring.retraining import Loss, RetrainRule, State, Verdict, decide
from passerelle.domain.monitoring.windows import Window, before, window_named
from passerelle.domain.project import Project
from passerelle.steps.lost_together import lost_together
from passerelle.steps.project_watch import Known
from passerelle.steps.served_references import Served, ServedReferences
from passerelle.steps.window_results import WindowResults, judged_by

#: So many runs back the last one that trained is looked for.
_RUNS: Final = 200
#: So many windows back labels are looked for before nobody knows what the model is worth now.
_LABELLED: Final = 31
#: Of a run's record.
_WHY_CHARACTERS: Final = 1_000


def retraining(
    table: RunsTable,
    project: Project,
    results: WindowResults,
    known: Known,
    references: ServedReferences,
    now: datetime,
) -> dict[str, Any]:
    """Return what is asked of the pipeline where the project is to be trained anew, and why where it is held back.

    The run is named by the window that was judged last, so that it is begun once. What windows showed of an earlier
    champion asks for nothing: it was answered by the one that serves now.
    """
    following = window_named(known.watched.next, project.monitoring.schedule)
    with translated(f"the champion of {project.name}"):
        version = str((table.item(project.name, "CHAMPION") or {}).get("model_version", ""))
    watch = known.watch.beside(version)
    estimated, realised = None, None
    if project.monitoring.retraining.loss is not None:
        estimated, realised = _losses(project, results, following, version, references.before(now))
    verdict = retraining_due(table, project, watch.incidents, now, estimated=estimated, realised=realised)
    if verdict is None or not verdict.triggers:
        return {}
    why = "; ".join(f"{trigger}: {reason}" for trigger, reason in verdict.triggers)
    if not verdict.retrain:
        return {"held_back": f"{why}. Not now: {verdict.held_back}"}
    last = before(following, 1, project.monitoring.schedule)[0]
    run_id = naming.run_id_of(now, f"{project.name}/{last.name}")
    execution = naming.execution_name(project.name, run_id, 1)
    run = {"project": project.name, "run_id": run_id, "attempt": 1, "why": why[:_WHY_CHARACTERS]}
    return {"status": "retrain", "execution_name": execution, "run": run}


def _losses(
    project: Project, results: WindowResults, following: Window, version: str, served: Served | None
) -> tuple[Loss | None, Loss | None]:
    """Return what a model's newest window has probably lost of the metric, and what its labels show.

    That is what the newest window with labels has lost, where that is sure, else what the newest ones have together: a
    small loss that lasts is sure of no window by itself.
    """
    found = map(results.of, before(following, _LABELLED, project.monitoring.schedule))
    records = [record for record in found if record and record.version == version]
    records.reverse()
    metric, judged = project.task.metric, judged_by(project)

    def lost(figure: Figure | None) -> Loss | None:
        if figure is None or figure.before is None:
            return None
        now = {metric: Estimate(value=figure.value, lower=figure.lower, upper=figure.upper)}
        return judged.loss(now, {metric: figure.before})

    estimated = lost(records[0].estimated.get(metric)) if records else None
    labelled = [record for record in records if metric in record.realised]
    newest = lost(labelled[0].realised[metric]) if labelled else None
    if newest is None or newest.is_sure(project.monitoring.retraining.loss or 0.0):
        return estimated, newest
    if served is None or served.version != version or served.performance is None:
        return estimated, newest
    together = lost_together(judged, labelled, served.performance, reports=results.bucket)
    return estimated, together or newest


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
