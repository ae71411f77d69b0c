"""Make a plan of a fitted pipeline. The platform's own candidates have one; any other is served as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.bundle.ensemble import write_ensemble

Arrays = dict[str, npt.NDArray[Any]]
#: A leaf: both its children are itself, so that walking on does no harm.
LEAF: Final = -1


class NoPlanError(Exception):
    """A pipeline has a part that plans do not know."""


def compile_plan(pipeline: Any, *, classes: npt.NDArray[Any]) -> tuple[dict[str, Any], Arrays]:
    """Return the description and the arrays of a fitted pipeline's plan.

    Raises NoPlanError when it holds an estimator, or a setting of one, that plans do not know.
    """
    # Imported here: it imports scikit-learn, and the server, which does without, imports this module.
    from passerelle.domain.candidates.calibrated import innermost

    try:
        encoder, model = pipeline.steps[0][1], pipeline.steps[-1][1]
        if len(pipeline.steps) != 2 or type(encoder).__name__ != "ColumnTransformer":
            raise NoPlanError("the pipeline is not an encoder and a model")
        columns, encoding = _encoding(encoder)
        calibration, maps = _calibration(model)
        model = innermost(model)
        compiler = _COMPILERS.get(type(model).__name__)
        if compiler is None:
            raise NoPlanError(f"{type(model).__name__} has no plan")
        width = sum(len(step.get("parts", " ")) for step in columns)
        description, arrays = compiler(model, _Inputs(width, encoding))
        if classes.dtype.kind == "O" and not all(isinstance(name, str) for name in classes):
            raise NoPlanError("the classes are neither numbers nor texts")
        names = classes.astype(str) if classes.dtype.kind == "O" else classes
        description |= calibration | {"columns": columns, "width": width}
        if description["model"] == "trees":
            arrays["graph"] = write_ensemble(description, arrays)
        return description, encoding.levels | arrays | maps | {"classes": names}
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise NoPlanError(f"{type(error).__name__}: {error}") from error


def _calibration(model: Any) -> tuple[dict[str, Any], Arrays]:
    """Return how a calibrated model maps its shares. The lines of isotonic regression jump: where they do, the last
    digit decides, and a plan's last digit may differ from its library's."""
    if not hasattr(model, "maps_"):
        return {}, {}
    if model.method != "sigmoid":
        raise NoPlanError(f"{model.method} calibration has no plan")
    return {"calibration": model.method}, {"maps": np.asarray(model.maps_)}


@dataclass(frozen=True)
class _Encoding:
    """What the encoder knows beside its columns: levels of texts; scalers and one-hot categories of a linear model."""

    levels: Arrays
    imputer: Any
    scaler: Any
    categories: tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class _Inputs:
    width: int
    encoding: _Encoding


def _encoding(encoder: Any) -> tuple[list[dict[str, Any]], _Encoding]:
    columns: list[dict[str, Any]] = []
    levels: Arrays = {}
    categories: list[npt.NDArray[Any]] = []
    imputer = scaler = None
    for group, transformer, names in encoder.transformers_:
        steps = [step for _, step in transformer.steps] if hasattr(transformer, "steps") else [transformer]
        if group == "numbers":
            columns += [{"kind": "number", "name": name} for name in names]
            imputer, scaler = steps if len(steps) == 2 else (None, None)
        elif group == "texts":
            for name, kept in zip(names, steps[0].levels_, strict=True):
                key = f"levels_{len(levels)}"
                levels[key] = np.asarray(kept, dtype=np.str_)
                columns.append({"kind": "level", "name": name, "levels": key})
        elif group == "times":
            columns.append({"kind": "moment", "name": steps[0].column_, "parts": list(steps[0].parts)})
        elif transformer != "drop":
            raise NoPlanError(f"the encoder has a part {group!r}")
        if group in ("texts", "times") and len(steps) == 2:
            categories += [np.asarray(part, dtype=np.float64) for part in steps[1].categories_]
    return columns, _Encoding(levels, imputer, scaler, tuple(categories))


# Trees


@dataclass(frozen=True)
class _Tree:
    """One tree: children are LEAF at leaves; `missing_right` says where a missing value goes."""

    feature: npt.NDArray[Any]
    threshold: npt.NDArray[Any]
    left: npt.NDArray[Any]
    right: npt.NDArray[Any]
    missing_right: npt.NDArray[Any]
    value: npt.NDArray[Any]


def _pack(trees: Sequence[_Tree], *, base: Any, **description: Any) -> tuple[dict[str, Any], Arrays]:
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    children = []
    for tree, start in zip(trees, starts, strict=False):
        own = np.arange(len(tree.feature))
        leaf = tree.left == LEAF
        pair = np.stack([np.where(leaf, own, tree.left), np.where(leaf, own, tree.right)], axis=1)
        children.append((pair + start).ravel())
    joined = {
        name: np.concatenate([getattr(tree, name) for tree in trees])
        for name in ("threshold", "value", "missing_right")
    }
    feature = np.concatenate([np.where(tree.left == LEAF, 0, tree.feature) for tree in trees])
    arrays = joined | {
        "feature": feature.astype(np.int64),
        "children": np.concatenate(children).astype(np.int64),
        "roots": starts[:-1].astype(np.int64),
        "base": np.asarray(base),
    }
    return {"model": "trees", "mean": False} | description, arrays


def _compile_xgboost(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    link = {"binary:logistic": "sigmoid", "multi:softprob": "softmax", "reg:squarederror": "number"}[objective]
    if booster["name"] != "gbtree" or booster["model"]["gbtree_model_param"]["num_parallel_tree"] != "1":
        raise NoPlanError(f"booster {booster['name']}")
    groups = max(1, int(learner["learner_model_param"]["num_class"]))
    base = np.asarray(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float64).ravel()
    if link == "sigmoid":
        base = np.log(base / (1 - base))
    tree_groups = booster["model"]["tree_info"]
    if tree_groups != [index % groups for index in range(len(tree_groups))]:
        raise NoPlanError("the trees of the classes do not alternate")
    trees = [_xgboost_tree(tree) for tree in booster["model"]["trees"]]
    return _pack(trees, base=base.astype(np.float32), groups=groups, link=link, equal_goes_right=True, input="float32")


def _xgboost_tree(tree: Mapping[str, Any]) -> _Tree:
    if any(tree["split_type"]):
        raise NoPlanError("a split by category")
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    return _Tree(
        feature=np.asarray(tree["split_indices"]),
        threshold=conditions,
        left=np.asarray(tree["left_children"]),
        right=np.asarray(tree["right_children"]),
        missing_right=np.asarray(tree["default_left"]) == 0,
        value=conditions,  # a leaf's condition is its value
    )


def _compile_boosting(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    if model.is_categorical_ is not None and np.any(model.is_categorical_):
        raise NoPlanError("a split by category")
    trees = [_boosting_tree(tree.nodes) for iteration in model._predictors for tree in iteration]
    groups = model.n_trees_per_iteration_
    link = "number" if not hasattr(model, "classes_") else "sigmoid" if groups == 1 else "softmax"
    base = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
    return _pack(trees, base=base, groups=groups, link=link, equal_goes_right=False, input="float64")


def _boosting_tree(nodes: npt.NDArray[Any]) -> _Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return _Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        left=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        right=np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
        missing_right=~nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"],
    )


def _compile_forest(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    trees = [_forest_tree(estimator.tree_) for estimator in model.estimators_]
    link = "shares" if hasattr(model, "classes_") else "number"
    return _pack(trees, base=[0.0], groups=1, link=link, equal_goes_right=False, input="float32", mean=True)


def _forest_tree(tree: Any) -> _Tree:
    return _Tree(
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_right=~np.asarray(tree.missing_go_to_left).astype(bool),
        value=tree.value[:, 0, :],
    )


# The others


def _compile_linear(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    encoding = inputs.encoding
    coefficients = np.atleast_2d(model.coef_).T
    link = "number" if not hasattr(model, "classes_") else "sigmoid" if coefficients.shape[1] == 1 else "softmax"
    numbers = len(encoding.scaler.mean_) if encoding.scaler is not None else 0
    arrays = {
        "fill": encoding.imputer.statistics_ if numbers else np.zeros(0),
        "mean": encoding.scaler.mean_ if numbers else np.zeros(0),
        "scale": encoding.scaler.scale_ if numbers else np.ones(0),
        "coefficients": coefficients,
        "intercept": np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64)),
    } | dict(_categories(encoding.categories))
    return {"model": "linear", "numbers": numbers, "encoded": len(encoding.categories), "link": link}, arrays


def _categories(categories: Sequence[npt.NDArray[Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for index, values in enumerate(categories):
        if np.isnan(values).any():
            raise NoPlanError("a missing value is a category")
        yield f"categories_{index}", values


def _compile_prior(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    if model.strategy != "prior":
        raise NoPlanError(f"strategy {model.strategy}")
    return {"model": "constant", "link": "shares"}, {"value": np.asarray(model.class_prior_, dtype=np.float64)}


def _compile_median(model: Any, inputs: _Inputs) -> tuple[dict[str, Any], Arrays]:
    return {"model": "constant", "link": "number"}, {"value": np.asarray(model.constant_, dtype=np.float64).ravel()}


_Compiler = Callable[[Any, _Inputs], tuple[dict[str, Any], Arrays]]
_COMPILERS: Final[Mapping[str, _Compiler]] = {
    "XGBClassifier": _compile_xgboost,
    "XGBRegressor": _compile_xgboost,
    "HistGradientBoostingClassifier": _compile_boosting,
    "HistGradientBoostingRegressor": _compile_boosting,
    "RandomForestClassifier": _compile_forest,
    "RandomForestRegressor": _compile_forest,
    "LogisticRegression": _compile_linear,
    "Ridge": _compile_linear,
    "DummyClassifier": _compile_prior,
    "DummyRegressor": _compile_median,
}
