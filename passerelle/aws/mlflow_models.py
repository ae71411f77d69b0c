"""Write a fitted pipeline as an MLflow model folder, without any server. skops, never pickle."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from passerelle.aws.mlflow_code import copy_code
from passerelle.contracts.bundle import BundleSignature

_REQUIREMENTS: Final = ("scikit-learn", "skops", "pandas", "numpy")
_MLFLOW_TYPES: Final = {
    "integer": "double",  # integers come as floats where a value is missing
    "number": "double",
    "boolean": "double",
    "category": "string",
    "text": "string",
    "datetime": "datetime",
}


def save_model(
    folder: Path,
    pipeline: Any,
    signature: BundleSignature,
    example: pd.DataFrame,
    *,
    trusted: tuple[str, ...],
    code: Path | None = None,
) -> None:
    """Write `folder` as `mlflow models serve`, `mlflow.pyfunc` and `mlflow.sklearn` read it, without Passerelle.

    Requirements are given explicitly: letting MLflow infer them loads the model in another process for seconds.
    """
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema(
        [
            ColSpec(_MLFLOW_TYPES[column.type], column.name, required=not column.nullable)
            for column in signature.model_inputs
        ]
    )
    output = {"binary": "long", "multiclass": "string", "regression": "double"}[signature.task]
    packages = [*_REQUIREMENTS, *(["xgboost-cpu"] if _uses_xgboost(pipeline) else [])]
    with TemporaryDirectory() as work:
        mlflow.sklearn.save_model(
            pipeline,
            str(folder),
            signature=ModelSignature(inputs=inputs, outputs=Schema([ColSpec(output)])),
            input_example=example,
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            pip_requirements=[f"{package}=={version(package)}" for package in packages],
            code_paths=[str(copy_code(trusted, Path(work))), *([] if code is None else [str(code)])],
        )


def _uses_xgboost(pipeline: Any) -> bool:
    from passerelle.domain.candidates.calibrated import innermost

    return type(innermost(pipeline.steps[-1][1])).__module__.startswith("xgboost.")
