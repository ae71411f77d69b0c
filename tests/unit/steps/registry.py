"""The steps' world beside a real MLflow server."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from passerelle.contracts import naming, zones
from passerelle.contracts.runs import StageRecord
from passerelle.settings import RegisterModelSettings
from tests.laptop_platform import LaptopPlatform, unique

from . import results
from .world import MOMENT, Aws

FILES: dict[str, bytes] = {
    "candidates/forest/model/MLmodel": b"flavors: {}\n",
    "candidates/forest/model/model.skops": bytes(2_000_000),
    "candidates/forest/plots/a curve é.png": b"drawn",
    "result.json": b"",
}


class World(Aws):
    """What the tests lay out for MLflow, and find in it."""

    def __init__(self, platform: LaptopPlatform) -> None:
        super().__init__(unique("steps"), unique("registry"))
        self.platform, self.uri = platform, platform.settings.mlflow_url
        self.mlflow = MlflowClient(self.uri, self.uri)
        self.model = f"flights-{self.environment}"
        self.settings = RegisterModelSettings(
            **self.shared, zones=self.buckets, tracking_uri=self.uri, git_sha="abc", lock_hash="def"
        )

    def finish_training(self, run_id: str = "r1", gate: str = "passed") -> dict[str, Any]:
        """Lay out what the jobs of a run leave; returns what the state machine sends to register_model."""
        whole = FILES | {"result.json": results.trained().model_dump_json().encode()}
        results.put_training_output(self, results.archive(whole), run_id)
        results.put_result(self, "prepare", results.prepared().model_dump_json(), run_id)
        results.put_result(self, "evaluate", results.evaluated(gate).model_dump_json(), run_id)
        prefix = zones.result_prefix("flights", run_id, 1, "evaluate")
        self.put_json("curated", f"{prefix}/card.json", {"model": "card"})
        job = naming.job_name("flights", run_id, "train", 1)
        train = StageRecord(stage="train", status="done", started_at=MOMENT, ended_at=MOMENT, job_name=job)
        self.begin_run(run_id, stages=(train,), gate={"status": gate})
        return {"project": "flights", "run_id": run_id, "attempt": 1, "status": gate}

    def runs(self) -> list[Any]:
        experiment = self.mlflow.get_experiment_by_name(f"flights-{self.environment}")
        assert experiment is not None
        return list(self.mlflow.search_runs([experiment.experiment_id]))

    def versions(self) -> list[Any]:
        return list(self.mlflow.search_model_versions(f"name = '{self.model}'"))

    def alias(self, alias: str) -> str | None:
        try:
            return str(self.mlflow.get_model_version_by_alias(self.model, alias).version)
        except MlflowException:
            return None

    def stored(self, version: Any) -> dict[str, int]:
        """Files of a version's logged model, with their sizes."""
        model = version.source.removeprefix("models:/")
        return {item.path: item.file_size for item in self.mlflow.list_logged_model_artifacts(model)}
