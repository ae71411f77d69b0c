"""Every candidate as one scikit-learn pipeline, from the typed frame to the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.declared import RuleClassifier, RuleRegressor
from passerelle.domain.candidates.estimators import LabelledClassifier, LevelEncoder, TimeFeatures
from passerelle.domain.candidates.monotone import constrain, constraints
from passerelle.domain.project.metric_names import RULE

MIN_FREQUENCY: Final = 20
#: HistGradientBoosting takes at most 255 levels; the rarer ones share one.
MAX_LEVELS: Final = 200
TREES: Final = 200


def make_candidate(
    name: str,
    *,
    task: str,
    inputs: Sequence[SignatureColumn],
    time_parts: Sequence[str],
    seed: int,
    threads: int,
    device: str = "cpu",
    params: Mapping[str, Any] = MappingProxyType({}),
    monotone: Mapping[str, str] = MappingProxyType({}),
    rule: Sequence[str] = (),
) -> Pipeline:
    """Return an unfitted pipeline.

    Parameters
    ----------
    name : one of `CANDIDATES[task]`, or `rule`.
    inputs : the signature's columns; datetimes are used only through `time_parts`.
    threads : cores that the fit may use.
    device : "cpu" or "cuda", for XGBoost.
    params : what tuning found, by the model's own names; the rest keeps this module's values.
    monotone : column -> "increasing" or "decreasing"; trees are told, other models are judged when they are fitted.
    rule : the lines of the candidate `rule`.
    """
    if name == RULE:
        model = RuleRegressor(tuple(rule)) if task == "regression" else RuleClassifier(tuple(rule))
        # It reads the columns by their names, as they come.
        return Pipeline([("encode", FunctionTransformer(feature_names_out="one-to-one")), ("model", model)])
    pipeline = _candidate(name, task, inputs, time_parts, seed=seed, threads=threads, device=device)
    model = pipeline.named_steps["model"]
    model = model.estimator if isinstance(model, LabelledClassifier) else model
    model.set_params(**params)
    signs = constraints(inputs, len(time_parts), monotone)
    if any(signs):
        constrain(model, signs)
    return pipeline


def _candidate(
    name: str,
    task: str,
    inputs: Sequence[SignatureColumn],
    time_parts: Sequence[str],
    *,
    seed: int,
    threads: int,
    device: str,
) -> Pipeline:
    classify = task != "regression"
    if name == "baseline":
        model = DummyClassifier(strategy="prior") if classify else DummyRegressor(strategy="median")
        return Pipeline([("encode", _trees_encoder(inputs, time_parts)), ("model", model)])
    if name in ("logistic", "linear"):
        model = LogisticRegression(max_iter=300, C=0.5) if classify else Ridge(alpha=1.0)
        return Pipeline([("encode", _linear_encoder(inputs, time_parts)), ("model", model)])
    makers = {"random_forest": _forest, "hist_gradient_boosting": _histogram, "xgboost": _xgboost}
    model = makers[name](task, seed, threads, device)
    return Pipeline([("encode", _trees_encoder(inputs, time_parts)), ("model", model)])


def _forest(task: str, seed: int, threads: int, device: str) -> Any:
    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return kind(n_estimators=100, min_samples_leaf=25, max_samples=0.4, random_state=seed, n_jobs=threads)


def _histogram(task: str, seed: int, threads: int, device: str) -> Any:
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(max_iter=TREES, learning_rate=0.06, early_stopping=False, random_state=seed)


def _xgboost(task: str, seed: int, threads: int, device: str) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    settings = {
        "n_estimators": TREES,
        "learning_rate": 0.06,
        "max_depth": 6,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "tree_method": "hist",
        "device": device,
        "n_jobs": threads,
        "random_state": seed,
    }
    if task == "regression":
        return XGBRegressor(**settings)
    return LabelledClassifier(XGBClassifier(**settings)) if task == "multiclass" else XGBClassifier(**settings)


def _groups(inputs: Sequence[SignatureColumn]) -> tuple[list[str], list[str], list[str]]:
    numbers = [column.name for column in inputs if column.type in ("integer", "number", "boolean")]
    texts = [column.name for column in inputs if column.type in ("category", "text")]
    times = [column.name for column in inputs if column.type == "datetime"]
    return numbers, texts, times


def _linear_encoder(inputs: Sequence[SignatureColumn], time_parts: Sequence[str]) -> ColumnTransformer:
    numbers, texts, times = _groups(inputs)
    every_level = OneHotEncoder(handle_unknown="ignore")
    parts: list[tuple[str, Any, list[str]]] = []
    if numbers:
        parts.append(("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers))
    if texts:
        parts.append(("texts", make_pipeline(_levels(), every_level), texts))
    if times and time_parts:
        parts.append(("times", make_pipeline(TimeFeatures(tuple(time_parts)), every_level), times))
    return ColumnTransformer(parts)


def _trees_encoder(inputs: Sequence[SignatureColumn], time_parts: Sequence[str]) -> ColumnTransformer:
    numbers, texts, times = _groups(inputs)
    parts: list[tuple[str, Any, list[str]]] = []
    if numbers:
        # Forests take NaN too since scikit-learn 1.4; a missing value is a level of its own.
        parts.append(("numbers", "passthrough", numbers))
    if texts:
        parts.append(("texts", _levels(), texts))
    if times and time_parts:
        parts.append(("times", TimeFeatures(tuple(time_parts)), times))
    return ColumnTransformer(parts)


def _levels() -> LevelEncoder:
    return LevelEncoder(min_frequency=MIN_FREQUENCY, max_levels=MAX_LEVELS)
