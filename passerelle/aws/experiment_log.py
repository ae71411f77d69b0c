"""Tell MLflow about a run: a parent run, one child per candidate with its model and trials, and a registered version.

Everything is found again by tags, so telling the same story twice completes what is missing and doubles nothing. A run
is FINISHED only once all of it is there: what is finished is not told again.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from passerelle.aws.mlflow_batches import MAX_PARAM, log_values
from passerelle.aws.mlflow_server import connect, keep_first, mlflow_errors, without_secrets
from passerelle.aws.mlflow_trials import TrialLog
from passerelle.aws.model_registry import LEVEL_TAG, RUN_TAG, ModelRegistry
from passerelle.aws.run_story import (
    RunStory,
    candidate_metrics,
    candidate_tags,
    datasets,
    experiment_name,
    experiment_tags,
    parent_metrics,
    parent_tags,
    run_tags,
    usage_series,
    version_request,
)
from passerelle.contracts.container import CandidateResult
from passerelle.errors import TransientError

_PARALLEL: Final = 4
_CANDIDATE_TAG: Final = "passerelle.candidate"
#: Less than register_model's own time limit.
PATIENCE_SECONDS: Final = 480.0


@dataclass(frozen=True)
class Registered:
    """Where the run is shown, and the registered version of its chosen model."""

    run_url: str
    version: str


class ExperimentLog:
    """One MLflow server."""

    def __init__(self, tracking_uri: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._uri = tracking_uri
        self._client = connect(tracking_uri)
        self._registry = ModelRegistry(self._client)
        self._deadline = time.monotonic() + patience_seconds

    def tell(self, story: RunStory) -> Registered:
        """Log a run whole, and register its chosen model.

        Raises TransientError when MLflow does not answer, or too slowly: the next try goes on where this one ended.
        """
        with mlflow_errors(self._uri):
            experiment = self._experiment(story)
            parent = self._run(experiment, story.run_id, story, {LEVEL_TAG: "run"})
            # The first to log a dataset inserts it; several at once would collide in MLflow's database.
            self._log_datasets(parent, story)
            with ThreadPoolExecutor(_PARALLEL) as pool:
                told = pool.map(
                    lambda item: self._candidate(experiment, parent, item, story), story.training.candidates
                )
                models = {name: (run, model) for name, run, model in told}
                runs = {name: run for name, (run, _) in models.items()}
                self._trials(experiment, parent, runs, story, pool)
            self._parent(parent, story)
            run, model = models[story.training.chosen]
            url = f"{without_secrets(self._uri)}/#/experiments/{experiment}/runs/{parent.info.run_id}"
            version = self._registry.register(version_request(story, run, str(model), url))
            if story.evaluation.status == "passed":
                self._registry.challenge(story.model_name, version)
            self._client.set_terminated(parent.info.run_id, "FINISHED")
        return Registered(url, version)

    def promote(self, name: str, version: str) -> None:
        """Give a version the alias champion, and `archived` to the one that had it.

        Raises TransientError when MLflow does not answer, NotFoundError when there is no such version.
        """
        with mlflow_errors(self._uri):
            self._registry.promote(name, version)

    def _go_on(self) -> None:
        """Stop in good order before the function's time is over: being killed, it would not be tried again."""
        if time.monotonic() > self._deadline:
            raise TransientError(f"MLflow at {without_secrets(self._uri)} is too slow; what is told so far is kept.")

    # Experiments and runs

    def _experiment(self, story: RunStory) -> str:
        from mlflow.exceptions import MlflowException

        name = experiment_name(story.project, story.environment)
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                self._client.create_experiment(name, tags=experiment_tags(story))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.get_experiment_by_name(name)
        elif found.lifecycle_stage == "deleted":
            # A deleted experiment keeps its name, so no other can be made.
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _run(self, experiment: str, name: str, story: RunStory, tags: dict[str, str]) -> Any:
        """Return the run with these tags, created if there is none."""
        self._go_on()
        identity = {RUN_TAG: story.identity, **tags}
        found = self._find_run(experiment, identity)
        if found is None:
            created = self._create(experiment, name, story, tags)
            found = self._find_run(experiment, identity) or created
        return found

    def _create(self, experiment: str, name: str, story: RunStory, tags: dict[str, str]) -> Any:
        about = {**run_tags(story), RUN_TAG: story.identity, **tags}
        return self._client.create_run(experiment, tags=about, run_name=name)

    def _find_run(self, experiment: str, identity: dict[str, str]) -> Any:
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        found = self._client.search_runs([experiment], _query(identity), order_by=order)
        return keep_first(found, lambda extra: self._client.delete_run(extra.info.run_id))

    def _candidate(
        self, experiment: str, parent: Any, item: CandidateResult, story: RunStory
    ) -> tuple[str, str, str | None]:
        """Log one candidate as a child run; returns (name, run id, model id)."""
        tags = {LEVEL_TAG: "candidate", _CANDIDATE_TAG: item.name, "mlflow.parentRunId": parent.info.run_id}
        run = self._run(experiment, item.name, story, tags)
        run_id, final = str(run.info.run_id), "FINISHED" if item.status == "trained" else "FAILED"
        folder = story.training_folder / item.directory
        model = self._model(experiment, run_id, item, folder / "model") if item.status == "trained" else None
        if run.info.status != final:
            values, labels = candidate_metrics(item, story), candidate_tags(item, story)
            log_values(self._client, run, metrics=values, params=item.params, tags=labels, model_id=model)
            self._log_datasets(run, story)
            if (folder / "plots").is_dir() and item.status == "trained":
                self._go_on()
                self._client.log_artifacts(run_id, str(folder / "plots"), "plots")
            self._client.set_terminated(run_id, final)
        return item.name, run_id, model

    def _trials(
        self, experiment: str, parent: Any, runs: dict[str, str], story: RunStory, pool: ThreadPoolExecutor
    ) -> None:
        """Log each trial of the tuning below the candidate of its kind: the one with parameters of its own, if any."""
        study = story.study
        if study is None:
            return
        tuned = sorted(story.training.candidates, key=lambda item: bool(item.overrides))
        tags = {LEVEL_TAG: "trial"}
        TrialLog(
            client=self._client,
            experiment=experiment,
            query=_query({RUN_TAG: story.identity, **tags}),
            create=lambda name, more: self._create(experiment, name, story, {**tags, **more}),
            go_on=self._go_on,
            parents={item.kind or item.name: runs[item.name] for item in tuned},
            otherwise=parent.info.run_id,
        ).tell(study, pool)

    def _log_datasets(self, run: Any, story: RunStory) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(Dataset(**fields), [InputTag("mlflow.data.context", context)])
            for context, fields in datasets(story)
        ]
        self._client.log_inputs(run.info.run_id, inputs)

    def _model(self, experiment: str, run: str, item: CandidateResult, folder: Path) -> str:
        """Log a candidate's MLflow model folder (signature and input example are in it) as a logged model."""
        from mlflow.entities import LoggedModelOutput

        self._go_on()
        model = self._find_model(experiment, run)
        if model is None:
            params = {name: str(value)[:MAX_PARAM] for name, value in item.params.items()}
            created = self._client.create_logged_model(
                experiment, name=item.name, source_run_id=run, model_type=item.params.get("model"), params=params
            )
            model = self._find_model(experiment, run) or created
        if str(model.status) != "READY":
            self._client.log_model_artifacts(model.model_id, str(folder))
            self._client.finalize_logged_model(model.model_id, "READY")
        outputs = self._client.get_run(run).outputs
        if not (outputs and outputs.model_outputs):
            self._client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
        return str(model.model_id)

    def _find_model(self, experiment: str, run: str) -> Any:
        order = [{"field_name": "creation_timestamp", "ascending": True}]
        query = f"source_run_id = '{run}'"
        found = self._client.search_logged_models([experiment], filter_string=query, order_by=order)
        return keep_first(found, lambda extra: self._client.delete_logged_model(extra.model_id))

    def _parent(self, parent: Any, story: RunStory) -> None:
        """Log what is known of the run as a whole; the job's use of its machine are MLflow's system metrics."""
        params = {"chosen": story.training.chosen, "metric": story.training.metric, "task": story.training.task}
        log_values(
            self._client,
            parent,
            metrics=parent_metrics(story),
            params=params,
            tags=parent_tags(story),
            series=usage_series(story),
        )
        self._go_on()
        if story.study is not None:
            self._client.log_text(parent.info.run_id, story.study.model_dump_json(indent=2), "tuning/study.json")
        self._client.log_artifacts(parent.info.run_id, str(story.evaluation_folder), "evaluation")


def _query(identity: dict[str, str]) -> str:
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
