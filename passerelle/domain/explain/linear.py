"""Shapley values of a linear model in closed form: coefficient times the distance from the mean.

Exact for a linear model whose inputs are taken as independent (Lundberg and Lee 2017, corollary 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.explain.contributions import Floats

Array = npt.NDArray[Any]


class LinearTerms:
    """A linear model over scaled numbers and one-hot levels, as one term for each column that is encoded.

    Parameters
    ----------
    arrays : `fill`, `mean`, `scale` of the numbers, `categories_0` ... of the levels, `coefficients`, `intercept`.
    numbers, encoded : how many columns of the matrix are numbers, and how many, after them, levels.
    background : the rows that the contributions are measured against, as a matrix.
    """

    def __init__(self, arrays: Mapping[str, Array], *, numbers: int, encoded: int, background: Array) -> None:
        self._arrays, self._numbers, self._encoded = arrays, numbers, encoded
        self._mean = self._terms(background).mean(axis=0)
        self.base: Floats = arrays["intercept"] + self._mean.sum(axis=0)

    def explain(self, matrix: Array) -> Floats:
        """Return the Shapley values of rows, shape (n_rows, n_columns, n_outputs)."""
        return np.asarray(self._terms(matrix) - self._mean)

    def _terms(self, matrix: Array) -> Floats:
        arrays, coefficients = self._arrays, self._arrays["coefficients"]
        numbers = matrix[:, : self._numbers]
        scaled = (np.where(np.isnan(numbers), arrays["fill"], numbers) - arrays["mean"]) / arrays["scale"]
        terms = np.zeros((len(matrix), self._numbers + self._encoded, coefficients.shape[1]))
        terms[:, : self._numbers] = scaled[:, :, None] * coefficients[: self._numbers]
        offset = self._numbers
        for index in range(self._encoded):
            categories, cells = arrays[f"categories_{index}"], matrix[:, self._numbers + index]
            place = np.minimum(np.searchsorted(categories, cells), len(categories) - 1)
            known = categories[place] == cells
            terms[known, self._numbers + index] = coefficients[offset + place[known]]
            offset += len(categories)
        return terms
