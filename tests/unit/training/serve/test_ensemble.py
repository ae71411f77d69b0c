"""A graph takes every branch that its library takes, also where a value is the threshold itself or a hair beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.errors import BundleError
from training.bundle.ensemble import Ensemble, same_answers, write_ensemble


def stump(threshold: float, kind: str, *, strict: bool, missing_right: bool) -> Ensemble:
    """Return one tree with one split: 10 to the left, 20 to the right."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "feature": np.asarray([0, 0, 0]),
        "threshold": np.asarray([threshold, 0.0, 0.0]),
        "children": np.asarray([1, 2, 1, 1, 2, 2]),
        "missing_right": np.asarray([missing_right, False, False]),
        "value": np.asarray([0.0, 10.0, 20.0]),
        "roots": np.asarray([0]),
        "base": np.asarray([0.0]),
    }
    description = {"input": kind, "groups": 1, "mean": False, "width": 1, "equal_goes_right": strict}
    return Ensemble(write_ensemble(description, arrays), kind)


@settings(deadline=None)
@given(
    threshold=st.floats(-1e30, 1e30),
    steps=st.integers(-2, 2),
    kind=st.sampled_from(("float32", "float64")),
    strict=st.booleans(),
)
def test_a_value_beside_a_threshold_goes_where_the_comparison_says(
    threshold: float, steps: int, kind: str, strict: bool
) -> None:
    number = np.dtype(kind).type
    # XGBoost's thresholds are in its own precision; scikit-learn compares single-precision values with double ones.
    threshold = float(number(threshold)) if strict else threshold
    value = number(threshold)
    for _ in range(abs(steps)):
        value = np.nextafter(value, number(np.inf if steps > 0 else -np.inf))
    left = float(value) < threshold if strict else float(value) <= threshold
    tree = stump(threshold, kind, strict=strict, missing_right=False)
    assert tree(np.asarray([[value]]))[0, 0] == (10.0 if left else 20.0)


@pytest.mark.parametrize("missing_right", [True, False])
def test_a_missing_value_goes_where_training_sent_it(missing_right: bool) -> None:
    tree = stump(1.0, "float64", strict=False, missing_right=missing_right)
    assert tree(np.asarray([[np.nan]]))[0, 0] == (20.0 if missing_right else 10.0)


@pytest.mark.parametrize("content", [b"", b"PK no graph", b"\x08\x08"])
def test_what_is_no_graph_is_refused_with_the_remedy(content: bytes) -> None:
    with pytest.raises(BundleError, match="Train the model again"):
        Ensemble(np.frombuffer(content, dtype=np.uint8), "float32")


def test_answers_are_the_same_within_single_precision_of_the_largest_only() -> None:
    assert same_answers([1e-4, 300.0], [0.0, 300.001])
    assert not same_answers([1e-3, 300.0], [0.0, 300.0])
    assert not same_answers([0.50001], [0.5])
    assert not same_answers([0.5], [[0.5, 0.5]])
