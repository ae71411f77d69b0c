"""The model bundle: what `train` writes to `/opt/ml/model` and `serve` and `evaluate` load. No pickle, ever.

manifest.json   {"format": 1, "files": {name: sha256}}; every file of the bundle but itself
model.skops     the fitted pipeline, loaded with a fixed allow-list of types
plan.npz        the same model as plain arrays, which the server answers from; absent for a model of a project's own
explainer.npz   what answers are explained with: a few training rows, the cover of the trees' nodes
model.py        the code of a model of the project's own, whose types model.skops names; absent for any other
features.py     the project's features, for readers: never run here, `BundleSignature` has what the server runs
signature.json  `BundleSignature`
input_example.json  {"dataframe_split": {...}} of a few rows, with `predictions` they must give
profile.json    the reference that drift is seen by, and what is known of the label alone
metadata.json   `BundleMetadata`
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal

from passerelle.contracts.record import Record
from passerelle.contracts.words import NULL_WORDS

FORMAT: Final = 1
MANIFEST_FILE: Final = "manifest.json"
MODEL_FILE: Final = "model.skops"
OWN_FILE: Final = "model.py"
FEATURES_FILE: Final = "features.py"
SIGNATURE_FILE: Final = "signature.json"
EXAMPLE_FILE: Final = "input_example.json"
PROFILE_FILE: Final = "profile.json"
EXPLAINER_FILE: Final = "explainer.npz"
METADATA_FILE: Final = "metadata.json"

ColumnType = Literal["integer", "number", "boolean", "category", "text", "datetime"]
DerivedType = Literal["integer", "number", "boolean", "category"]
TaskType = Literal["binary", "multiclass", "regression"]


class SignatureColumn(Record, frozen=True, kw_only=True):
    """One input column as a caller sends it; a datetime is an ISO 8601 string."""

    name: str
    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None


class DerivedFeature(Record, frozen=True, kw_only=True):
    """A column that the project's features.py makes of those that it `reads`, by an expression in DuckDB's SQL."""

    name: str
    type: DerivedType
    reads: tuple[SignatureColumn, ...]
    sql: str

    @property
    def column(self) -> SignatureColumn:
        """What a model sees of it; it may always be missing."""
        return SignatureColumn(name=self.name, type=self.type, nullable=True)


class BundleSignature(Record, frozen=True, kw_only=True):
    """Inputs in order, task, and the classes in the order of the probability columns (empty for regression).

    `null_values` are the project's words for a missing value: a request means by them what the training data meant.
    `inputs` are what a caller sends; a model with `derived` features sees the columns `seen` instead.
    """

    task: TaskType
    inputs: tuple[SignatureColumn, ...]
    classes: tuple[str, ...] = ()
    positive_class: str | None = None
    null_values: tuple[str, ...] = NULL_WORDS
    derived: tuple[DerivedFeature, ...] = ()
    seen: tuple[SignatureColumn, ...] = ()

    @property
    def model_inputs(self) -> tuple[SignatureColumn, ...]:
        """The columns that the pipeline sees, in order."""
        return self.seen or self.inputs

    def seeing(self, names: Collection[str]) -> BundleSignature:
        """Return the signature of a model that sees these columns only; a caller sends no more than it needs."""
        seen = tuple(column for column in self.model_inputs if column.name in names)
        derived = tuple(feature for feature in self.derived if feature.name in names)
        if not derived:
            return self.replaced(inputs=seen, derived=(), seen=())
        needed = {column.name for column in seen} - {feature.name for feature in derived}
        needed |= {column.name for feature in derived for column in feature.reads}
        inputs = tuple(column for column in self.inputs if column.name in needed)
        return self.replaced(inputs=inputs, derived=derived, seen=seen)


class FastPath(Record, frozen=True, kw_only=True):
    """How a server answers: `used` by the plan, which gave the pipeline's answers on `rows` rows of the holdout, none
    of them further off than `largest_difference`; else by the pipeline, for this `reason`."""

    used: bool
    rows: int = 0
    largest_difference: float | None = None
    relative_tolerance: float | None = None
    absolute_tolerance: float | None = None
    reason: str = ""


class BundleMetadata(Record, frozen=True, kw_only=True):
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
