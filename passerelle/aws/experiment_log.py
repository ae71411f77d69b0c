"""Tell MLflow about a run: a parent run, one child per candidate with its model, and a registered version.

Everything is found again by tags, so telling the same story twice completes what is missing and doubles nothing. A run
is FINISHED only once all of it is there: what is finished is not told again.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from passerelle.aws.mlflow_server import connect, keep_first, mlflow_errors, without_secrets
from passerelle.aws.model_registry import ModelRegistry, VersionRequest
from passerelle.contracts.container import CandidateResult, EvaluateResult, PrepareResult, TrainResult
from passerelle.contracts.runs import RunOrigin
from passerelle.errors import TransientError

_PARALLEL: Final = 4
_RUN_TAG: Final = "passerelle.run"
_CANDIDATE_TAG: Final = "passerelle.candidate"
MAX_PARAM: Final = 500
MAX_TEXT: Final = 5_000
#: Less than register_model's own time limit.
PATIENCE_SECONDS: Final = 480.0


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
    origin: RunOrigin | None = None

    @property
    def identity(self) -> str:
        return f"{self.run_id}-{self.attempt}"


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
            parent, _ = self._run(experiment, story.run_id, story, {})
            # The first to log a dataset inserts it; several at once would collide in MLflow's database.
            self._log_dataset(parent, story)
            with ThreadPoolExecutor(_PARALLEL) as pool:
                told = pool.map(
                    lambda item: self._candidate(experiment, parent, item, story), story.training.candidates
                )
                models = {name: (run, model) for name, run, model in told}
            self._parent(parent, story)
            run, model = models[story.training.chosen]
            version = self._registry.register(_version(story, run, str(model)))
            if story.evaluation.status == "passed":
                self._registry.challenge(story.model_name, version)
            self._client.set_terminated(parent, "FINISHED")
        return Registered(f"{without_secrets(self._uri)}/#/experiments/{experiment}/runs/{parent}", version)

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

        name = story.project if story.environment == "laptop" else f"{story.project}-{story.environment}"
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                self._client.create_experiment(name, tags={"passerelle.environment": story.environment})
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.get_experiment_by_name(name)
        elif found.lifecycle_stage == "deleted":
            # A deleted experiment keeps its name, so no other can be made.
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _run(self, experiment: str, name: str, story: RunStory, tags: dict[str, str]) -> tuple[str, str]:
        """Return (id, status) of the run with these tags, created if there is none."""
        self._go_on()
        identity = {_RUN_TAG: story.identity, _CANDIDATE_TAG: "", **tags}
        found = self._find_run(experiment, identity)
        if found is None:
            about = {
                "passerelle.project": story.project,
                "passerelle.environment": story.environment,
                "passerelle.dataset_id": str(story.dataset.dataset_id),
                "passerelle.contract_hash": story.dataset.contract_hash,
                "passerelle.git_sha": story.git_sha,
                "passerelle.lock_hash": story.lock_hash,
                **_origin(story),
            }
            created = self._client.create_run(experiment, tags=identity | about, run_name=name)
            found = self._find_run(experiment, identity) or created
        return str(found.info.run_id), str(found.info.status)

    def _find_run(self, experiment: str, identity: dict[str, str]) -> Any:
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        found = self._client.search_runs([experiment], query, order_by=order)
        return keep_first(found, lambda extra: self._client.delete_run(extra.info.run_id))

    def _candidate(
        self, experiment: str, parent: str, item: CandidateResult, story: RunStory
    ) -> tuple[str, str, str | None]:
        """Log one candidate as a child run; returns (name, run id, model id)."""
        tags = {_CANDIDATE_TAG: item.name, "mlflow.parentRunId": parent}
        run, status = self._run(experiment, item.name, story, tags)
        final = "FINISHED" if item.status == "trained" else "FAILED"
        if status != final:
            self._log_values(run, item, story)
        model = None
        folder = story.training_folder / item.directory
        if item.status == "trained":
            model = self._model(experiment, run, item, folder / "model")
        if status != final:
            if (folder / "plots").is_dir() and item.status == "trained":
                self._go_on()
                self._client.log_artifacts(run, str(folder / "plots"), "plots")
            self._client.set_terminated(run, final)
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
            tags.append(RunTag("passerelle.error", without_secrets(item.error)[:MAX_TEXT]))
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

    def _parent(self, parent: str, story: RunStory) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = {f"test_{name}": value for name, value in story.evaluation.test_metrics.items()}
        metrics |= {f"baseline_{name}": value for name, value in story.evaluation.baseline_metrics.items()}
        metrics |= {f"champion_{name}": value for name, value in story.evaluation.champion_metrics.items()}
        known = self._client.get_run(parent).data.params
        params = {"chosen": story.training.chosen, "metric": story.training.metric, "task": story.training.task}
        new = [Param(name, value) for name, value in params.items() if name not in known]
        why = without_secrets(story.training.why)[:MAX_TEXT]
        tags = [
            RunTag("passerelle.gate", story.evaluation.status),
            RunTag("passerelle.why", why),
            RunTag("mlflow.note.content", why),
        ]
        points = [Metric(name, value, 0, 0) for name, value in metrics.items()]
        self._client.log_batch(parent, metrics=points, params=new, tags=tags)
        self._go_on()
        self._client.log_artifacts(parent, str(story.evaluation_folder), "evaluation")


def _version(story: RunStory, run: str, model: str) -> VersionRequest:
    """What the registry is to know of the chosen model; one that the gate refused is kept with the reasons."""
    return VersionRequest(
        name=story.model_name,
        identity=story.identity,
        project=story.project,
        run=run,
        model=model,
        description=without_secrets(story.training.why)[:MAX_TEXT],
        tags={
            "passerelle.bundle": story.model_data_url,
            "passerelle.candidate": story.training.chosen,
            "passerelle.dataset_id": str(story.dataset.dataset_id),
            "passerelle.gate": story.evaluation.status,
            "passerelle.reasons": without_secrets(" ".join(story.evaluation.reasons))[:MAX_TEXT],
            **_origin(story),
        },
    )


def _origin(story: RunStory) -> dict[str, str]:
    """What the registry is to know of a model that was carried here; nothing of one that was trained here."""
    if story.origin is None:
        return {}
    return {
        "passerelle.origin": story.origin.environment,
        "passerelle.origin_account": story.origin.account,
        "passerelle.origin_run": f"{story.run_id}-{story.origin.attempt}",
        "passerelle.origin_image": story.origin.image_uri,
    }
