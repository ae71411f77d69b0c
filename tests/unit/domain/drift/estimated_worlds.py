"""Simulated worlds whose truth is known: models whose errors depend on what they have not understood."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.bundle import ColumnType

Array = npt.NDArray[Any]
TYPES: dict[str, ColumnType] = {"kind": "category", "size": "number", "age": "number"}
KINDS = np.array(["easy", "mixed", "hard"], object)
USUAL, HARDER = (0.6, 0.3, 0.1), (0.2, 0.2, 0.6)


def share(log_odds: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def drawn_inputs(n: int, rng: np.random.Generator, kinds: tuple[float, ...], shift: float) -> tuple[Array, Any]:
    place = rng.choice(3, n, p=kinds)
    columns = {"kind": KINDS[place], "size": rng.normal(shift, 1, n), "age": rng.normal(0, 1, n)}
    return place, columns


def yes_or_no(
    n: int,
    seed: int,
    kinds: tuple[float, ...] = USUAL,
    shift: float = 0.0,
    drift: float = 1.0,
    noise: Array | float = 0.0,
) -> tuple[Array, Array, Any]:
    """Return scores, labels and inputs: the model does not know that size says nothing of what is hard.

    `drift` is what remains of what size says: the world's own change, which no input shows.
    """
    rng = np.random.default_rng(seed)
    place, columns = drawn_inputs(n, rng, kinds, shift)
    slope = np.array([1.6, 0.8, 0.0])[place] * drift
    truth = share(-1 + slope * columns["size"] - 0.5 * (place == 2) + 0.3 * columns["age"] + noise)
    scores = share(-1 + 1.2 * columns["size"] + 0.3 * columns["age"])
    return scores, (rng.random(n) < truth).astype(int), columns


def amounts(n: int, seed: int, kinds: tuple[float, ...] = USUAL) -> tuple[Array, Array, Any]:
    """Return predictions, numbers and inputs: the harder the kind, the larger the errors."""
    rng = np.random.default_rng(seed)
    place, columns = drawn_inputs(n, rng, kinds, 0.0)
    predicted = 100 + 30 * columns["size"]
    return predicted, predicted + np.array([5.0, 10.0, 25.0])[place] * rng.normal(size=n), columns


def classes(n: int, seed: int, kinds: tuple[float, ...] = USUAL) -> tuple[Array, Array, Any]:
    """Return probabilities of three classes, true places and inputs: of what is hard the model knows nothing."""
    rng = np.random.default_rng(seed)
    place, columns = drawn_inputs(n, rng, kinds, 0.0)
    known = np.column_stack([columns["size"], columns["age"], np.zeros(n)]) * 1.5
    shares = np.exp(known) / np.exp(known).sum(axis=1, keepdims=True)
    truth = np.where((place == 2)[:, None], 1 / 3, shares)
    return shares, (rng.random(n)[:, None] > np.cumsum(truth, axis=1)).sum(axis=1).clip(0, 2), columns


def uneven_classes(n: int, seed: int, kinds: tuple[float, ...] = USUAL) -> tuple[Array, Array, Any]:
    """Return probabilities, places and inputs of three classes, one of them rare: the model is too sure everywhere, and
    in the hard kind, where nearly all rows are of the first class, it knows least.
    """
    rng = np.random.default_rng(seed)
    place, columns = drawn_inputs(n, rng, kinds, 0.0)
    level = np.array([1.5, 0.3, -0.9])
    told = np.column_stack([columns["size"], columns["age"], -columns["size"]]) * 1.2
    truth = _softmax(level + told * np.array([1.3, 0.8, 0.2])[place][:, None])
    drawn = (rng.random(n)[:, None] > np.cumsum(truth, axis=1)).sum(axis=1).clip(0, 2)
    return _softmax((level + told) * 1.5), drawn, columns


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
