"""What goes into and comes out of the training container, entry by entry.

The image's ENTRYPOINT is `python -m training`; the entries are `prepare`, `train`, `evaluate`, `judge`, `count`,
`backtest`, `serve`, and `compare`, for a run that is trained again (`passerelle reproduce`).
SAGEMAKER_BASE_DIR moves `/opt/ml` (SageMaker training toolkit's convention): the laptop sets it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from passerelle.contracts.base import Contract
from passerelle.contracts.study import Study

IMAGE_REPOSITORY: Final = "passerelle-training"
ENTRYPOINT: Final = ("python", "-m", "training")
RESULT_FILE: Final = "result.json"
PROJECT_ARCHIVE: Final = "project.zip"
#: Hyperparameters that only a reproduction has: the one candidate to train, and with how many threads.
REPRODUCE: Final = "reproduce"
THREADS: Final = "threads"
#: Where `compare`, below the base folder, finds the bundle of the run and the one that was trained again.
ORIGINAL: Final = "original"
COMPARISON_FILE: Final = "comparison.json"
#: Beside `train`'s result: what the job used of its machine.
USAGE_FILE: Final = "usage.json"

# Processing: local paths under /opt/ml/processing. `prepare` reads raw objects itself, pinned by version id.
PREPARE_INPUTS: Final = {"project": "input/project", "drop": "input/drop"}
PREPARE_OUTPUTS: Final = {"result": "output/result", "quarantine": "output/quarantine", "curated": "output/curated"}
EVALUATE_INPUTS: Final = {
    "project": "input/project",
    "model": "input/model",  # model.tar.gz of the challenger
    "champion": "input/champion",  # model.tar.gz of the champion; absent when there is none
    "test": "input/test",
    "training": "input/training",  # output.tar.gz of the training job
}
EVALUATE_OUTPUTS: Final = {"result": "output/result"}
#: Beside `evaluate`'s result: what the model's errors on the test rows were like (domain.drift.performance).
PERFORMANCE_FILE: Final = "performance.json"
#: The question (`ShadowQuestion`), and what was captured of each variant; or what was recorded of the champion, and the
#: challenger's model.tar.gz.
JUDGE_INPUTS: Final = {
    "project": "input/project",
    "question": "input/question",
    "champion": "input/champion",
    "challenger": "input/challenger",
    "recorded": "input/recorded",
    "model": "input/model",
}
JUDGE_OUTPUTS: Final = {"result": "output/result"}
#: The question (`contracts.backtest`), what trained the champion and its bundle, and all parts of a dataset.
BACKTEST_INPUTS: Final = {
    "project": "input/project",
    "question": "input/question",
    "training": "input/training",  # output.tar.gz of the champion's training job
    "model": "input/model",  # model.tar.gz of the champion
    "dataset": "input/dataset",
}
BACKTEST_OUTPUTS: Final = {"result": "output/result"}
QUESTION_FILE: Final = "question.json"
#: The question (`contracts.monitoring.CountQuestion`) with the references, the records of predictions, and their labels
#: where these are known.
COUNT_INPUTS: Final = {"question": "input/question", "records": "input/records", "labels": "input/labels"}
COUNT_OUTPUTS: Final = {"result": "output/result"}
REFERENCE_FILE: Final = "reference.json"

# Training channels.
CHANNELS: Final = ("project", "train", "validation", "test")

Severity = Literal["error", "warning", "note"]


class Problem(Contract):
    """One thing that is wrong with the data: what, where, why, and what to do.

    `row` is the 1-based line of the source file (the header is line 1) for CSV, the 0-based row for Parquet;
    `count` says how many rows or cells have it, with `examples` of offending values (at most five).
    """

    code: str
    severity: Severity = "error"
    file: str | None = None
    row: int | None = None
    column: str | None = None
    rule: str
    message: str
    remedy: str
    count: int = 1
    examples: tuple[str, ...] = ()


class DropFile(Contract):
    """One object of the raw zone, pinned: `version_id` is None in an unversioned bucket."""

    bucket: str
    key: str
    version_id: str | None
    size: int
    sha256: str
    etag: str = ""


class DatasetFile(Contract):
    """One raw file that was accepted into a dataset, and the curated Parquet that holds its good rows."""

    key: str
    version_id: str | None
    sha256: str
    rows: int
    curated_key: str


class DropManifest(Contract):
    """Input of `prepare`: the new files of this run and the files accepted by earlier runs.

    A new file whose `key` equals an earlier one replaces it. The zones map zone name to bucket. `engine` is "" where
    nothing was decided before the job: it then chooses by itself.
    """

    project: str
    run_id: str
    attempt: int
    zones: dict[str, str]
    new_files: tuple[DropFile, ...]
    earlier_files: tuple[DatasetFile, ...] = ()
    engine: Literal["", "duckdb", "spark"] = ""
    engine_reason: str = ""


class FileOutcome(Contract):
    """What validation made of one new file."""

    key: str
    version_id: str | None
    sha256: str
    status: Literal["accepted", "rejected"]
    format: str | None = None
    encoding: str | None = None
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    problems: tuple[Problem, ...] = ()


class SplitPart(Contract):
    """One part of the split: its S3 prefix, rows, and the time range it covers (ISO 8601, UTC)."""

    uri: str
    rows: int
    start: str | None = None
    end: str | None = None


class PrepareResult(Contract):
    """Output of `prepare`: written in every case, also when the data is rejected.

    `engine_reason` says in a sentence why this engine prepared the data; what is written is the same on each.
    """

    status: Literal["accepted", "rejected"]
    dataset_id: str | None = None
    contract_hash: str
    files: tuple[FileOutcome, ...]
    dataset_files: tuple[DatasetFile, ...] = ()
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_without_label: int = 0
    duplicate_rows: int = 0
    quarantine_uri: str | None = None
    split: dict[str, SplitPart] = {}
    label_summary: dict[str, float] = {}
    dropped_columns: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()
    engine: str = ""
    engine_reason: str = ""
    seconds: float = 0.0


class CandidateResult(Contract):
    """One candidate: what it was, how it did on train and validation, and why it failed when it did.

    `resamples` is the project's metric on resamples of the validation rows, the same rows for every candidate.
    `kind` is which of the known candidates it is, `overrides` the parameters that replaced the kind's own: with
    `features`, all that is needed to train it again. One that cannot keep what the project asks of a model is left out;
    `error` says why. `notes` say what was done otherwise than asked, such as a calibration with too few rows.
    """

    name: str
    kind: str = ""
    overrides: dict[str, Any] = {}
    status: Literal["trained", "failed", "left_out"]
    complexity: int
    seconds: float
    params: dict[str, Any] = {}
    train_metrics: dict[str, float] = {}
    validation_metrics: dict[str, float] = {}
    primary_standard_error: float | None = None
    features: tuple[str, ...] = ()
    resamples: tuple[float | None, ...] = ()
    directory: str = ""
    error: str | None = None
    notes: tuple[str, ...] = ()


class CurvePoint(Contract):
    """A candidate fitted on part of the rows with some of its features: one point of score v. number of features."""

    candidate: str
    features: tuple[str, ...]
    score: float
    standard_error: float
    behind_best: float
    as_good: bool


class TrainResult(Contract):
    """Output of `train`: `output/data/result.json`; the chosen model's bundle is `/opt/ml/model`.

    `directory` of a candidate, relative to `output/data`, holds `model/` (an MLflow model: skops or native format,
    signature, input example) and `plots/*.png`. `study` holds the trials of a tuned run, one MLflow run each.
    """

    project: str
    run_id: str
    dataset_id: str
    task: str
    metric: str
    greater_is_better: bool
    candidates: tuple[CandidateResult, ...]
    chosen: str
    why: str
    seconds: float
    resumed: tuple[str, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    warnings: tuple[Problem, ...] = ()
    study: Study | None = None


class MachineUsage(Contract):
    """What a job used of its machine: values of each series (MLflow's system metrics) at `moments` in epoch ms."""

    moments: tuple[int, ...]
    series: dict[str, tuple[float, ...]]


class GateCheck(Contract):
    """One condition of the gate with its figures; only a required one refuses a model."""

    name: str
    passed: bool
    value: float | None
    required: float | None
    message: str
    severity: Literal["required", "advisory"] = "required"


class PairedDifference(Contract):
    """How much better a challenger is on the same rows, with a 95 % interval; more is better whatever the metric."""

    better: float
    lower: float
    upper: float
    standard_error: float


class SegmentResult(Contract):
    """The rows of one value of a segment column; `not_judged` says why there is no verdict, `worse_than` whom it fails.

    `adjusted` are p-values of being worse, after false-discovery control over all segments and comparisons.
    """

    column: str
    value: str
    rows: int
    score: float | None = None
    baseline: PairedDifference | None = None
    champion: PairedDifference | None = None
    adjusted: dict[str, float] = {}
    worse_than: tuple[str, ...] = ()
    not_judged: str = ""


class Resampled(Contract):
    """A model's metric on resamples of the test rows; where `draws` of two models are equal, these are paired."""

    draws: str
    scores: tuple[float | None, ...]


class EvaluateResult(Contract):
    """Output of `evaluate`: metrics on the newest period, the gate's verdict with its reasons, the figures' names.

    `verdict` is the gate's answer in plain sentences; `not_judged` names what could not be compared, and why.
    `intervals` are 95 % bounds of the test metrics.
    """

    status: Literal["passed", "refused"]
    candidate: str
    metric: str
    test_metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = {}
    baseline_metrics: dict[str, float] = {}
    champion_metrics: dict[str, float] = {}
    segments: tuple[SegmentResult, ...] = ()
    threshold: float | None = None
    checks: tuple[GateCheck, ...]
    figures: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    verdict: str = ""
    not_judged: tuple[str, ...] = ()
    resampled: Resampled | None = None
    seconds: float = 0.0
