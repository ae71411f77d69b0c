"""What `compare` leaves: how a run's model differs from the one that was trained again from its record."""

from __future__ import annotations

from typing import Literal

from passerelle.contracts.base import Contract


class Comparison(Contract):
    """Output of `compare`: two models on the same rows; `output` is what was compared.

    `largest` is the largest difference, `different` counts the rows where a bit differs, `decisions` those where the
    prediction does. `tolerance` is the largest difference that still counts as the same model: 0 unless a GPU fitted
    one of the two.
    """

    rows: int
    output: Literal["probabilities", "predictions"]
    equal: bool
    different: int
    decisions: int
    largest: float
    tolerance: float = 0.0

    @property
    def reproduced(self) -> bool:
        return self.equal or self.largest <= self.tolerance
