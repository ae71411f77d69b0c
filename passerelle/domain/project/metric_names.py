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

_CLASSIFIERS: Final = ("baseline", "logistic", "random_forest", "hist_gradient_boosting", "xgboost")

#: task -> candidates, from the simplest to the most complex.
CANDIDATES: Final[dict[str, tuple[str, ...]]] = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": ("baseline", "linear", "random_forest", "hist_gradient_boosting", "xgboost"),
}
