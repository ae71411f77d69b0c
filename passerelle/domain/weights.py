"""How much each row counts in a fit: the weight of its class times its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from passerelle.errors import InputError

ClassWeight = Literal["balanced"] | Mapping[str, float] | None


def row_weights(
    labels: npt.NDArray[Any], class_weight: ClassWeight, own: npt.NDArray[Any] | None
) -> npt.NDArray[Any] | None:
    """Return the weights of a fit, shape (n_rows,), None where all rows count the same.

    Their mean is 1: what a model holds against a number of rows, such as a leaf's least weight or a penalty, keeps its
    meaning. `balanced` gives every class the same total (King, Zeng 2001, "Logistic Regression in Rare Events Data").

    Parameters
    ----------
    labels : class names, or 0 and 1, which a mapping calls `negative` and `positive`.
    class_weight : a class that a mapping does not name weighs 1.
    own : the rows' own weights.

    Raises InputError when the rows, or those of a class, have no weight at all.
    """
    if own is None and class_weight is None:
        return None
    weights = np.ones(len(labels)) if own is None else np.asarray(own, dtype=np.float64)
    if not weights.sum() > 0:
        raise InputError("Every row of train has weight 0; correct the column of training.weight_column.")
    if class_weight is not None:
        weights = weights * _by_class(labels, class_weight, weights)
    return np.asarray(weights / weights.mean())


def _by_class(labels: npt.NDArray[Any], class_weight: ClassWeight, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    classes, codes = np.unique(labels, return_inverse=True)
    if class_weight == "balanced":
        totals = np.bincount(codes, weights)
        if not np.all(totals > 0):
            empty = classes.tolist()[int(np.argmin(totals))]
            raise InputError(f"Class {empty!r} has weight 0 in all its rows of train, so it cannot be balanced.")
        return np.asarray(totals.sum() / len(classes) / totals)[codes]
    assert isinstance(class_weight, Mapping)
    binary = {0: "negative", 1: "positive"}
    names = [str(name) if isinstance(name, str) else binary[int(name)] for name in classes]
    return np.asarray([class_weight.get(name, 1.0) for name in names])[codes]
