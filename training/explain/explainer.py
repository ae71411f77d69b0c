"""Explain rows with a bundle: exactly where its model has a plan, by asking it as a black box where it has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.bundle import BundleSignature
from passerelle.domain.explain.contributions import (
    SPACES,
    UNCALIBRATED,
    Contributions,
    Floats,
    Method,
    Space,
    answered,
    by_input,
)
from passerelle.errors import BundleError
from training.bundle.plan import Plan
from training.bundle.read import Bundle
from training.explain.reference import Reference, read_reference

Columns = Mapping[str, Sequence[Any]]
#: Values by encoded column, shape (n_rows, n_encoded, n_outputs), of the plan's matrix.
_Explain = Callable[[npt.NDArray[Any]], Floats]


class Explainer:
    """Explains rows of one bundle; safe to call from several threads.

    Raises BundleError for a bundle that was made without what explanations need.
    """

    def __init__(self, bundle: Bundle) -> None:
        if not bundle.reference:
            raise BundleError("The model was trained without what explanations need. Train it again.")
        self.signature = bundle.signature
        self.outputs = output_names(bundle.signature)
        self._columns = tuple(column.name for column in bundle.signature.model_inputs)
        reference = read_reference(bundle.reference)
        planned = _of_plan(bundle.plan, reference) if bundle.plan is not None else None
        self._answer = planned or _black_box(bundle, reference)

    def explain(self, columns: Columns) -> Contributions:
        """Return what each input column did to the answer for each row; `columns` as the model sees them."""
        values, owners, base, space, method = self._answer(columns)
        return Contributions(self._columns, by_input(values, owners, self._columns), base, space, method)


_Answer = Callable[[Columns], tuple[Floats, Sequence[str], Floats, Space, Method]]


def output_names(signature: BundleSignature) -> tuple[str, ...]:
    """Return what each output of `Contributions` is about: the positive class, each class, or the prediction."""
    if signature.task == "regression":
        return ("prediction",)
    return signature.classes[1:] if len(signature.classes) == 2 else signature.classes


def _of_plan(plan: Plan, reference: Reference) -> _Answer | None:
    """Return the exact explainer of a plan."""
    description = plan.description
    method: Method = description["model"]
    space = SPACES[description["link"]]
    owners = [step["name"] for step in description["columns"] for _ in step.get("parts", " ")]
    kind = np.dtype(description.get("input", "float64"))
    explain, base = _MAKERS[method](plan, reference)
    slope = 1.0
    if "calibration" in description and space == "log-odds":  # Platt's map is a straight line between log-odds
        slope, offset = plan.arrays["maps"][0].ravel()
        base = base * slope + offset
    elif "calibration" in description:
        space = UNCALIBRATED[space]

    def answer(columns: Columns) -> tuple[Floats, Sequence[str], Floats, Space, Method]:
        matrix = plan.encode(columns, len(next(iter(columns.values())))).astype(kind)
        return explain(matrix) * slope, owners, base, space, method

    return answer


def _trees(plan: Plan, reference: Reference) -> tuple[_Explain, Floats]:
    from passerelle.domain.explain.trees import TreePaths

    description = plan.description
    if reference.cover is None or len(reference.cover) != len(plan.arrays["feature"]):
        raise BundleError("explainer.npz does not fit the model's trees. Train it again.")
    paths = TreePaths(
        plan.arrays,
        reference.cover,
        groups=int(description["groups"]),
        width=int(description["width"]),
        equal_goes_right=bool(description["equal_goes_right"]),
        mean=bool(description["mean"]),
    )
    return paths.explain, paths.base


def _linear(plan: Plan, reference: Reference) -> tuple[_Explain, Floats]:
    from passerelle.domain.explain.linear import LinearTerms

    background = plan.encode(reference.background, len(next(iter(reference.background.values()))))
    numbers, encoded = int(plan.description["numbers"]), int(plan.description["encoded"])
    terms = LinearTerms(plan.arrays, numbers=numbers, encoded=encoded, background=background)
    return terms.explain, terms.base


def _constant(plan: Plan, reference: Reference) -> tuple[_Explain, Floats]:
    base = answered(plan.arrays["value"][None, :])[0]
    return lambda matrix: np.zeros((*matrix.shape, len(base))), base


_MAKERS: Mapping[Method, Callable[[Plan, Reference], tuple[_Explain, Floats]]] = {
    "trees": _trees,
    "linear": _linear,
    "constant": _constant,
}


def _black_box(bundle: Bundle, reference: Reference) -> _Answer:
    """Return the explainer of any pipeline: Kernel SHAP against the background rows."""
    from passerelle.domain.candidates.frame import typed_frame
    from passerelle.domain.explain.kernel import kernel_shap

    inputs, seed = bundle.signature.model_inputs, bundle.metadata.seed
    background = typed_frame(reference.background, inputs).iloc[:KERNEL_ROWS]
    space: Space = "prediction" if bundle.signature.task == "regression" else "probability"

    def answer(columns: Columns) -> tuple[Floats, Sequence[str], Floats, Space, Method]:
        values, base = kernel_shap(model_of(bundle), typed_frame(columns, inputs), background, seed=seed)
        return values, [column.name for column in inputs], base, space, "kernel"

    return answer


#: Each row costs so many times 256 predictions.
KERNEL_ROWS = 20


def model_of(bundle: Bundle) -> Callable[[Any], Floats]:
    """Return the pipeline as a function of a frame, with one column for each output."""
    pipeline, regression = bundle.pipeline, bundle.signature.task == "regression"
    return lambda frame: answered(pipeline.predict(frame) if regression else pipeline.predict_proba(frame))
