"""Entry `evaluate`: the chosen model on the newest period, against baseline, champion and segments."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from passerelle.contracts.archive import unpack
from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.container import (
    EVALUATE_INPUTS,
    EVALUATE_OUTPUTS,
    PERFORMANCE_FILE,
    RESULT_FILE,
    EvaluateResult,
    TrainResult,
)
from passerelle.domain.extra_metrics import extra_metrics
from passerelle.domain.gate import check_gate, verdict_in_words
from passerelle.errors import BundleError, InputError
from training.bundle import Bundle, load_bundle
from training.evaluate.baseline import ask_rule, guess
from training.evaluate.card import model_card
from training.evaluate.champion import ask_champion
from training.evaluate.compared import Period
from training.evaluate.evidence import Rivals, gather_evidence, left_out
from training.evaluate.explain import write_explanations
from training.evaluate.inputs import Inputs, score_every_metric
from training.evaluate.intervals import intervals
from training.evaluate.money import decisions_worth
from training.evaluate.performance import performance_reference
from training.figures.draw import draw_all, draw_curve
from training.paths import base_dir, processing
from training.progress import tell
from training.project_archive import read_project
from training.train.data import inputs_of, read_columns, read_rows
from training.train.derived import need_same_features
from training.train.predict import Predicted, predict


def main() -> int:
    """Run the entry in SageMaker's layout."""
    started = time.monotonic()
    output = processing(EVALUATE_OUTPUTS["result"])
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base_dir()) as work:
        inputs = read_inputs(Path(work))
        result, predicted = evaluate(inputs)
    figures = draw_all(
        output / "figures",
        task=inputs.project.task.type,
        labels=inputs.test.labels,
        predictions=predicted.predictions,
        probabilities=predicted.probabilities,
        classes=predicted.classes,
        title=f"{result.candidate}, test period",
    )
    if inputs.training.curve:
        figures.append(draw_curve(output / "figures", inputs.training.curve, inputs.training.metric))
    explanations = write_explanations(inputs, output)
    performance = performance_reference(inputs, predicted)
    if isinstance(performance, str):
        tell("not_estimated", why=performance)
    else:
        (output / PERFORMANCE_FILE).write_text(performance.to_json(), encoding="utf-8")
    if explanations:
        figures += explanations.figures
    result = result.model_copy(update={"figures": tuple(figures), "seconds": time.monotonic() - started})
    (output / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    card = model_card(inputs, result, explanations.document if explanations else None)
    (output / "model_card.md").write_text(card, encoding="utf-8")
    tell("gate_checked", status=result.status, verdict=result.verdict, reasons=list(result.reasons))
    return 0


def read_inputs(work: Path) -> Inputs:
    """Unpack and verify everything that came from S3."""
    project = read_project(processing(EVALUATE_INPUTS["project"]))
    own = bool(project.training.model)
    challenger = load_bundle(unpack(_only(processing(EVALUATE_INPUTS["model"])), work / "model"), project_code=own)
    training = unpack(_only(processing(EVALUATE_INPUTS["training"])), work / "training")
    result = TrainResult.model_validate_json((training / RESULT_FILE).read_text(encoding="utf-8"))
    champion, missing = _champion(processing(EVALUATE_INPUTS["champion"]), work / "champion", project_code=own)
    folder = processing(EVALUATE_INPUTS["test"])
    # All features, not the challenger's only: champion and segments may need others.
    inputs = inputs_of(project, read_columns(folder))
    test = read_rows(folder, inputs, project.task.type, _sent(challenger, champion))
    need_same_features(challenger.signature, test)
    return Inputs(
        project=project,
        challenger=challenger,
        champion=champion,
        training=result,
        test=test,
        champion_missing=missing,
    )


def _sent(*bundles: Bundle | None) -> tuple[SignatureColumn, ...]:
    """Return all columns that callers of these models send, where one derives features of them."""
    known = [bundle.signature for bundle in bundles if bundle is not None]
    if not any(signature.derived for signature in known):
        return ()
    return tuple({column.name: column for signature in known for column in signature.inputs}.values())


def _only(folder: Path) -> Path:
    archives = sorted(folder.rglob("*.tar.gz"))
    if len(archives) != 1:
        raise InputError(f"{folder}: expected one .tar.gz archive, found {len(archives)}.")
    return archives[0]


def _champion(folder: Path, work: Path, *, project_code: bool) -> tuple[Bundle | None, str]:
    """Return the champion; one that no longer loads cannot be compared with, which must not block its successor."""
    if not folder.is_dir() or not any(folder.rglob("*.tar.gz")):
        return None, ""
    try:
        return load_bundle(unpack(_only(folder), work), project_code=project_code), ""
    except BundleError as error:
        return None, f"the champion, which cannot be loaded: {error}"


def evaluate(inputs: Inputs) -> tuple[EvaluateResult, Predicted]:
    """Return the verdict and the challenger's predictions on the test rows."""
    project, rows = inputs.project, Period.of(inputs)
    seen = [column.name for column in inputs.challenger.signature.model_inputs]
    predicted = predict(inputs.challenger.pipeline, inputs.test.frame[seen], project.task.type)
    baseline = guess(inputs, predicted)
    champion, missing = ask_champion(inputs, predicted)
    money = decisions_worth(inputs, rows, predicted, champion)
    rule, no_rule = ask_rule(inputs, predicted)
    rivals = Rivals(baseline=baseline, champion=champion, rule=rule)
    evidence = gather_evidence(inputs, rows, predicted, rivals, money)
    checks = check_gate(project.training.gate, evidence)
    not_judged = (*filter(None, (missing, no_rule)), *left_out(evidence))
    scores = score_every_metric(inputs, predicted)
    result = EvaluateResult(
        status="passed" if all(check.passed for check in checks if check.severity == "required") else "refused",
        candidate=inputs.training.chosen,
        metric=project.task.metric,
        test_metrics=scores | money.totals | _extra(inputs, predicted),
        intervals=intervals(rows, predicted, scores),
        baseline_metrics=score_every_metric(inputs, baseline),
        champion_metrics=score_every_metric(inputs, champion) if champion is not None else {},
        segments=tuple(evidence.judged),
        threshold=inputs.challenger.metadata.threshold,
        checks=checks,
        reasons=tuple(check.message for check in checks if not check.passed and check.severity == "required"),
        verdict=verdict_in_words(checks, not_judged, evidence.resampled),
        not_judged=not_judged,
        resampled=rows.recorded(evidence.drawn),
    )
    return result, predicted


def _extra(inputs: Inputs, predicted: Predicted) -> dict[str, float]:
    """Return the metrics that `evaluate_model` gives to MLflow's own evaluation, too."""
    shares = predicted.probabilities
    if inputs.project.task.type != "binary" or shares is None or not np.all(np.isfinite(shares)):
        return {}
    return extra_metrics(inputs.test.labels, shares[:, 1])
