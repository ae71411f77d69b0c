"""The trials of a tuned run in MLflow: one run each, below the candidate that they tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from passerelle.aws.mlflow_batches import Point, log_values
from passerelle.aws.mlflow_server import keep_first, without_secrets
from passerelle.contracts.study import Study, TrialRecord

#: Of very many only the best have runs of their own; `study.json`, with the parent run, holds all.
MOST_TRIALS: Final = 400
TRIAL_TAG: Final = "passerelle.trial"
#: A pruned trial was stopped on purpose: MLflow's KILLED.
STATUSES: Final = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_PAGE: Final = 1_000
_MAX_TEXT: Final = 5_000


@dataclass(frozen=True)
class TrialLog:
    """Tells the trials of one study.

    `query` finds those that are told, `create` makes the run of one, `go_on` raises when time is up. `parents` are the
    runs of candidates, by kind; the trials of another are below `otherwise`.
    """

    client: Any
    experiment: str
    query: str
    create: Callable[[str, dict[str, str]], Any]
    go_on: Callable[[], None]
    parents: Mapping[str, str]
    otherwise: str

    def tell(self, study: Study, pool: ThreadPoolExecutor) -> None:
        """Tell every trial that is not told yet."""
        told = self._told()
        missing = [trial for trial in shown_trials(study) if not _is_over(told.get(str(trial.number)), trial)]
        list(pool.map(lambda trial: self._trial(trial, study, told.get(str(trial.number))), missing))
        if missing:
            # A request whose answer was lost is sent again, and has then made two.
            self._told()

    def _told(self) -> dict[str, Any]:
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        found: dict[str, list[Any]] = {}
        page = self._page(order, None)
        while True:
            for run in page:
                found.setdefault(run.data.tags.get(TRIAL_TAG, ""), []).append(run)
            if not page.token:
                break
            page = self._page(order, page.token)
        return {number: keep_first(runs, self._delete) for number, runs in found.items()}

    def _page(self, order: list[str], token: str | None) -> Any:
        return self.client.search_runs(
            [self.experiment], self.query, max_results=_PAGE, order_by=order, page_token=token
        )

    def _delete(self, run: Any) -> None:
        self.client.delete_run(run.info.run_id)

    def _trial(self, trial: TrialRecord, study: Study, run: Any) -> None:
        self.go_on()
        if run is None:
            parent = self.parents.get(trial.candidate, self.otherwise)
            identity = {TRIAL_TAG: str(trial.number), "mlflow.parentRunId": parent}
            run = self.create(f"{trial.candidate} trial {trial.number}", identity)
        metrics = {"seconds": trial.seconds, "rounds": trial.rounds}
        if trial.score is not None:
            metrics[f"validation_{study.metric}"] = trial.score
        tags = {
            "passerelle.candidate_kind": trial.candidate,
            "passerelle.trial_state": trial.state,
            "passerelle.trial_origin": trial.origin,
            "passerelle.best_trial": str(trial.number == study.best).lower(),
            **({"passerelle.error": without_secrets(trial.error)[:_MAX_TEXT]} if trial.error else {}),
        }
        curve = _stages(trial, study.metric)
        log_values(self.client, run, metrics=metrics, params=trial.params, tags=tags, series=curve)
        self.client.set_terminated(run.info.run_id, STATUSES[trial.state])


def shown_trials(study: Study) -> list[TrialRecord]:
    """Return the trials that get a run: all, or the best of very many."""
    sign = -1.0 if study.greater_is_better else 1.0
    ranked = sorted(study.trials, key=lambda trial: float("inf") if trial.score is None else sign * trial.score)
    return sorted(ranked[:MOST_TRIALS], key=lambda trial: int(trial.number))


def _is_over(run: Any, trial: TrialRecord) -> bool:
    return run is not None and run.info.status == STATUSES[trial.state]


def _stages(trial: TrialRecord, metric: str) -> Iterator[Point]:
    """Yield the scores that the pruner saw, by rounds."""
    for stage in trial.stages:
        yield Point(f"stage_{metric}", float(stage.score), 0, int(stage.rounds))
