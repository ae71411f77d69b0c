"""A fitted classifier with maps from its shares to observed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from passerelle.domain.calibration import Method, apply_maps, log_odds


class CalibratedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Calibrate a classifier that is fitted already, on rows that it has not seen.

    scikit-learn's CalibratedClassifierCV fits the model several times or keeps private types, which a bundle refuses;
    this one keeps plain arrays.

    Parameters
    ----------
    estimator : the fitted classifier.
    method : "sigmoid" or "isotonic".
    """

    def __init__(self, estimator: Any = None, method: Method = "sigmoid") -> None:
        self.estimator = estimator
        self.method = method

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CalibratedClassifier:  # noqa: N803
        """Fit the maps only.

        Raises ValueError when a class is missing from these rows, or the model has two classes in the wrong order.
        """
        self.estimator_ = self.estimator
        self.classes_ = self.estimator_.classes_
        shares = self.estimator_.predict_proba(X)
        places = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        maps = []
        for place in places:
            hit = (np.asarray(y) == self.classes_[place]).astype(np.float64)
            if hit.min() == hit.max():
                raise ValueError(f"class {self.classes_[place]!r} is in none or all of the rows to calibrate on")
            maps.append(self._line(shares[:, place], hit, sample_weight))
        if len(maps) == 1 and self.method == "sigmoid" and not maps[0][0, 0] > 0:
            raise ValueError("on the rows to calibrate on, the model's order is no better than chance")
        self.maps_ = maps
        return self

    def _line(self, shares: Any, hit: Any, weights: Any) -> Any:
        if self.method == "isotonic":
            fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(shares, hit, weights)
            return np.asarray([fitted.X_thresholds_, fitted.y_thresholds_], dtype=np.float64)
        # A trace of a penalty: without one, rows that are told apart without error have no finite slope.
        fitted = LogisticRegression(C=1_000.0).fit(log_odds(shares)[:, None], hit, weights)
        return np.asarray([[fitted.coef_[0, 0]], [fitted.intercept_[0]]], dtype=np.float64)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return apply_maps(self.estimator_.predict_proba(X), self.method, self.maps_)

    def predict(self, X: Any) -> Any:  # noqa: N803
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]


def innermost(model: Any) -> Any:
    """Return the model below the platform's own wrappers: the one that has trees or coefficients."""
    while type(model).__name__ in ("CalibratedClassifier", "LabelledClassifier"):
        model = getattr(model, "estimator_", None) or model.estimator
    return model
