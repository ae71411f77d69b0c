"""What a tuning study tried: one record per trial, written by the training job, read by MLflow and the next study."""

from __future__ import annotations

from typing import Final, Literal

from passerelle.contracts.base import Contract

#: Hyperparameter of a training job that holds the earlier study's best trials (SageMaker takes 2,500 characters).
WARM_START: Final = "warm_start"
#: Hyperparameters of one training of a SageMaker tuning job: which candidate; its dimensions have their own names.
TUNED_CANDIDATE: Final = "tuned_candidate"
#: The metric that such a training tells, and a tuning job's objective.
OBJECTIVE: Final = "tuning:score"
#: What it tells beside it: the rounds of the best score so far, and the rounds that it has reached.
TRIAL_ROUNDS: Final = "tuning:rounds"
TRIAL_REACHED: Final = "tuning:reached"
#: Channel of a training job whose search was done by SageMaker tuning jobs, and the file in it.
STUDY_CHANNEL: Final = "study"
STUDY_FILE: Final = "study.json"

Value = float | int | str


class TrialPoint(Contract):
    """Where a study may begin: a candidate and its parameters."""

    candidate: str
    params: dict[str, Value]


class TrialStage(Contract):
    """A trial's score after so many rounds; `step` is the stage's place among the 27 parts of the longest fit."""

    step: int
    rounds: int
    score: float


class TrialRecord(Contract):
    """One trial: parameters, the score on validation rows, and how far it got.

    `score` is the best of its stages and `rounds` the number of boosting rounds or trees that had it (1 for a model
    without rounds). A `pruned` trial was stopped after `pruned_at` rounds, by the
    pruner or by the end of the budget. `seconds` is its own time, `ended_at` the
    seconds from the study's start. `origin`: a candidate's usual parameters, an earlier study's, or the sampler's.
    A trial that was a training job of its own has its name and the seconds that SageMaker bills for it.
    """

    number: int
    candidate: str
    params: dict[str, Value]
    state: Literal["finished", "pruned", "failed"]
    origin: Literal["usual", "earlier", "sampled"]
    score: float | None = None
    rounds: int = 1
    pruned_at: int | None = None
    stages: tuple[TrialStage, ...] = ()
    seconds: float = 0.0
    ended_at: float = 0.0
    error: str | None = None
    job_name: str | None = None
    billable_seconds: float | None = None


class Study(Contract):
    """All trials of a run's study, in the order in which they ended.

    `best` is the number of the best trial. `ended_by` says which budget ended first; `seconds` is what the search took,
    before and after interruptions, `usd` its price on demand (None when the instance's price is unknown).
    Of a search by SageMaker tuning jobs (`engine`), `seconds` are from their starts to their ends, one after the other,
    and `usd` is what SageMaker bills for the trials.
    """

    metric: str
    greater_is_better: bool
    sampler: str
    pruner: str
    trials: tuple[TrialRecord, ...] = ()
    best: int | None = None
    ended_by: Literal["trials", "minutes", "usd", "max_runtime_minutes"] | None = None
    seconds: float = 0.0
    usd: float | None = None
    engine: Literal["job", "sagemaker"] = "job"

    def with_best(self) -> Study:
        """Return the study with the number of its best trial."""
        best = self.ranked()[:1]
        return self.model_copy(update={"best": best[0].number if best else None})

    def ranked(self) -> list[TrialRecord]:
        """Return the trials that have a score, the best first: also a pruned one is a model of its rounds."""
        scored = [(trial.score, trial) for trial in self.trials if trial.score is not None]
        sign = -1.0 if self.greater_is_better else 1.0
        return [trial for _, trial in sorted(scored, key=lambda pair: (sign * pair[0], pair[1].number))]
