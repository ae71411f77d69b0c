"""The model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), its sections filled from the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from passerelle.contracts.container import EvaluateResult
from passerelle.contracts.explain import EXPLANATIONS_FILE, Explanations
from training.evaluate.card_tables import analyses, candidates, curve, explanations, metrics
from training.evaluate.inputs import Inputs

_TASKS: Final = {
    "binary": "says how probable the event is, and decides",
    "multiclass": "says how probable each class is",
    "regression": "estimates a number",
}


def model_card(inputs: Inputs, result: EvaluateResult, explained: Explanations | None) -> str:
    """Return the card as Markdown."""
    metadata = inputs.challenger.metadata
    verdict = result.verdict or inputs.training.why
    sections = {
        "Model details": _details(inputs, result),
        "Why this model": [inputs.training.why, "", *candidates(inputs.training), *curve(inputs.training)],
        "Intended use": _use(inputs),
        "Factors": _factors(inputs),
        "Metrics": [*_measured(inputs), "", *metrics(result)],
        "Evaluation data": _evaluation_data(inputs),
        "Training data": _training_data(inputs),
        "Quantitative analyses": analyses(result),
        "Explanations": explanations(explained) if explained else ["The model could not be explained; see the log."],
        "Ethical considerations": _ethics(inputs),
        "Caveats and recommendations": _caveats(inputs, result, explained),
        "Gate": [f"- [{'x' if check.passed else ' '}] ({check.severity}) {check.message}" for check in result.checks],
    }
    lines = [
        f"# Model card: {inputs.project.name}, run {metadata.run_id}",
        "",
        f"**Verdict of the gate: {result.status}.** {verdict}",
    ]
    for heading, content in sections.items():
        lines += ["", f"## {heading}", *content]
    return "\n".join(lines) + "\n"


def _details(inputs: Inputs, result: EvaluateResult) -> Iterator[str]:
    metadata, project = inputs.challenger.metadata, inputs.project
    params = ", ".join(f"{name} {value}" for name, value in sorted(metadata.params.items()) if name != "model")
    yield f"- Kind: {result.candidate} ({metadata.params.get('model', '')}); it {_TASKS[project.task.type]}"
    yield f"- Version: run {metadata.run_id}, trained {metadata.created_at}, seed {metadata.seed}"
    yield f"- Code {metadata.git_sha}, lock {metadata.lock_hash}"
    if params:
        yield f"- Parameters: {params}"
    yield f"- Owner, and where to send questions: {project.why.owner}"


def _use(inputs: Inputs) -> Iterator[str]:
    why = inputs.project.why
    yield f"- Objective: {why.objective}"
    yield f"- KPI: {why.kpi}"
    horizon = why.scope.horizon or "not declared"
    yield f"- One row: {why.scope.row}; period: {why.scope.period or 'not declared'}; horizon: {horizon}"
    yield "- Out of scope: rows of any other kind, another horizon, and values outside the data contract"


def _factors(inputs: Inputs) -> Iterator[str]:
    project = inputs.project
    segments = ", ".join(project.task.segments) or "none declared (task.segments)"
    yield f"- Groups looked at one by one: {segments}, each with at least {project.task.min_segment_rows:,} rows"
    signature = inputs.challenger.signature
    yield f"- Inputs: {', '.join(column.name for column in signature.inputs)}"
    for feature in signature.derived:
        yield f"- Derived: {feature.name}, of {', '.join(column.name for column in feature.reads)}"


def _measured(inputs: Inputs) -> Iterator[str]:
    task, why, threshold = inputs.project.task, inputs.project.why, inputs.challenger.metadata.threshold
    yield f"- Chosen and gated by {task.metric}, {'greater' if inputs.project.greater_is_better else 'less'} is better"
    if threshold is not None:
        how = "the one of greatest value on validation" if task.decision.threshold == "auto" else "fixed by the project"
        yield f"- Decides from a probability of {threshold:.3f} on: {how}"
    if why.value is not None and task.type == "binary":
        value = why.value
        yield (
            f"- Worth in {value.currency}: a hit {value.true_positive:g}, a false alarm {value.false_positive:g}, "
            f"a miss {value.false_negative:g}, a rightly quiet row {value.true_negative:g}"
        )
    elif why.value is not None and why.value.per_error_unit:
        yield f"- Worth of one unit of error: {why.value.per_error_unit:g} {why.value.currency}"


def _evaluation_data(inputs: Inputs) -> Iterator[str]:
    split, times = inputs.project.training.split, inputs.test.times
    known = times[~np.isnat(times)] if np.issubdtype(times.dtype, np.datetime64) else times[:0]
    span = f", {str(known.min())[:10]} to {str(known.max())[:10]}" if len(known) else ""
    yield f"- {len(inputs.test.labels):,} rows that no model was fitted or chosen on{span}"
    yield f"- Why these: the split is by {split.by}" + (
        ", so the newest rows stand for those to come" if split.by == "time" else ""
    )


def _training_data(inputs: Inputs) -> Iterator[str]:
    metadata, project = inputs.challenger.metadata, inputs.project
    hidden = ", ".join(column.name for column in project.data.columns if column.role == "leakage") or "none"
    yield f"- Dataset {metadata.dataset_id} under contract {metadata.contract_hash}"
    yield f"- Known only after the event, never seen by the model: {hidden}"
    rows = inputs.challenger.profile["profile"]["rows"]
    if rows:
        yield f"- {rows:,} rows; the bundle's profile.json describes each column"


def _ethics(inputs: Inputs) -> Iterator[str]:
    columns, used = inputs.project.data.columns, {column.name for column in inputs.challenger.signature.inputs}
    personal = [column.name for column in columns if column.sensitivity == "personal"]
    sensitive = [column.name for column in columns if column.sensitivity == "sensitive"]
    yield f"- Personal columns, which never reach a model: {', '.join(personal) or 'none declared'}"
    for name in sensitive:
        watched = "watched as a segment" if name in inputs.project.task.segments else "NOT watched as a segment"
        yield f"- Sensitive: {name}, {'used' if name in used else 'not used'} by the model, {watched}"
    if not sensitive:
        yield "- Sensitive columns: none declared; other columns may stand for them"
    value = inputs.project.why.value
    if value is not None and inputs.project.task.type == "binary":
        worse = "misses" if value.false_negative < value.false_positive else "false alarms"
        yield f"- By the declared values, {worse} are the dearer mistakes; ask who bears them"


def _caveats(inputs: Inputs, result: EvaluateResult, explained: Explanations | None) -> Iterator[str]:
    for warning in inputs.training.warnings:
        yield f"- **Warning:** {warning.message}. {warning.remedy}"
    yield from (f"- {reason}" for reason in result.reasons)
    yield from (f"- Not judged: {left}" for left in result.not_judged)
    yield "- Groups are looked at one by one, not in combination"
    yield "- Contributions and importance say what the model does with its inputs, not what causes the event"
    if explained is not None:
        yield f"- Explained on {explained.shapley.rows} test rows; all figures are in {EXPLANATIONS_FILE}"
    yield f"- Retrained: {inputs.project.monitoring.retrain}; drift is looked for {inputs.project.monitoring.schedule}"
