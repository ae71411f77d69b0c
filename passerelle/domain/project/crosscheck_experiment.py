"""Rules of an A/B test that concern several fields of project.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from passerelle.domain.project.experiment import Experiment
from passerelle.domain.project.findings import Finding, did_you_mean
from passerelle.domain.project.model import Project


def crosscheck_experiment(project: Project) -> Iterator[Finding]:
    """Yield what keeps an experiment from being split by its entities, or measured by its outcome."""
    experiment = project.serving.experiment
    if experiment is not None:
        yield from _entities_are_sent(project, experiment)
        yield from _outcome_is_known(project, experiment)


def _entities_are_sent(project: Project, experiment: Experiment) -> Iterator[Finding]:
    """Who calls knows the entity before the answer: neither a label nor what is filled after the event."""
    columns = {column.name: column for column in project.data.columns}
    for index, name in enumerate(experiment.entity):
        path = ("serving", "experiment", "entity", index)
        if name not in columns:
            yield path, f"{name!r} is not among data.columns; {did_you_mean(name, list(columns))}"
        elif name == project.data.label.column or columns[name].role == "leakage":
            yield path, f"column {name!r} is known only after the prediction, too late to choose who answers"
        elif columns[name].sensitivity == "personal" and experiment.entity != project.data.entity_id:
            yield (
                path,
                f"column {name!r} is personal, so that records of predictions do not keep it; leave entity out (of "
                "data.entity_id records keep a keyed hash), or name a column that stands for it",
            )
        elif name == project.data.event_time:
            yield (
                path,
                f"column {name!r} is the event time: nobody would meet one model twice; name who is asked for",
            )


def _outcome_is_known(project: Project, experiment: Experiment) -> Iterator[Finding]:
    path, task, value = ("serving", "experiment", "outcome"), project.task.type, project.why.value
    if experiment.outcome == "right":
        if task == "regression":
            yield path, "a regression is never quite right; use value, with why.value.per_error_unit"
        return
    if task == "multiclass":
        yield path, "why.value is money of a binary decision or of an error; of several classes use right"
    elif value is None or not (value.per_error_unit if task == "regression" else value.tells_decisions_apart):
        field = "per_error_unit" if task == "regression" else "true_positive and the other three"
        yield path, f"value needs money in why.value ({field}); declare it, or use right"
