"""Read prepared Parquet parts as model inputs and labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from passerelle.contracts.bundle import BundleSignature, DerivedFeature, SignatureColumn
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.dataset.schema import (
    ENTITY,
    LABEL,
    TIME,
    WEIGHT,
    sent_columns,
    signature_columns,
    stored_name,
)
from passerelle.domain.project import Project
from passerelle.domain.resampling import Blocks, By, make_blocks
from passerelle.errors import InputError


@dataclass(frozen=True)
class Rows:
    """Model inputs of shape (n_rows, n_inputs) and labels of shape (n_rows,), oldest row first.

    `weights` are the rows' own, None where the project declares none; `entities` a number per row's entity. `sent` is
    what a caller would send for these rows, None where that is `frame`.
    """

    frame: pd.DataFrame
    labels: npt.NDArray[Any]
    times: npt.NDArray[Any]
    weights: npt.NDArray[Any] | None = None
    entities: npt.NDArray[Any] | None = None
    sent: pd.DataFrame | None = None

    @property
    def sent_frame(self) -> pd.DataFrame:
        """The rows as a caller sends them."""
        return self.frame if self.sent is None else self.sent

    def take(self, chosen: Any) -> Rows:
        """Return the rows at some places."""
        weights, entities = (None if one is None else one[chosen] for one in (self.weights, self.entities))
        frame = self.frame.iloc[chosen].reset_index(drop=True)
        sent = None if self.sent is None else self.sent.iloc[chosen].reset_index(drop=True)
        return Rows(frame, self.labels[chosen], self.times[chosen], weights, entities, sent)

    def blocks(self, by: By) -> Blocks:
        """Return which rows are resampled together."""
        return make_blocks(len(self.labels), by=by, times=self.times, entities=self.entities)


def read_columns(folder: Path) -> list[str]:
    """Return the column names of a part.

    Raises InputError when the folder holds no Parquet file.
    """
    return list(pq.read_schema(_files(folder)[0]).names)


def read_rows(
    folder: Path, inputs: tuple[SignatureColumn, ...], task: str, sent: tuple[SignatureColumn, ...] = ()
) -> Rows:
    """Read a part whole; of `sent`, those that the part has."""
    table = pq.read_table(_files(folder))
    columns = {column.name: table[column.name].to_pandas() for column in inputs}
    labels = table[LABEL].to_pandas().to_numpy()
    kind: Any = {"binary": np.int64, "regression": np.float64, "multiclass": object}[task]
    times = table[TIME].to_pandas().to_numpy()
    weights = table[WEIGHT].to_pandas().to_numpy(np.float64) if WEIGHT in table.column_names else None
    entities = pd.factorize(table[ENTITY].to_pandas())[0] if ENTITY in table.column_names else None
    return Rows(typed_frame(columns, inputs), labels.astype(kind), times, weights, entities, _sent(table, sent))


def _sent(table: Any, sent: tuple[SignatureColumn, ...]) -> pd.DataFrame | None:
    if not sent:
        return None
    stored = {column: stored_name(column.name, table.column_names) for column in sent}
    known = [column for column, name in stored.items() if name in table.column_names]
    return typed_frame({column.name: table[stored[column]].to_pandas() for column in known}, known)


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: no Parquet file in it; run `prepare` first.")
    return files


def inputs_of(project: Project, present: list[str]) -> tuple[SignatureColumn, ...]:
    """Return the signature's inputs: the project's features that `prepare` kept."""
    dropped = frozenset(column.name for column in project.feature_columns) - frozenset(present)
    return signature_columns(project, dropped)


def make_signature(
    project: Project,
    inputs: tuple[SignatureColumn, ...],
    labels: npt.NDArray[Any],
    derived: tuple[DerivedFeature, ...] = (),
) -> BundleSignature:
    """Return the bundle's signature; classes in the order of the probability columns.

    `inputs` are what the model sees, those that are `derived` among them.
    """
    names = {column.name for column in inputs}
    derived = tuple(feature for feature in derived if feature.name in names)
    columns: dict[str, Any] = {"inputs": sent_columns(inputs, derived), "null_values": project.data.null_values}
    if derived:
        columns |= {"derived": derived, "seen": inputs}
    if project.task.type == "regression":
        return BundleSignature(task="regression", **columns)
    classes = tuple(str(name) for name in np.unique(labels))
    if len(classes) < 2:
        raise InputError(
            f"The training period holds only one class of the label ({classes[0]!r}), so nothing can be learnt. "
            "Drop data of a longer period, or split by entity or at random (training.split.by)."
        )
    positive = "1" if project.task.type == "binary" else None
    return BundleSignature(
        task=project.task.type,
        classes=classes,
        positive_class=positive,
        **columns,
    )
