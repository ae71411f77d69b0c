"""A declared business rule as an estimator: it learns nothing, and is judged like the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from passerelle.domain.rule import answers, columns_of, parse_rule


def _need_columns(lines: tuple[str, ...], frame: pd.DataFrame) -> None:
    missing = [name for name in columns_of(parse_rule(lines)) if name not in frame]
    if missing:
        raise ValueError(f"training.rule reads {', '.join(missing)}, which preparation dropped as useless")


class RuleClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers of a rule as shares: of two classes the probability of the second, of several the class itself.

    Parameters
    ----------
    lines : the rule as it is declared.
    """

    def __init__(self, lines: tuple[str, ...] = ()) -> None:
        self.lines = lines

    def fit(self, X: pd.DataFrame, y: Any, sample_weight: Any = None) -> RuleClassifier:  # noqa: N803
        """Take note of the classes.

        Raises ValueError for an answer that is no class, or a column that is not there.
        """
        _need_columns(self.lines, X)
        self.classes_ = np.unique(np.asarray(y))
        known = [str(name) for name in self.classes_]
        unknown = [line.answer for line in parse_rule(self.lines) if self._names(line.answer) not in known]
        if len(known) > 2 and unknown:
            raise ValueError(f"training.rule answers {unknown[0]!r}, which is no class of train: {', '.join(known)}")
        return self

    def _names(self, answer: Any) -> str:
        return str(answer).lower() if isinstance(answer, bool) else str(answer)

    def predict_proba(self, X: pd.DataFrame) -> Any:  # noqa: N803
        check_is_fitted(self)
        found = answers(parse_rule(self.lines), X)
        if len(self.classes_) == 2 and all(isinstance(answer, float) for answer in found):
            positive = found.astype(np.float64)
            return np.column_stack([1 - positive, positive])
        names = np.asarray([self._names(answer) for answer in found], dtype=object)
        return np.column_stack([names == str(name) for name in self.classes_]).astype(np.float64)

    def predict(self, X: pd.DataFrame) -> Any:  # noqa: N803
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]


class RuleRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers of a rule as numbers.

    Parameters
    ----------
    lines : the rule as it is declared.
    """

    def __init__(self, lines: tuple[str, ...] = ()) -> None:
        self.lines = lines

    def fit(self, X: pd.DataFrame, y: Any, sample_weight: Any = None) -> RuleRegressor:  # noqa: N803
        """Look for the columns only. Raises ValueError when one is not there."""
        _need_columns(self.lines, X)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: pd.DataFrame) -> Any:  # noqa: N803
        check_is_fitted(self)
        return answers(parse_rule(self.lines), X).astype(np.float64)
