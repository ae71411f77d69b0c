"""MLflow's registry: one version for each attempt of a run, and the aliases of what is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from passerelle.aws.mlflow_server import keep_first
from passerelle.errors import NotFoundError, TransientError

#: Which attempt of which run something in MLflow tells of.
RUN_TAG: Final = "passerelle.run"
#: "run", "candidate" or "trial": where in the tree a run of MLflow stands.
LEVEL_TAG: Final = "passerelle.level"
#: MLflow says either of an alias that nothing has, by the store behind it.
_MISSING: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True, kw_only=True)
class VersionRequest:
    """A version to be registered: `identity` is what makes it the same one when it is asked for again."""

    name: str
    identity: str
    project: str
    run: str
    model: str
    description: str
    tags: dict[str, str]


class ModelRegistry:
    """The registry of one MLflow server; its errors are those of `mlflow_errors`, around the calls."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def register(self, request: VersionRequest) -> str:
        """Register a model once; returns its version.

        Raises TransientError while the server has not made it ready.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(request.name, tags={"passerelle.project": request.project})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self._find(request)
        if version is None:
            self._client.create_model_version(
                request.name,
                f"models:/{request.model}",
                run_id=request.run,
                tags={**request.tags, RUN_TAG: request.identity},
                description=request.description,
                model_id=request.model,
                await_creation_for=0,  # whether it is ready is looked at below
            )
            version = self._find(request)
        if version is None or str(version.status) != "READY":
            raise TransientError(f"The version of {request.identity} in {request.name} is not ready yet.")
        return str(version.version)

    def _find(self, request: VersionRequest) -> Any:
        query = f"name = '{request.name}' and tags.`{RUN_TAG}` = '{request.identity}'"
        found = sorted(self._client.search_model_versions(query), key=lambda version: int(version.version))
        return keep_first(found, lambda extra: self._client.delete_model_version(request.name, extra.version))

    def challenge(self, name: str, version: str) -> None:
        """Give a version the alias challenger."""
        self._client.set_registered_model_alias(name, "challenger", version)

    def promote(self, name: str, version: str) -> None:
        """Give a version the alias champion, and `archived` to the one that had it; it challenges no longer.

        Raises NotFoundError when there is no such version.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            raise NotFoundError(
                f"MLflow has no version {version} of {name}: somebody deleted it. Retry the run to register it again."
            ) from error
        before = self._holder(name, "champion")
        if before not in (None, version):
            self._client.set_registered_model_alias(name, "archived", before)
        if before != version:
            self._client.set_registered_model_alias(name, "champion", version)
        if self._holder(name, "challenger") == version:
            self._client.delete_registered_model_alias(name, "challenger")

    def _holder(self, name: str, alias: str) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(name, alias).version)
        except MlflowException as error:
            if error.error_code not in _MISSING:
                raise
            return None
