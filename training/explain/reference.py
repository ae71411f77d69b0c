"""explainer.npz: what a bundle's model is explained with. Nothing of it is read before the first explanation.

`background` is JSON of {column: values} of a few training rows; `cover`, for trees, is how much of the training data
passed each node of the plan. Arrays and a text, never a pickle.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.errors import BundleError

if TYPE_CHECKING:
    import pandas as pd

BACKGROUND_ROWS: Final = 100


@dataclass(frozen=True)
class Reference:
    """Training rows as columns of plain values, and the cover of the trees' nodes where the model has trees."""

    background: Mapping[str, list[Any]]
    cover: npt.NDArray[np.float32] | None


def choose_background(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows that contributions are measured against."""
    chosen = np.random.default_rng(seed).permutation(len(frame))[:BACKGROUND_ROWS]
    return frame.iloc[np.sort(chosen)].reset_index(drop=True)


def write_reference(pipeline: Any, background: pd.DataFrame) -> bytes:
    """Return the content of explainer.npz."""
    from passerelle.domain.candidates.frame import plain_columns

    cover = tree_cover(pipeline.steps[-1][1]) if hasattr(pipeline, "steps") else None
    arrays: dict[str, Any] = {"background": _as_bytes(json.dumps(plain_columns(background)))}
    if cover is not None:
        arrays["cover"] = cover
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _as_bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def read_reference(content: bytes) -> Reference:
    """Return what explainer.npz holds.

    Raises BundleError when it is no such file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            background = json.loads(file["background"].tobytes())
            return Reference(background, file["cover"] if "cover" in file.files else None)
    except Exception as error:  # numpy and zipfile raise many kinds
        raise BundleError(f"explainer.npz: cannot be read: {type(error).__name__}: {error}. Train again.") from error


def tree_cover(model: Any) -> npt.NDArray[np.float32] | None:
    """Return the cover of every node, in the order of the plan's nodes; None for a model without trees."""
    from passerelle.domain.candidates.calibrated import innermost

    model = innermost(model)
    kind = type(model).__name__
    if kind.startswith("XGB"):
        learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
        parts = [tree["sum_hessian"] for tree in learner["gradient_booster"]["model"]["trees"]]
    elif kind.startswith("HistGradientBoosting"):
        parts = [tree.nodes["count"] for iteration in model._predictors for tree in iteration]
    elif kind.startswith("RandomForest"):
        parts = [tree.tree_.weighted_n_node_samples for tree in model.estimators_]
    else:
        return None
    return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts])
