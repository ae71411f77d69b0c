"""What every candidate of a training job shares."""

from __future__ import annotations

from dataclasses import dataclass

from passerelle.contracts.bundle import BundleSignature
from passerelle.contracts.container import Problem
from passerelle.domain.project import Project
from training.train.data import Rows
from training.train.reference import TrainingReference


@dataclass(frozen=True, kw_only=True)
class Context:
    """The project, the data, and where they come from; `own` and `features` are its model.py and features.py.

    `warnings` are of the machine: they go into the run beside those of the data. `reference` is of all the data, also
    where a candidate sees part of it; without one each candidate makes its own.
    """

    project: Project
    signature: BundleSignature
    train: Rows
    validation: Rows
    run_id: str
    dataset_id: str
    contract_hash: str
    git_sha: str
    lock_hash: str
    created_at: str
    seed: int
    threads: int
    device: str
    own: bytes | None = None
    features: bytes | None = None
    warnings: tuple[Problem, ...] = ()
    reference: TrainingReference | None = None
