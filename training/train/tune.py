"""Search better parameters with Optuna: trials side by side, hopeless ones stopped early, within a budget.

Successive halving is asynchronous (ASHA: Li, Jamieson, Rostamizadeh et al. 2020, MLSys), Hyperband is Li, Jamieson,
DeSalvo et al. 2018 (JMLR 18), the sampler TPE (Bergstra, Bardenet, Bengio, Kegl 2011, NeurIPS).
"""

from __future__ import annotations

import itertools
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.study import Study, TrialPoint, TrialRecord, TrialStage, Value
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import Budget
from passerelle.domain.tuning.space import SPACES, WHOLE, Space, suggest
from training.progress import tell
from training.stopping import SIGTERM
from training.train.context import Context
from training.train.study_file import StudyFile
from training.train.trial import Encoded, best_of, encode, scored_stages, search_context

#: A trial whose score has not risen for so many stages is at its end: more rounds overfit.
PATIENCE: Final = 2
REDUCTION: Final = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to search, from where, and how long; `from_usual` begins with the candidates' usual parameters."""

    tuning: Tuning
    spaces: tuple[Space, ...]
    budget: Budget
    earlier: Sequence[TrialPoint] = ()
    from_usual: bool = True


def tune(context: Context, plan: Plan, file: StudyFile) -> Study:
    """Return the study of a search, going on from an interrupted one."""
    return _Search(context, plan, file).run()


class _Search:
    """A running search. Trials run in threads: fits release Python's lock, and all share the encoded rows."""

    def __init__(self, context: Context, plan: Plan, file: StudyFile) -> None:
        self._workers = 1 if context.device == "cuda" else context.threads
        self._context = search_context(context, threads=context.threads if self._workers == 1 else 1)
        self._plan, self._file, self._lock = plan, file, threading.Lock()
        self._spaces = {space.candidate: space for space in plan.spaces}
        self._encoded: dict[str, Encoded] = {}
        saved = file.load()
        self._trials = list(saved.trials) if saved else []
        self._begun, self._spent = time.monotonic(), saved.seconds if saved else 0.0
        self._started = len(self._trials)
        self._numbers = itertools.count(max((record.number for record in self._trials), default=-1) + 1)
        self._study = self._make_study()

    def run(self) -> Study:
        """Try until the budget ends.

        Raises StoppedError after SIGTERM, which each worker heeds at the end of a trial's stage.
        """
        for record in self._trials:
            self._replay(record)
        self._enqueue_starts()
        with SIGTERM.held(), ThreadPoolExecutor(self._workers) as pool:
            for worker in [pool.submit(self._work) for _ in range(self._workers)]:
                worker.result()
        return self._record()

    def _make_study(self) -> Any:
        import optuna
        from optuna.pruners import HyperbandPruner, NopPruner, SuccessiveHalvingPruner

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        pruners: dict[str, Any] = {
            "asha": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
            "hyperband": lambda: HyperbandPruner(min_resource=1, max_resource=WHOLE, reduction_factor=REDUCTION),
            "none": NopPruner,
        }
        return optuna.create_study(
            study_name="search",  # Hyperband draws a trial's bracket from it
            direction="maximize" if self._context.project.greater_is_better else "minimize",
            pruner=pruners[self._plan.tuning.pruner](),
        )

    def _sampler(self) -> Any:
        """Return the next trial's sampler, seeded by its number: a search that goes on draws what it would have drawn.

        One sampler for all would begin its draws anew with each interruption.
        """
        from optuna.samplers import RandomSampler, TPESampler

        seed = self._context.seed + len(self._study.trials)
        if self._plan.tuning.sampler == "random":
            return RandomSampler(seed)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=self._workers > 1)

    def _replay(self, record: TrialRecord) -> None:
        """Tell Optuna of a trial that an interrupted attempt has ended, sampler and pruner alike."""
        if record.state == "failed" or not self._fits(record.candidate, record.params):
            return
        self._enqueue(TrialPoint(candidate=record.candidate, params=record.params), record.origin)
        trial, _, _ = self._ask()
        for stage in record.stages:
            trial.report(stage.score, stage.step)
            trial.should_prune()
        self._tell(trial, record)

    def _enqueue_starts(self) -> None:
        known = [(record.candidate, record.params) for record in self._trials]
        # Quick ones first: the pruner judges a slow model's first rounds by what it has seen before.
        quick = [self._spaces[name] for name in SPACES if name in self._spaces and self._plan.from_usual]
        usual = [TrialPoint(candidate=space.candidate, params=space.start()) for space in quick]
        for origin, points in (("usual", usual), ("earlier", self._plan.earlier)):
            for point in points:
                if (point.candidate, point.params) not in known and self._fits(point.candidate, point.params):
                    known.append((point.candidate, point.params))
                    self._enqueue(point, origin)

    def _fits(self, candidate: str, params: dict[str, Value]) -> bool:
        space = self._spaces.get(candidate)
        if space is None or {dimension.name for dimension in space.dimensions} != params.keys():
            return False
        return all(dimension.holds(params[dimension.name]) for dimension in space.dimensions)

    def _enqueue(self, point: TrialPoint, origin: str) -> None:
        values = {f"{point.candidate}.{name}": value for name, value in point.params.items()}
        self._study.enqueue_trial({"candidate": point.candidate, **values}, user_attrs={"origin": origin})

    def _ask(self) -> tuple[Any, Space, dict[str, Value]]:
        self._study.sampler = self._sampler()
        trial = self._study.ask()
        space = self._spaces[trial.suggest_categorical("candidate", list(self._spaces))]
        params = {item.name: suggest(trial, item, f"{space.candidate}.{item.name}") for item in space.dimensions}
        return trial, space, params

    def _work(self) -> None:
        from threadpoolctl import threadpool_limits

        # OpenMP keeps its number of threads per thread that calls it: one trial, one core.
        with threadpool_limits(1 if self._workers > 1 else None, user_api="openmp"):
            while self._start_one():
                self._try()

    def _start_one(self) -> bool:
        with self._lock:
            if SIGTERM.asked or self._ended(self._started):
                return False
            self._started += 1
            return True

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._begun

    def _ended(self, trials: int) -> Any:
        return self._plan.budget.ended(trials=trials, seconds=self._seconds())

    def _try(self) -> None:
        started = time.monotonic()
        with self._lock:
            trial, space, params = self._ask()
            if space.candidate not in self._encoded:
                self._encoded[space.candidate] = encode(space.candidate, self._context)
        fields: dict[str, Any] = {"number": next(self._numbers), "candidate": space.candidate, "params": params}
        reached: list[TrialStage] = []
        try:
            pruned = self._fit(trial, space, params, reached)
            best = best_of(reached, greater_is_better=self._context.project.greater_is_better)
            fields |= {"state": "pruned" if pruned else "finished", "score": best.score, "rounds": best.rounds}
            fields |= {"pruned_at": reached[-1].rounds} if pruned else {}
        except Exception as error:  # whatever a library raises: one trial that fails does not end the search
            traceback.print_exc()
            fields |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        with self._lock:
            record = TrialRecord(
                **fields,
                origin=trial.user_attrs.get("origin", "sampled"),
                stages=tuple(reached),
                seconds=time.monotonic() - started,
                ended_at=self._seconds(),
            )
            self._tell(trial, record)
            self._keep(record)

    def _fit(self, trial: Any, space: Space, params: dict[str, Value], reached: list[TrialStage]) -> bool:
        """Fit stage by stage; returns whether it was stopped before its end."""
        for stage in scored_stages(space, params, self._context, self._encoded[space.candidate]):
            if SIGTERM.asked:
                SIGTERM.stop()  # this trial is begun again; a thread must not keep the job from its end
            reached.append(stage)
            if stage.step == WHOLE or self._stalls(reached):
                return False
            with self._lock:
                trial.report(stage.score, stage.step)
                if trial.should_prune() or self._ended(0):
                    return True
        return False

    def _stalls(self, reached: list[TrialStage]) -> bool:
        if self._plan.tuning.pruner == "none":
            return False
        best = best_of(reached, greater_is_better=self._context.project.greater_is_better)
        return len(reached) - reached.index(best) > PATIENCE

    def _tell(self, trial: Any, record: TrialRecord) -> None:
        from optuna.trial import TrialState

        states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        value = record.score if record.state == "finished" else None
        self._study.tell(trial, value, state=states[record.state])

    def _keep(self, record: TrialRecord) -> None:
        self._trials.append(record)
        study = self._record()
        self._file.save(study)
        best = study.ranked()[:1]
        tell(
            "trial_ended",
            number=record.number,
            candidate=record.candidate,
            state=record.state,
            score=record.score,
            rounds=record.rounds,
            seconds=round(record.seconds, 2),
            best=best[0].score if best else None,
        )

    def _record(self) -> Study:
        seconds, tuning = self._seconds(), self._plan.tuning
        return Study(
            metric=self._context.project.task.metric,
            greater_is_better=self._context.project.greater_is_better,
            sampler=tuning.sampler,
            pruner=tuning.pruner,
            trials=tuple(self._trials),
            ended_by=self._ended(len(self._trials)),
            seconds=seconds,
            usd=self._plan.budget.cost(seconds),
        ).with_best()
