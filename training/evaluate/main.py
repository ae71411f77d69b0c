"""Entry `evaluate`: the chosen model on the newest period, against baseline, champion and segments."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.archive import unpack
from passerelle.contracts.container import EVALUATE_INPUTS, EVALUATE_OUTPUTS, RESULT_FILE, EvaluateResult, TrainResult
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.decision import total_value
from passerelle.domain.gate import check_gate
from passerelle.domain.metrics import bootstrap_scores, score, score_all
from passerelle.domain.project import Project
from passerelle.errors import BundleError, InputError
from training.bundle import Bundle, load_bundle
from training.evaluate.card import model_card
from training.figures.draw import draw_all, draw_curve
from training.paths import base_dir, processing
from training.progress import tell
from training.project_archive import read_project
from training.train.data import Rows, inputs_of, read_columns, read_rows
from training.train.predict import Predicted, predict


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What `evaluate` reads, unpacked."""

    project: Project
    challenger: Bundle
    champion: Bundle | None
    training: TrainResult
    test: Rows


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
    result = result.model_copy(update={"figures": tuple(figures), "seconds": time.monotonic() - started})
    (output / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    card = model_card(inputs.project, inputs.challenger, inputs.training, result)
    (output / "model_card.md").write_text(card, encoding="utf-8")
    tell("gate_checked", status=result.status, reasons=list(result.reasons))
    return 0


def read_inputs(work: Path) -> Inputs:
    """Unpack and verify everything that came from S3."""
    project = read_project(processing(EVALUATE_INPUTS["project"]))
    challenger = load_bundle(unpack(_only(processing(EVALUATE_INPUTS["model"])), work / "model"))
    training = unpack(_only(processing(EVALUATE_INPUTS["training"])), work / "training")
    result = TrainResult.model_validate_json((training / RESULT_FILE).read_text(encoding="utf-8"))
    folder = processing(EVALUATE_INPUTS["test"])
    # All features, not the challenger's only: champion and segments may need others.
    test = read_rows(folder, inputs_of(project, read_columns(folder)), project.task.type)
    champion = _champion(processing(EVALUATE_INPUTS["champion"]), work / "champion")
    return Inputs(project=project, challenger=challenger, champion=champion, training=result, test=test)


def _only(folder: Path) -> Path:
    archives = sorted(folder.rglob("*.tar.gz"))
    if len(archives) != 1:
        raise InputError(f"{folder}: expected one .tar.gz archive, found {len(archives)}.")
    return archives[0]


def _champion(folder: Path, work: Path) -> Bundle | None:
    """Return the champion; one that no longer loads cannot be compared with, which must not block its successor."""
    if not folder.is_dir() or not any(folder.rglob("*.tar.gz")):
        return None
    try:
        return load_bundle(unpack(_only(folder), work))
    except BundleError as error:
        print(f"The champion cannot be loaded, so the challenger is not compared with it: {error}", flush=True)
        return None


def evaluate(inputs: Inputs) -> tuple[EvaluateResult, Predicted]:
    """Return the verdict and the challenger's predictions on the test rows."""
    task, labels = inputs.project.task, inputs.test.labels
    seen = [column.name for column in inputs.challenger.signature.inputs]
    predicted = predict(inputs.challenger.pipeline, inputs.test.frame[seen], task.type)
    scores = _score_all(task.type, labels, predicted)
    baseline = _baseline(inputs, predicted)
    segments = tuple(_segments(inputs, predicted, baseline))
    champion, difference = _compare_with_champion(inputs, predicted)
    outputs = predicted.probabilities if predicted.probabilities is not None else predicted.predictions
    checks = check_gate(
        inputs.project.training.gate,
        metric=task.metric,
        greater_is_better=inputs.project.greater_is_better,
        candidate=scores.get(task.metric),
        baseline=_score_all(task.type, labels, baseline).get(task.metric),
        champion_difference=difference,
        outputs=outputs,
        segments=segments,
    )
    result = EvaluateResult(
        status="passed" if all(check.passed for check in checks) else "refused",
        candidate=inputs.training.chosen,
        metric=task.metric,
        test_metrics=scores | _value(inputs, predicted),
        baseline_metrics=_score_all(task.type, labels, baseline),
        champion_metrics=champion,
        segments=segments,
        threshold=inputs.challenger.metadata.threshold,
        checks=checks,
        reasons=tuple(check.message for check in checks if not check.passed),
    )
    return result, predicted


def _score_all(task: str, labels: npt.NDArray[Any], predicted: Predicted) -> dict[str, float]:
    return score_all(task, labels, predicted.predictions, predicted.probabilities, predicted.classes)


def _baseline(inputs: Inputs, predicted: Predicted) -> Predicted:
    """Return what the baseline says: the classes' shares, or the median, of the training period."""
    rows = len(inputs.test.labels)
    label = inputs.challenger.profile["label"]
    if predicted.probabilities is None:
        return Predicted(np.full(rows, float(label["median"])), None, predicted.classes)
    shares = np.asarray([label["shares"][str(name)] for name in predicted.classes], dtype=np.float64)
    guess = predicted.classes[int(np.argmax(shares))]
    return Predicted(np.full(rows, guess), np.tile(shares, (rows, 1)), predicted.classes)


def _segments(inputs: Inputs, predicted: Predicted, baseline: Predicted) -> list[dict[str, Any]]:
    """Return the score per value of each declared segment that has enough rows."""
    task = inputs.project.task
    sign = 1.0 if inputs.project.greater_is_better else -1.0
    found: list[dict[str, Any]] = []
    for column in task.segments:
        if column not in inputs.test.frame.columns:
            continue
        values = inputs.test.frame[column].astype(str)
        for value, rows in values.value_counts().items():
            chosen = (values == value).to_numpy()
            if rows < task.min_segment_rows:
                continue
            own, other = (_score_rows(task, inputs.test.labels, item, chosen) for item in (predicted, baseline))
            better = None if own is None or other is None else sign * (own - other)
            found.append(
                {"column": column, "value": value, "rows": int(rows), "score": own if better is not None else None}
                | {"better_than_baseline": better}
            )
    return found


def _score_rows(task: Any, labels: npt.NDArray[Any], predicted: Predicted, rows: npt.NDArray[Any]) -> float | None:
    shares = predicted.probabilities[rows] if predicted.probabilities is not None else None
    return score(task.metric, task.type, labels[rows], predicted.predictions[rows], shares, predicted.classes)


def _compare_with_champion(inputs: Inputs, predicted: Predicted) -> tuple[dict[str, float], tuple[float, float] | None]:
    """Return the champion's scores and (how much better the challenger is, 95 % lower bound) on the same rows."""
    champion, task, labels = inputs.champion, inputs.project.task, inputs.test.labels
    if champion is None:
        return {}, None
    try:
        columns: dict[str, Any] = {column.name: inputs.test.frame[column.name] for column in champion.signature.inputs}
    except KeyError as missing:
        print(f"The champion needs column {missing}, which today's data lacks: it is not compared with.", flush=True)
        return {}, None
    own = predict(champion.pipeline, typed_frame(columns, champion.signature.inputs), task.type)
    if list(own.classes) != list(predicted.classes):
        print("The champion knows other classes than today's data: it is not compared with.", flush=True)
        return {}, None
    scores = _score_all(task.type, labels, own)
    sign = 1.0 if inputs.project.greater_is_better else -1.0
    ours, theirs = (
        bootstrap_scores(
            task.metric, task.type, labels, item.predictions, item.probabilities, item.classes, seed=0, rounds=100
        )
        for item in (predicted, own)
    )
    differences = sign * (ours - theirs)
    differences = differences[np.isfinite(differences)]
    whole = _score_all(task.type, labels, predicted)
    if task.metric not in scores or task.metric not in whole or not len(differences):
        return scores, None
    return scores, (sign * (whole[task.metric] - scores[task.metric]), float(np.quantile(differences, 0.025)))


def _value(inputs: Inputs, predicted: Predicted) -> dict[str, float]:
    """Return the money that the model's decisions would have made on the test period."""
    value, threshold = inputs.project.why.value, inputs.challenger.metadata.threshold
    if value is None or predicted.probabilities is None or threshold is None:
        return {}
    money = total_value(value, inputs.test.labels, predicted.probabilities[:, 1], threshold)
    never = total_value(value, inputs.test.labels, np.zeros(len(inputs.test.labels)), 0.5)
    return {"value": money, "value_over_no_model": money - never}
