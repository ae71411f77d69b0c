"""Models and endpoint configurations, and the table of all hosting operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.errors import invalid
from laptop.sagemaker.hosting.components import Components
from laptop.sagemaker.hosting.endpoints import Endpoints
from laptop.sagemaker.hosting.rules import check_endpoint_config, check_model
from laptop.sagemaker.hosting.runtime import Runtime
from laptop.sagemaker.listing import list_page
from laptop.sagemaker.store import Document, KeyExistsError, Store
from laptop.sagemaker.tags import Tags, check_tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

MODEL: Final = "model"
CONFIG: Final = "endpoint-config"
Operation = Callable[[dict[str, Any]], dict[str, Any]]


class HostingService:
    """Models, endpoint configurations, endpoints and their runtime."""

    def __init__(self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags) -> None:
        self._settings, self._store, self._tags = settings, store, tags
        self.runtime = Runtime(settings, surroundings)
        self.components = Components(settings, surroundings, store, tags, self.runtime)
        self.endpoints = Endpoints(settings, surroundings, store, tags, self.runtime, self.components)

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateModel": self._create_model,
            "DescribeModel": self._describe_model,
            "DeleteModel": self._delete_model,
            "ListModels": self._list_models,
            "CreateEndpointConfig": self._create_config,
            "DescribeEndpointConfig": self._describe_config,
            "DeleteEndpointConfig": self._delete_config,
            "ListEndpointConfigs": self._list_configs,
            **self.endpoints.operations(),
            **self.components.operations(),
        }

    def start(self) -> None:
        """Bring every endpoint back that was in service."""
        self.endpoints.start()
        self.components.start()

    def close(self) -> None:
        """Stop every server process; the endpoints stay in the store."""
        self.components.close()
        self.endpoints.close()
        self.runtime.close()

    def _create(self, kind: str, name: str, identity: str, request: dict[str, Any], arn_key: str) -> dict[str, Any]:
        check_tags(request.get("Tags", []))
        document: Document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {arn_key: identity, "CreationTime": now()}
        try:
            self._store.create(kind, name, document)
        except KeyExistsError as error:
            words = {"model": "model", "endpoint-config": "endpoint configuration"}[kind]
            raise invalid(f'Cannot create already existing {words} "{identity}".') from error
        self._tags.set_at_creation(identity, request.get("Tags", []))
        return {arn_key: identity}

    def _need(self, kind: str, name: str) -> Document:
        document = self._store.get(kind, name)
        if document is None:
            words = {"model": "model", "endpoint-config": "endpoint configuration"}[kind]
            raise invalid(f'Could not find {words} "{arn(self._settings, kind, name)}".')
        return document

    # Models

    def _create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        check_model(request)
        name = request["ModelName"]
        return self._create(MODEL, name, arn(self._settings, MODEL, name), request, "ModelArn")

    def _describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._need(MODEL, request["ModelName"])

    def _delete_model(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self._need(MODEL, request["ModelName"])
        self._store.delete(MODEL, request["ModelName"])
        self._tags.forget(model["ModelArn"])
        return {}

    def _list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = ("ModelName", "ModelArn", "CreationTime")
        documents = self._store.all(MODEL)
        return list_page(documents, request, result_key="Models", name_key="ModelName", summary_keys=keys)

    # Endpoint configurations

    def _create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        models = {document["ModelName"]: document for document in self._store.all(MODEL)}
        check_endpoint_config(request, models)
        name = request["EndpointConfigName"]
        return self._create(CONFIG, name, arn(self._settings, CONFIG, name), request, "EndpointConfigArn")

    def _describe_config(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._need(CONFIG, request["EndpointConfigName"])

    def _delete_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """AWS only documents that a configuration in use must not be deleted; here it is refused."""
        name = request["EndpointConfigName"]
        config = self._need(CONFIG, name)
        users = self.endpoints.using(name)
        if users:
            raise invalid(f"Cannot delete the endpoint configuration {name}: it is used by endpoint {', '.join(users)}")
        self._store.delete(CONFIG, name)
        self._tags.forget(config["EndpointConfigArn"])
        return {}

    def _list_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        documents = self._store.all(CONFIG)
        return list_page(
            documents, request, result_key="EndpointConfigs", name_key="EndpointConfigName", summary_keys=keys
        )
