"""The run record: what happened from dropped files to served model, as the command line and reports read it.

One DynamoDB table (`runs`), partition key `pk` = "PROJECT#<project>", sort key `sk`:
    DROP#<key>#<version id or etag>   one claimed object version; `run_id` once a run has taken it
    OPEN                              the batch that still collects files: its run_id and when it was opened
    LOCK                              the run that is at work, one per project
    CONTENT#<sha256>                  which run processed these bytes
    FILE#<key>                        the accepted `DatasetFile` of that raw key
    RUN#<run_id>                      the `RunRecord`
    CHAMPION                          what the endpoint serves: model version, run, bundle URI
    PROMOTION#<time>                  each change of the champion: `contracts.promotions`
    WATCH                             how far its windows of predictions are judged (`contracts.monitoring`)
    WINDOW#<start>                    what one of them showed
    JOINED#<sha256>                   an accepted file whose labels were joined to predictions
    STUDY                             the best trials of the latest search, where the next one begins
"""

from __future__ import annotations

from typing import Any, Final, Literal

from passerelle.contracts.base import Contract
from passerelle.contracts.container import Problem

RunStatus = Literal[
    "collecting",  # waiting for the quiet window to pass, or for the project's active run to end
    "running",
    "succeeded",  # a model was registered and is served
    "refused",  # the gate or the shadow refused the model; it stays registered, the champion goes on serving
    "rejected",  # the data was rejected; nothing was trained
    "duplicate",  # every file was processed before; `duplicate_of` names the run
    "kept",  # the data was accepted and waits for the next training (training.on_drop: keep)
    "failed",  # something broke; `error` says what, and what to do
]
FINAL_STATUSES: Final = ("succeeded", "refused", "rejected", "duplicate", "kept", "failed")

Stage = Literal["collect", "prepare", "tune", "train", "evaluate", "carry", "register", "deploy"]
#: Without `carry`, which only a run has that was trained in another environment, and `tune`, which only one has whose
#: search was done by SageMaker tuning jobs.
STAGES: Final[tuple[Stage, ...]] = ("collect", "prepare", "train", "evaluate", "register", "deploy")


class StageRecord(Contract):
    """One stage: when it ran, what job did it, what it would cost on AWS (None = price unknown)."""

    stage: Stage
    status: Literal["running", "done", "failed"]
    started_at: str
    ended_at: str | None = None
    job_name: str | None = None
    instance_type: str | None = None
    billable_seconds: float | None = None
    cost_usd: float | None = None
    summary: dict[str, Any] = {}


class RunFile(Contract):
    """A file as the run saw it: `outcome` is accepted, rejected or duplicate, with `rows_*` once known."""

    key: str
    version_id: str | None
    size: int
    sha256: str
    outcome: str = "pending"
    rows_accepted: int = 0
    rows_rejected: int = 0
    duplicate_of: str | None = None


class RunError(Contract):
    """Why a run failed: stage, SageMaker's or our own message, the log group and stream, and the remedy.

    `log_url` opens the stream in the AWS console; the laptop has none.
    """

    stage: str
    message: str
    remedy: str
    log_group: str | None = None
    log_stream: str | None = None
    log_url: str | None = None


class CostPart(Contract):
    """One part of a run's cost, and of what; `usd` is None, which is not zero, when price or quantity is unknown."""

    name: str
    usd: float | None
    basis: str


class RunCost(Contract):
    """What a run would cost on AWS: the sum of its known parts (None: none is known), and what is not counted."""

    known_usd: float | None
    complete: bool
    parts: tuple[CostPart, ...]
    excluded: str


class RunOrigin(Contract):
    """Where a run was carried from: the environment and its account, the attempt there, and what trained the model.

    Commit and lock are those of the bundle, empty until it is here.
    """

    environment: str
    account: str
    attempt: int
    image_uri: str
    git_sha: str = ""
    lock_hash: str = ""


class RunRecord(Contract):
    """Everything about one run.

    `image_uri` is the image that trained, by digest on AWS. It serves the model too, unless it is for GPUs: then
    `serving_image_uri` does, the release's other image, which evaluated it. `project_uri` is the archive of
    the project that it trained. `artefacts` are what the jobs
    left, by name (`train/model.tar.gz`, `evaluate/result.json`), with the SHA-256 that each had when it was recorded;
    a model is carried to another environment only with these bytes. `shadow` is the verdict on the challenger beside
    the champion, with where its evidence lies. `origin` is None where the run was trained here. `why_begun` says who or
    what asked for it where no drop did.
    """

    project: str
    run_id: str
    attempt: int
    status: RunStatus
    why_begun: str = ""
    created_at: str
    updated_at: str
    execution_arn: str | None = None
    deploy_execution_arn: str | None = None
    files: tuple[RunFile, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    dataset_id: str | None = None
    image_uri: str | None = None
    serving_image_uri: str | None = None
    project_uri: str | None = None
    artefacts: dict[str, str] = {}
    origin: RunOrigin | None = None
    problems: tuple[Problem, ...] = ()
    quarantine_uri: str | None = None
    candidates: tuple[dict[str, Any], ...] = ()
    chosen: str | None = None
    why: str | None = None
    gate: dict[str, Any] = {}
    shadow: dict[str, Any] = {}
    mlflow_url: str | None = None
    model_version: str | None = None
    endpoint_name: str | None = None
    duplicate_of: str | None = None
    error: RunError | None = None
    cost: RunCost | None = None

    @property
    def served_by(self) -> str | None:
        """The image that serves the model."""
        return self.serving_image_uri or self.image_uri
