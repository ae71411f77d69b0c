"""What a server derives of a request is what training derived of the data: proved on every row of the holdout."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from passerelle.contracts.bundle import BundleSignature
from passerelle.domain.candidates.frame import plain_columns, plain_value, typed_frame
from passerelle.domain.features.derive import Deriver
from passerelle.errors import PasserelleError
from training.progress import tell
from training.train.data import Rows

#: So many rows are derived at a time.
_BLOCK: Final = 50_000


class FeatureSkewError(PasserelleError):
    """A feature is not for a caller what it was in training."""


def need_same_features(signature: BundleSignature, rows: Rows) -> None:
    """Derive the features of rows as the server does, and compare them with those of the dataset, bit for bit.

    Raises FeatureSkewError naming feature, row and both values.
    """
    if not signature.derived:
        return
    deriver, sent = Deriver(signature.derived), rows.sent_frame
    columns = tuple(feature.column for feature in signature.derived)
    for start in range(0, len(sent), _BLOCK):
        part = sent.iloc[start : start + _BLOCK]
        given = typed_frame(deriver.derive(plain_columns(part)), columns)
        for column in columns:
            _compare(column.name, given[column.name], rows.frame[column.name].iloc[start : start + _BLOCK], start)
    tell("features_proved", features=[column.name for column in columns], rows=len(sent))


def _compare(name: str, given: pd.Series, trained: pd.Series, start: int) -> None:
    ours, theirs = given.to_numpy(), trained.to_numpy()
    different = np.flatnonzero(~((ours == theirs) | (pd.isna(ours) & pd.isna(theirs))))
    if len(different):
        row = int(different[0])
        raise FeatureSkewError(
            f"Feature {name!r} of row {start + row} of the holdout is {plain_value(theirs[row])!r} in the dataset and "
            f"{plain_value(ours[row])!r} as a server derives it ({len(different):,} rows differ): features.py is not "
            "the one that the data was prepared with, or its result depends on more than the row. Prepare the data "
            "again; if that does not help, write the feature with other operations."
        )
