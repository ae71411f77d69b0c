"""Features that know the label by themselves: more often than a discovery, such a column is written after the event.

Kaufman, Rosset, Perlich, Stitelman 2012, "Leakage in Data Mining" (ACM TKDD 6): look for single features that predict
too well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.estimators import LevelEncoder

Array = npt.NDArray[Any]
#: A single feature with this score or more is suspected: ROC AUC (of several classes: their mean), or R2.
SUSPICIOUS: Final = 0.99
LEAVES: Final = 64
MIN_ROWS: Final = 30


def single_feature_scores(
    train: tuple[pd.DataFrame, Array],
    other: tuple[pd.DataFrame, Array],
    inputs: Sequence[SignatureColumn],
    *,
    task: str,
) -> Iterator[tuple[str, float]]:
    """Yield (feature, score on other rows of a small tree that sees this feature only).

    A tree, because what leaks need not rise with the label. Datetimes are left out: a model sees their parts only.

    Parameters
    ----------
    train, other : inputs and labels to fit and to score on.
    """
    if len(other[1]) < MIN_ROWS:
        return
    for column in inputs:
        if column.type == "datetime":
            continue
        cells = [rows[[column.name]] for rows, _ in (train, other)]
        if column.type in ("category", "text"):
            encoder = LevelEncoder().fit(cells[0])
            fitted, asked = (encoder.transform(part) for part in cells)
        else:
            fitted, asked = (part.to_numpy(np.float64) for part in cells)
        score = _score(fitted, train[1], asked, other[1], task)
        if score is not None:
            yield column.name, score


def _score(fitted: Array, labels: Array, asked: Array, wanted: Array, task: str) -> float | None:
    if np.isnan(fitted).all():
        return None
    settings: dict[str, Any] = {"max_leaf_nodes": LEAVES, "min_samples_leaf": 5, "random_state": 0}
    if task == "regression":
        tree = DecisionTreeRegressor(**settings).fit(fitted, labels)
        return float(r2_score(wanted, tree.predict(asked)))
    tree = DecisionTreeClassifier(**settings).fit(fitted, labels)
    shares = tree.predict_proba(asked)
    hits = [(wanted == name, shares[:, place]) for place, name in enumerate(tree.classes_)]
    scores = [roc_auc_score(hit, share) for hit, share in hits if hit.any() and not hit.all()]
    return float(np.mean(scores)) if scores else None
