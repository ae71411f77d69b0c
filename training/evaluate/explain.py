"""Explain the chosen model on a seeded sample of the test rows."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.explain import (
    EXPLANATIONS_FILE,
    DependenceCurve,
    ExplainedRow,
    Explanations,
    LocalSurrogate,
    PermutationCost,
    Shapley,
)
from passerelle.domain.candidates.frame import plain_columns, plain_value
from passerelle.domain.explain.contributions import Contributions
from passerelle.domain.explain.dependence import Dependence, dependences
from passerelle.domain.explain.importance import permutation_costs
from passerelle.domain.explain.lime import lime
from passerelle.domain.metrics import score
from passerelle.domain.project import Project
from training.bundle import Bundle
from training.evaluate.inputs import Inputs
from training.explain.explainer import Explainer, model_of
from training.figures.explain import draw_explanations
from training.progress import tell
from training.train.data import Rows
from training.train.predict import predict

#: Exact values take milliseconds a row; those of a black box 5,120 predictions a row.
SHAPLEY_ROWS: Final = 300
LEAST_SHAPLEY_ROWS: Final = 50
KERNEL_ROWS: Final = 20
#: Rows times nodes of trees: some two seconds.
SHAPLEY_NODES: Final = 15_000_000
PERMUTATION_ROWS: Final = 1_500
PERMUTATION_REPEATS: Final = 3
DEPENDENCE_ROWS: Final = 100
DEPENDENCE_COLUMNS: Final = 6
#: Of so many rows the single curves are written down.
ICE_ROWS: Final = 30


@dataclass(frozen=True)
class Explained:
    """What is written as JSON, and what only the figures show."""

    document: Explanations
    contributions: Contributions
    sample: pd.DataFrame
    dependence: tuple[Dependence, ...]


@dataclass(frozen=True)
class Written:
    """The explanations, and the names of their figures."""

    document: Explanations
    figures: list[str]


def write_explanations(inputs: Inputs, output: Path) -> Written | None:
    """Write explanations.json and the figures; None where the model cannot be explained, which blocks no gate."""
    try:
        found = explain(inputs.project, inputs.challenger, inputs.training.chosen, inputs.test)
        figures = draw_explanations(
            output / "figures", found.document, found.contributions, found.sample, found.dependence
        )
    except Exception as error:  # whatever a project's own model raises for rows that it never saw
        traceback.print_exc()
        tell("not_explained", reason=f"{type(error).__name__}: {error}")
        return None
    (output / EXPLANATIONS_FILE).write_text(found.document.model_dump_json(indent=1), encoding="utf-8")
    shapley = found.document.shapley
    tell("explained", method=shapley.method, rows=shapley.rows, seconds=round(found.document.seconds, 2))
    return Written(found.document, figures)


def explain(project: Project, bundle: Bundle, candidate: str, test: Rows) -> Explained:
    """Return the explanations of a bundle on test rows."""
    started = time.monotonic()
    seed, seen = project.training.seed, [column.name for column in bundle.signature.model_inputs]
    order = np.random.default_rng(seed).permutation(len(test.labels))
    explainer = Explainer(bundle)
    sample, found = _shapley(explainer, bundle, test.frame[seen].iloc[order[:SHAPLEY_ROWS]].reset_index(drop=True))
    ranked = np.argsort(-found.importance, kind="stable")
    dependence = _dependence(project, bundle, sample, ranked[:DEPENDENCE_COLUMNS])
    document = Explanations(
        candidate=candidate,
        metric=project.task.metric,
        shapley=Shapley(
            method=found.method,
            space=found.space,
            rows=len(sample),
            outputs=explainer.outputs,
            base=tuple(found.base.tolist()),
            importance={found.columns[place]: float(found.importance[place]) for place in ranked},
        ),
        permutation=_permutation(project, bundle, test, order[:PERMUTATION_ROWS]),
        permutation_rows=min(PERMUTATION_ROWS, len(order)),
        dependence=tuple(map(_curve, dependence)),
        examples=_examples(project, bundle, explainer, sample, found),
        seconds=time.monotonic() - started,
    )
    return Explained(document, found, sample, dependence)


def _shapley(explainer: Explainer, bundle: Bundle, frame: pd.DataFrame) -> tuple[pd.DataFrame, Contributions]:
    """Return as many rows as the model's size allows, the same on every machine, and their contributions."""
    most = KERNEL_ROWS
    if bundle.plan is not None:
        nodes = len(bundle.plan.arrays.get("feature", ()))
        most = int(np.clip(SHAPLEY_NODES // max(nodes, 1), LEAST_SHAPLEY_ROWS, SHAPLEY_ROWS))
    frame = frame.head(most)
    return frame, explainer.explain(plain_columns(frame))


def _permutation(
    project: Project, bundle: Bundle, test: Rows, rows: npt.NDArray[np.int64]
) -> tuple[PermutationCost, ...]:
    task, labels = project.task, test.labels[rows]
    columns = [column.name for column in bundle.signature.model_inputs]

    def scored(frame: pd.DataFrame) -> float | None:
        given = predict(bundle.pipeline, frame, task.type)
        return score(task.metric, task.type, labels, given.predictions, given.probabilities, given.classes)

    costs = permutation_costs(
        scored,
        test.frame[columns].iloc[rows].reset_index(drop=True),
        columns,
        seed=project.training.seed,
        greater_is_better=project.greater_is_better,
        repeats=PERMUTATION_REPEATS,
    )
    found = [
        PermutationCost(column=name, mean=float(cost.mean()), deviation=float(cost.std(ddof=1)))
        for name, cost in zip(columns, costs, strict=True)
    ]
    return tuple(sorted(found, key=lambda item: -item.mean))


def _dependence(
    project: Project, bundle: Bundle, sample: pd.DataFrame, places: npt.NDArray[np.intp]
) -> tuple[Dependence, ...]:
    frame, model = sample.head(DEPENDENCE_ROWS), model_of(bundle)
    columns = [bundle.signature.model_inputs[place] for place in places]
    parts = project.training.time_features
    return tuple(curve for column in columns for curve in dependences(model, frame, column, parts))


def _curve(curve: Dependence) -> DependenceCurve:
    return DependenceCurve(
        column=curve.column,
        part=curve.part,
        grid=curve.grid,
        mean=tuple(tuple(point) for point in curve.mean.tolist()),
        rows=tuple(tuple(row) for row in curve.rows[:ICE_ROWS, :, -1].tolist()),
    )


def _examples(
    project: Project, bundle: Bundle, explainer: Explainer, sample: pd.DataFrame, found: Contributions
) -> tuple[ExplainedRow, ...]:
    """Return the rows with the lowest, the median and the highest answer, of the output that the model is about."""
    totals = found.totals[:, -1]
    order = np.argsort(totals, kind="stable")
    chosen = {"lowest answer": order[0], "median answer": order[len(order) // 2], "highest answer": order[-1]}
    return tuple(_example(why, int(row), project, bundle, explainer, sample, found) for why, row in chosen.items())


def _example(
    why: str,
    row: int,
    project: Project,
    bundle: Bundle,
    explainer: Explainer,
    sample: pd.DataFrame,
    found: Contributions,
) -> ExplainedRow:
    values = found.values[row, :, -1]
    surrogate = None
    if project.training.explain.lime:
        local = lime(model_of(bundle), sample.iloc[[row]], sample, seed=project.training.seed)
        weights = dict(zip(local.columns, local.weights[:, -1].tolist(), strict=True))
        surrogate = LocalSurrogate(weights=weights, fit=float(local.fit[-1]))
    return ExplainedRow(
        why_chosen=why,
        inputs={str(name): plain_value(value) for name, value in sample.iloc[row].items()},
        output=explainer.outputs[-1],
        base=float(found.base[-1]),
        total=float(found.totals[row, -1]),
        contributions={found.columns[place]: float(values[place]) for place in np.argsort(-np.abs(values))},
        lime=surrogate,
    )
