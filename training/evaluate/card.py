"""The model card (Mitchell et al., 2019, Model Cards for Model Reporting), filled from the run."""

from __future__ import annotations

from passerelle.contracts.container import EvaluateResult, SegmentResult, TrainResult
from passerelle.domain.project import Project
from training.bundle import Bundle


def model_card(project: Project, bundle: Bundle, training: TrainResult, result: EvaluateResult) -> str:
    """Return the card as Markdown."""
    metadata = bundle.metadata
    features = ", ".join(column.name for column in bundle.signature.inputs)
    hidden = ", ".join(column.name for column in project.data.columns if column.role == "leakage") or "none"
    lines = [
        f"# Model card: {project.name}, run {metadata.run_id}",
        "",
        f"**Verdict of the gate: {result.status}.** " + (result.verdict or training.why),
        "",
        "## Model details",
        f"- Kind: {result.candidate} ({metadata.params.get('model', '')}); {training.why}",
        f"- Trained {metadata.created_at}, seed {metadata.seed}",
        f"- Code {metadata.git_sha}, lock {metadata.lock_hash}",
        f"- Owner: {project.why.owner}",
        "",
        "## Intended use",
        f"- {project.why.objective}",
        f"- KPI: {project.why.kpi}",
        f"- One row: {project.why.scope.row}; horizon: {project.why.scope.horizon}",
        "",
        "## Data",
        f"- Dataset {metadata.dataset_id} under contract {metadata.contract_hash}",
        f"- Inputs: {features}",
        f"- Known only after the event, never seen by the model: {hidden}",
        *(f"- **Warning:** {warning.message}. {warning.remedy}" for warning in training.warnings),
        "",
        "## Metrics on the test period",
        "| metric | model | baseline | champion |",
        "|---|---|---|---|",
    ]
    for name, value in result.test_metrics.items():
        others = (result.baseline_metrics.get(name), result.champion_metrics.get(name))
        shown = " | ".join("" if other is None else f"{other:.4f}" for other in others)
        lines.append(f"| {name} | {value:.4f} | {shown} |")
    lines += _curve(training)
    lines += ["", "## Segments", "| segment | rows | score | than the baseline | than the champion | verdict |"]
    lines.append("|---|---|---|---|---|---|")
    for segment in result.segments:
        lines.append(_segment(segment))
    lines += ["", "## Gate"]
    lines += [f"- [{'x' if check.passed else ' '}] ({check.severity}) {check.message}" for check in result.checks]
    return "\n".join(lines) + "\n"


def _segment(segment: SegmentResult) -> str:
    score = "undefined" if segment.score is None else f"{segment.score:.4f}"
    compared = " | ".join(
        "" if one is None else f"{one.better:+.4f} ({one.lower:+.4f} to {one.upper:+.4f})"
        for one in (segment.baseline, segment.champion)
    )
    worse = " and ".join(segment.worse_than)
    verdict = f"not judged: {segment.not_judged}" if segment.not_judged else (f"worse than {worse}" if worse else "")
    return f"| {segment.column} = {segment.value} | {segment.rows:,} | {score} | {compared} | {verdict} |"


def _curve(training: TrainResult) -> list[str]:
    """Return the table of score v. number of features, nothing where none was drawn."""
    if not training.curve:
        return []
    head = ["", "## Features", f"| features | {training.metric}, part of the rows | behind the best | as good |"]
    rows = [
        f"| {len(point.features)}: {', '.join(point.features)} | {point.score:.4f} "
        f"| {point.behind_best:.4f} ± {point.standard_error:.4f} | {'yes' if point.as_good else 'no'} |"
        for point in training.curve
    ]
    return [*head, "|---|---|---|---|", *rows]
