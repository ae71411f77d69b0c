"""The candidate `own`: the model of the project's own model.py."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from passerelle.errors import InputError
from training.bundle.own_code import import_own
from training.train.context import Context


def own_pipeline(context: Context) -> Pipeline:
    """Return the unfitted model that `make_model` returns, reading the columns as they come.

    Raises InputError when the file has no such function, or what it returns cannot fit and predict.
    """
    assert context.own is not None
    file, task = context.project.training.model, context.project.task.type
    make: Any = getattr(import_own(context.own), "make_model", None)
    if not callable(make):
        raise InputError(f"{file}: there is no function make_model(*, task, columns, seed, threads) in it.")
    columns = {column.name: column.type for column in context.signature.model_inputs}
    model = make(task=task, columns=columns, seed=context.seed, threads=context.threads)
    wanted = ("fit", "predict") if task == "regression" else ("fit", "predict_proba")
    missing = [name for name in wanted if not callable(getattr(model, name, None))]
    if missing:
        raise InputError(f"{file}: what make_model returns for a {task} task has no {' and no '.join(missing)}.")
    return Pipeline([("encode", FunctionTransformer(feature_names_out="one-to-one")), ("model", model)])
