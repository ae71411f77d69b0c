"""The training.tuning section of project.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from passerelle.domain.project.part import Part
from passerelle.domain.tuning.space import Override


class DimensionRange(Part):
    """Another range, or other values, of one parameter."""

    low: float | None = None
    high: float | None = None
    log: bool | None = None
    values: tuple[str, ...] | None = Field(default=None, min_length=1)

    def override(self) -> Override:
        """Return what it changes."""
        return Override(low=self.low, high=self.high, log=self.log, values=self.values)


class Tuning(Part):
    """A search for better parameters, after the candidates are trained with their usual ones.

    It ends with the first of `trials`, `minutes` and `usd` (the instance's price on demand). `candidates` are those to
    search, all of the project's when left out. `space` changes ranges (`xgboost: {max_depth: {low: 2, high: 6}}`), or
    keeps a parameter as it is (`max_depth: false`).
    `engine` is where trials run: `job` side by side in the training job, `sagemaker` each on an instance of its own
    (SageMaker tuning jobs, at most `parallel` instances at a time), `auto` there when they do not fit into the job.
    """

    trials: int = Field(default=30, ge=1, le=10_000)
    minutes: float | None = Field(default=5.0, gt=0, le=40_320)
    usd: float | None = Field(default=None, gt=0)
    pruner: Literal["asha", "hyperband", "none"] = "asha"
    sampler: Literal["tpe", "random"] = "tpe"
    candidates: tuple[str, ...] = ()
    engine: Literal["job", "sagemaker", "auto"] = "job"
    parallel: int = Field(default=4, ge=1, le=100)
    space: dict[str, dict[str, DimensionRange | Literal[False]]] = {}

    def overrides(self) -> dict[str, dict[str, Override]]:
        """Return what the project changes in the spaces."""
        return {
            candidate: {name: item.override() if item else Override(off=True) for name, item in changes.items()}
            for candidate, changes in self.space.items()
        }
