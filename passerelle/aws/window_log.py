"""Figures of a project's windows in MLflow, as series of the run whose model was asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from passerelle.aws.mlflow_batches import Point, log_values
from passerelle.aws.mlflow_server import connect, mlflow_errors
from passerelle.aws.model_registry import LEVEL_TAG, RUN_TAG
from passerelle.aws.run_story import experiment_name

#: Of names of metrics MLflow takes fewer characters, 250 of them, and no paths that go up (mlflow.utils.validation).
_REFUSED: Final = re.compile(r"[^\w\- ]")
_MOST_CHARACTERS: Final = 200


def metric_name(*parts: str) -> str:
    """Return a name of a metric that MLflow takes, of parts that may hold anything."""
    return "/".join(_REFUSED.sub("_", part)[:_MOST_CHARACTERS] or "_" for part in parts)


class WindowLog:
    """One project on one MLflow server."""

    def __init__(self, tracking_uri: str, project: str, environment: str) -> None:
        self._uri, self._client = tracking_uri, connect(tracking_uri)
        self._experiment = experiment_name(project, environment)

    def tell(self, identity: str, points: Sequence[Point], tags: Mapping[str, str]) -> bool:
        """Log a run's windows; returns False where MLflow has no such run. The same point twice is one.

        Raises TransientError when MLflow does not answer.
        """
        with mlflow_errors(self._uri):
            experiment = self._client.get_experiment_by_name(self._experiment)
            if experiment is None:
                return False
            query = f"tags.`{RUN_TAG}` = '{identity}' and tags.`{LEVEL_TAG}` = 'run'"
            found = self._client.search_runs([experiment.experiment_id], query, max_results=1)
            if not found:
                return False
            log_values(self._client, found[0], series=points, tags=tags)
        return True
