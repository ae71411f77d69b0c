"""Our own scikit-learn estimators. Their types are on the bundle's allow-list, so keep them few and plain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class TimeFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Derive numbers from one datetime column: weekday (Monday 0), hour, month, day_of_year, in UTC.

    Parameters
    ----------
    parts : names of what to derive, in the order of the output columns.
    """

    def __init__(self, parts: tuple[str, ...] = ()) -> None:
        self.parts = parts

    def fit(self, X: pd.DataFrame, y: Any = None) -> TimeFeatures:  # noqa: N803 (scikit-learn's name)
        self.column_ = str(X.columns[0])
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return an array of shape (n_rows, n_parts); NaN where the time is missing."""
        check_is_fitted(self)
        moments = X.iloc[:, 0].dt
        read = {"weekday": "dayofweek", "hour": "hour", "month": "month", "day_of_year": "dayofyear"}
        columns = [getattr(moments, read[part]).to_numpy(np.float64) for part in self.parts]
        return np.column_stack(columns)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        return np.asarray([f"{self.column_}__{part}" for part in self.parts], dtype=object)


class LabelledClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that takes and gives class names, around one that wants 0..k-1 (XGBoost)."""

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, **fit_params: Any) -> LabelledClassifier:  # noqa: N803
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.estimator_ = self.estimator.fit(X, codes, **fit_params)
        return self

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def predict(self, X: Any) -> Any:  # noqa: N803
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]
