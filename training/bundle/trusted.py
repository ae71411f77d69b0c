"""Which types a bundle may hold. skops refuses to load a file that names any other."""

from __future__ import annotations

from typing import Final

#: Beyond what skops trusts by itself (numpy, scipy and scikit-learn's public estimators).
TRUSTED_TYPES: Final = (
    "numpy.dtype",
    "passerelle.domain.candidates.calibrated.CalibratedClassifier",
    "passerelle.domain.candidates.declared.RuleClassifier",
    "passerelle.domain.candidates.declared.RuleRegressor",
    "passerelle.domain.candidates.estimators.LabelledClassifier",
    "passerelle.domain.candidates.estimators.LevelEncoder",
    "passerelle.domain.candidates.estimators.TimeFeatures",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
