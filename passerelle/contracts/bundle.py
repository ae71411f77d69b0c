"""The model bundle: what `train` writes to `/opt/ml/model` and `serve` and `evaluate` load. No pickle, ever.

manifest.json   {"format": 1, "files": {name: sha256}}; every file of the bundle but itself
model.skops     the fitted pipeline, loaded with a fixed allow-list of types
plan.npz        the same model as plain arrays, which the server answers from; absent for a model of a project's own
explainer.npz   what answers are explained with: a few training rows, the cover of the trees' nodes
model.py        the code of a model of the project's own, whose types model.skops names; absent for any other
signature.json  `BundleSignature`
input_example.json  {"dataframe_split": {...}} of a few rows, with `predictions` they must give
profile.json    the reference profile for drift
metadata.json   `BundleMetadata`
"""

from __future__ import annotations

from typing import Any, Final, Literal

from passerelle.contracts.base import Contract
from passerelle.contracts.words import NULL_WORDS

FORMAT: Final = 1
MANIFEST_FILE: Final = "manifest.json"
MODEL_FILE: Final = "model.skops"
OWN_FILE: Final = "model.py"
SIGNATURE_FILE: Final = "signature.json"
EXAMPLE_FILE: Final = "input_example.json"
PROFILE_FILE: Final = "profile.json"
EXPLAINER_FILE: Final = "explainer.npz"
METADATA_FILE: Final = "metadata.json"

ColumnType = Literal["integer", "number", "boolean", "category", "text", "datetime"]
TaskType = Literal["binary", "multiclass", "regression"]


class SignatureColumn(Contract):
    """One input column as a caller sends it; a datetime is an ISO 8601 string."""

    name: str
    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None


class BundleSignature(Contract):
    """Inputs in order, task, and the classes in the order of the probability columns (empty for regression).

    `null_values` are the project's words for a missing value: a request means by them what the training data meant.
    """

    task: TaskType
    inputs: tuple[SignatureColumn, ...]
    classes: tuple[str, ...] = ()
    positive_class: str | None = None
    null_values: tuple[str, ...] = NULL_WORDS


class FastPath(Contract):
    """How a server answers: `used` by the plan, which gave the pipeline's answers on `rows` rows of the holdout, none
    of them further off than `largest_difference`; else by the pipeline, for this `reason`."""

    used: bool
    rows: int = 0
    largest_difference: float | None = None
    relative_tolerance: float | None = None
    absolute_tolerance: float | None = None
    reason: str = ""


class BundleMetadata(Contract):
    """Where a model comes from: `versions` of Python and packages, `machine` what else its numbers may depend on."""

    project: str
    run_id: str
    candidate: str
    dataset_id: str
    contract_hash: str
    git_sha: str
    lock_hash: str
    created_at: str
    seed: int
    threshold: float | None = None
    metrics: dict[str, float] = {}
    params: dict[str, Any] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
    fast_path: FastPath | None = None
