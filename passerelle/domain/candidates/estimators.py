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


class LevelEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode texts as codes 0..n-1 by falling frequency; rare and unseen ones share -1, missing ones are a level.

    Keeps only the levels it uses, as plain text arrays: scikit-learn's encoders keep every level that they saw, which
    makes a column of 4,000 aircraft a bundle of megabytes.

    Parameters
    ----------
    min_frequency : levels with fewer rows are rare; in a small table, those with less than 1 % of its rows.
    max_levels : at most so many levels a column get a code.
    """

    MISSING = "(missing)"

    def __init__(self, min_frequency: int = 20, max_levels: int = 200) -> None:
        self.min_frequency = min_frequency
        self.max_levels = max_levels

    def fit(self, X: pd.DataFrame, y: Any = None) -> LevelEncoder:  # noqa: N803
        self.columns_ = [str(name) for name in X.columns]
        self.levels_ = [self._levels(X[name]) for name in X.columns]
        return self

    def _levels(self, values: pd.Series[Any]) -> np.ndarray[Any, Any]:
        counts = values.fillna(self.MISSING).value_counts()
        # Sorted by count, then by name, so that equal data gives equal codes.
        order = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        least = min(self.min_frequency, max(2, len(values) // 100))
        kept = [str(level) for level, count in order if count >= least][: self.max_levels]
        return np.asarray(kept, dtype=np.str_)

    def transform(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return float64 codes of shape (n_rows, n_columns)."""
        check_is_fitted(self)
        codes = np.empty((len(X), len(self.levels_)), dtype=np.float64)
        for index, levels in enumerate(self.levels_):
            # Each distinct text is looked up once; a missing one has the place -1, the table's last.
            places, found = pd.factorize(X.iloc[:, index])
            known = {level: code for code, level in enumerate(levels.tolist())}
            table = [known.get(text, -1) for text in (*found, self.MISSING)]
            codes[:, index] = np.asarray(table, dtype=np.float64)[places]
        return codes

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        return np.asarray(self.columns_, dtype=object)


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
