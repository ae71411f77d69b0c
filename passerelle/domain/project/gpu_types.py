"""Instance types with a GPU: which there are, which of them the GPU training image runs on, and who uses one."""

from __future__ import annotations

import re
from typing import Final

#: Candidates whose fit runs on a GPU; `own` may, its code decides.
ON_GPU: Final = ("xgboost",)
#: AWS's families with NVIDIA GPUs: ml.g4dn, ml.g5, ml.g6e, ml.p4d, … (EC2's page "Accelerated computing instances").
_GPU: Final = re.compile(r"ml\.[gp]\d")
_SEVERAL: Final = re.compile(r"ml\.(g\d\w*\.(12|24|48)|p\d[\w-]*\.(8|16|24|36|48))xlarge")
#: Type -> why the image does not run there: it is x86-64, and its XGBoost is built with CUDA 12.9.
_UNUSABLE: Final = (
    (re.compile(r"ml\.p2\."), "its K80 is older than CUDA 12 supports"),
    (re.compile(r"ml\.p6e-gb\d"), "its processor is Arm, and the training image is x86-64"),
)


def has_gpu(instance_type: str) -> bool:
    """Return whether SageMaker's instance type has an NVIDIA GPU."""
    return bool(_GPU.match(instance_type))


def has_several_gpus(instance_type: str) -> bool:
    """Return whether it has more than one: XGBoost fits on one of them."""
    return bool(_SEVERAL.fullmatch(instance_type))


def unusable_gpu(instance_type: str) -> str | None:
    """Return why the training image cannot use this type's GPU, None where it can."""
    return next((why for pattern, why in _UNUSABLE if pattern.match(instance_type)), None)
