"""Tell MLflow about a run: a parent run, one child per candidate with its model, and a registered version.

Everything is found again by tags, so telling the same story twice completes what is missing and doubles nothing. A run
is FINISHED only once all of it is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from passerelle.contracts.container import CandidateResult, EvaluateResult, PrepareResult, TrainResult
from passerelle.errors import TransientError

#: A dead server must fail the step soon, so that Step Functions retries it: MLflow's own patience is minutes.
_CLIENT_SETTINGS: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_PARALLEL: Final = 4
_RUN_TAG: Final = "passerelle.run"
_CANDIDATE_TAG: Final = "passerelle.candidate"
MAX_PARAM: Final = 500


@dataclass(frozen=True, kw_only=True)
class RunStory:
    """Everything that MLflow is to know about one attempt of a run."""

    environment: str
    project: str
    run_id: str
    attempt: int
    git_sha: str
    lock_hash: str
    dataset: PrepareResult
    training: TrainResult
    evaluation: EvaluateResult
    training_folder: Path
    evaluation_folder: Path
    model_data_url: str
    model_name: str

    @property
    def identity(self) -> str:
        return f"{self.run_id}-{self.attempt}"


@dataclass(frozen=True)
class Registered:
    """Where the run is shown, and the registered version of its chosen model."""

    run_url: str
    version: str


@contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """Turn "MLflow does not answer" into TransientError; a request that MLflow refuses stays what it is."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except requests.exceptions.RequestException as error:
        raise TransientError(f"MLflow at {uri} does not answer: {error}") from error
    except MlflowException as error:
        codes = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR")
        text = str(error)
        if error.error_code in codes or "Max retries" in text or "Connection" in text or "timed out" in text:
            raise TransientError(f"MLflow at {uri} does not answer: {text[:500]}") from error
        raise


class ExperimentLog:
    """One MLflow server."""

    def __init__(self, tracking_uri: str) -> None:
        for name, value in _CLIENT_SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._uri = tracking_uri
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def tell(self, story: RunStory) -> Registered:
        """Log a run whole, and register its chosen model.

        Raises TransientError when MLflow does not answer.
        """
        with _mlflow_errors(self._uri):
            experiment = self._experiment(story)
            parent = self._run(experiment, story.run_id, story, {})
            # The first to log a dataset inserts it; several at once would collide in MLflow's database.
            self._log_dataset(parent, story)
            with ThreadPoolExecutor(_PARALLEL) as pool:
                told = pool.map(
                    lambda item: self._candidate(experiment, parent, item, story), story.training.candidates
                )
                models = {name: (run, model) for name, run, model in told}
            self._parent(parent, story)
            run, model = models[story.training.chosen]
            version = self._version(story, run, model)
            self._client.set_terminated(parent, "FINISHED")
        return Registered(f"{self._uri}/#/experiments/{experiment}/runs/{parent}", version)

    def promote(self, name: str, version: str) -> None:
        """Give a version the alias champion, and `archived` to the one that had it."""
        from mlflow.exceptions import MlflowException

        with _mlflow_errors(self._uri):
            try:
                before = str(self._client.get_model_version_by_alias(name, "champion").version)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                before = version
            if before != version:
                self._client.set_registered_model_alias(name, "archived", before)
            self._client.set_registered_model_alias(name, "champion", version)

    # Experiments and runs

    def _experiment(self, story: RunStory) -> str:
        name = story.project if story.environment == "laptop" else f"{story.project}-{story.environment}"
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, tags={"passerelle.environment": story.environment}))

    def _run(self, experiment: str, name: str, story: RunStory, tags: dict[str, str]) -> str:
        """Return the run with these tags, created if there is none."""
        identity = {_RUN_TAG: story.identity, _CANDIDATE_TAG: "", **tags}
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        found = self._client.search_runs([experiment], query, max_results=1)
        if found:
            return str(found[0].info.run_id)
        about = {
            "passerelle.project": story.project,
            "passerelle.environment": story.environment,
            "passerelle.dataset_id": str(story.dataset.dataset_id),
            "passerelle.contract_hash": story.dataset.contract_hash,
            "passerelle.git_sha": story.git_sha,
            "passerelle.lock_hash": story.lock_hash,
        }
        return str(self._client.create_run(experiment, tags=identity | about, run_name=name).info.run_id)

    def _candidate(
        self, experiment: str, parent: str, item: CandidateResult, story: RunStory
    ) -> tuple[str, str, str | None]:
        """Log one candidate as a child run; returns (name, run id, model id)."""
        tags = {_CANDIDATE_TAG: item.name, "mlflow.parentRunId": parent}
        run = self._run(experiment, item.name, story, tags)
        self._log_values(run, item, story)
        model = None
        folder = story.training_folder / item.directory
        if item.status == "trained":
            model = self._model(experiment, run, item, folder / "model")
            self._client.log_artifacts(run, str(folder / "plots"), "plots")
        self._client.set_terminated(run, "FINISHED" if item.status == "trained" else "FAILED")
        return item.name, run, model

    def _log_values(self, run: str, item: CandidateResult, story: RunStory) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = {f"validation_{name}": value for name, value in item.validation_metrics.items()}
        metrics |= {f"train_{name}": value for name, value in item.train_metrics.items()}
        metrics["seconds"] = item.seconds
        if item.name == story.training.chosen:
            metrics |= {f"test_{name}": value for name, value in story.evaluation.test_metrics.items()}
        params = [Param(name, str(value)[:MAX_PARAM]) for name, value in sorted(item.params.items())]
        tags = [RunTag("passerelle.chosen", str(item.name == story.training.chosen).lower())]
        if item.error:
            tags.append(RunTag("passerelle.error", item.error[:5_000]))
        known = self._client.get_run(run).data.params
        new = [param for param in params if param.key not in known]
        # The same timestamp and step make a metric that is logged twice one point.
        points = [Metric(name, value, 0, 0) for name, value in metrics.items()]
        self._client.log_batch(run, metrics=points, params=new, tags=tags)
        self._log_dataset(run, story)

    def _log_dataset(self, run: str, story: RunStory) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": story.dataset.split["train"].uri})
        profile = json.dumps({"num_rows": story.dataset.split["train"].rows})
        dataset = Dataset(
            name=story.project,
            digest=str(story.dataset.dataset_id),
            source_type="s3",
            source=source,
            profile=profile,
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run, [DatasetInput(dataset, [context])])

    def _model(self, experiment: str, run: str, item: CandidateResult, folder: Path) -> str:
        """Log a candidate's MLflow model folder (signature and input example are in it) as a logged model."""
        from mlflow.entities import LoggedModelOutput

        query = f"source_run_id = '{run}'"
        found = self._client.search_logged_models([experiment], filter_string=query, max_results=1)
        if found:
            model = found[0]
        else:
            params = {name: str(value)[:MAX_PARAM] for name, value in item.params.items()}
            model = self._client.create_logged_model(
                experiment, name=item.name, source_run_id=run, model_type=item.params.get("model"), params=params
            )
        if str(model.status) != "READY":
            self._client.log_model_artifacts(model.model_id, str(folder))
            self._client.finalize_logged_model(model.model_id, "READY")
        outputs = self._client.get_run(run).outputs
        if not (outputs and outputs.model_outputs):
            self._client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
        return str(model.model_id)

    def _parent(self, parent: str, story: RunStory) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = {f"test_{name}": value for name, value in story.evaluation.test_metrics.items()}
        metrics |= {f"baseline_{name}": value for name, value in story.evaluation.baseline_metrics.items()}
        metrics |= {f"champion_{name}": value for name, value in story.evaluation.champion_metrics.items()}
        known = self._client.get_run(parent).data.params
        params = {"chosen": story.training.chosen, "metric": story.training.metric, "task": story.training.task}
        new = [Param(name, value) for name, value in params.items() if name not in known]
        tags = [
            RunTag("passerelle.gate", story.evaluation.status),
            RunTag("passerelle.why", story.training.why),
            RunTag("mlflow.note.content", story.training.why),
        ]
        points = [Metric(name, value, 0, 0) for name, value in metrics.items()]
        self._client.log_batch(parent, metrics=points, params=new, tags=tags)
        self._client.log_artifacts(parent, str(story.evaluation_folder), "evaluation")

    # Registry

    def _version(self, story: RunStory, run: str, model: str | None) -> str:
        """Register the chosen model once; one that the gate refused is kept with the reasons, without an alias."""
        from mlflow.exceptions import MlflowException

        name = story.model_name
        try:
            self._client.create_registered_model(name, tags={"passerelle.project": story.project})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._client.search_model_versions(f"name = '{name}' and run_id = '{run}'", max_results=1)
        tags = {
            "passerelle.run": story.identity,
            "passerelle.bundle": story.model_data_url,
            "passerelle.candidate": story.training.chosen,
            "passerelle.dataset_id": str(story.dataset.dataset_id),
            "passerelle.gate": story.evaluation.status,
            "passerelle.reasons": " ".join(story.evaluation.reasons)[:5_000],
        }
        if found:
            version = str(found[0].version)
        else:
            source = f"models:/{model}"
            description = story.training.why
            version = str(
                self._client.create_model_version(
                    name, source, run_id=run, tags=tags, description=description, model_id=model
                ).version
            )
        if story.evaluation.status == "passed":
            self._client.set_registered_model_alias(name, "challenger", version)
        return version
