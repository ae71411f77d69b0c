"""What a batch transform job is asked to do, kept beside its outputs: what a later call need not do again."""

from __future__ import annotations

from passerelle.contracts.base import Contract

#: Raised when an older release could no longer read what a newer one writes.
FORMAT = 1


class BatchInput(Contract):
    """One input object as it was when the job was planned; `name` is its key below the input prefix."""

    name: str
    etag: str
    modified: str


class BatchPlan(Contract):
    """One transform job: the model, the options that the outputs depend on, and its inputs."""

    format: int = FORMAT
    job: str
    project: str
    model: str
    joined: bool
    inputs: tuple[BatchInput, ...]
