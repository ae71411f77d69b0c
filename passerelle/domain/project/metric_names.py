"""Which metrics a task may be judged by, and in which direction they are better."""

from __future__ import annotations

from typing import Final

#: task -> metric -> greater is better. Names are scikit-learn's where it has them.
METRICS: Final[dict[str, dict[str, bool]]] = {
    "binary": {
        "roc_auc": True,
        "average_precision": True,
        "log_loss": False,
        "brier": False,
        "f1": True,
        "accuracy": True,
        "balanced_accuracy": True,
    },
    "multiclass": {
        "roc_auc": True,
        "log_loss": False,
        "macro_f1": True,
        "accuracy": True,
        "balanced_accuracy": True,
    },
    "regression": {"rmse": False, "mae": False, "r2": True, "median_absolute_error": False},
}

#: Candidates that a project declares itself: a business rule, and a model of its own.
RULE: Final = "rule"
OWN: Final = "own"

_CLASSIFIERS: Final = ("baseline", "logistic", "random_forest", "hist_gradient_boosting", "xgboost")

#: task -> candidates, from the simplest to the most complex.
CANDIDATES: Final[dict[str, tuple[str, ...]]] = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": ("baseline", "linear", "random_forest", "hist_gradient_boosting", "xgboost"),
}


def complexity(task: str, name: str) -> int:
    """Return a candidate's rank, from the simplest to the most complex."""
    first, *rest = CANDIDATES[task]
    return [first, RULE, *rest, OWN].index(name)
