"""Endpoints: the operations. What they ask for is done in the background, by `deployments`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.errors import SageMakerError, invalid
from laptop.sagemaker.hosting.component_rules import hosts_components, running_instances
from laptop.sagemaker.hosting.components import Components
from laptop.sagemaker.hosting.deployments import Deployments
from laptop.sagemaker.hosting.guardrails import alarms, check_alarms, check_deployment
from laptop.sagemaker.hosting.plan import (
    Plan,
    capture_summary,
    is_serverless,
    listed,
    make_plan,
    pending_summaries,
    retained,
    reweighted,
    summaries,
)
from laptop.sagemaker.hosting.records import KIND, new_deployment, shown
from laptop.sagemaker.hosting.runtime import Runtime
from laptop.sagemaker.listing import list_page
from laptop.sagemaker.store import Document, KeyExistsError, Store
from laptop.sagemaker.tags import Tags, check_tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

Operation = Callable[[dict[str, Any]], dict[str, Any]]
_SERVING: Final = ("InService", "Updating", "RollingBack", "SystemUpdating")


class Endpoints:
    """Create, describe, list, update and delete endpoints."""

    def __init__(
        self,
        settings: LaptopSettings,
        surroundings: Surroundings,
        store: Store,
        tags: Tags,
        runtime: Runtime,
        components: Components,
    ) -> None:
        self._components = components
        self._settings, self._surroundings, self._store, self._tags = settings, surroundings, store, tags
        self._deployments = Deployments(settings, surroundings, store, tags, runtime)

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._update_weights,
            "DeleteEndpoint": self._delete,
        }

    def using(self, config: str) -> list[str]:
        """Return the endpoints that use an endpoint configuration, or are changing to it."""
        return [
            document["EndpointName"]
            for document in self._store.all(KIND)
            if config in (document["EndpointConfigName"], document.get("_next", {}).get("EndpointConfigName"))
            and document["EndpointStatus"] not in ("Failed", "Deleting")
        ]

    def start(self) -> None:
        """Bring back every endpoint that was in service or on its way."""
        self._deployments.start()

    def close(self) -> None:
        """End every server process; the endpoints stay in the store."""
        self._deployments.close()

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, identity, moment = request["EndpointName"], self._arn(request["EndpointName"]), now()
        check_tags(request.get("Tags", []))
        plan = self._plan(request)
        self._check_deployment(request.get("DeploymentConfig"), plan, None)
        document = {
            "EndpointName": name,
            "EndpointArn": identity,
            "EndpointConfigName": plan["EndpointConfigName"],
            "EndpointStatus": "Creating",
            "CreationTime": moment,
            "LastModifiedTime": moment,
            **_last_deployment(request),
            "_plan": plan,
            "_since": moment,
            "_deployment": new_deployment(),
        }
        try:
            # "The name is case-insensitive in CreateEndpoint": names that differ in case alone have one ARN.
            if any(other["EndpointArn"] == identity for other in self._store.all(KIND)):
                raise KeyExistsError(identity)
            self._store.create(KIND, name, document)
        except KeyExistsError as error:
            raise invalid(f'Cannot create already existing endpoint "{identity}".') from error
        self._tags.set_at_creation(identity, request.get("Tags", []))
        self._deployments.records.emit(document)
        self._deployments.launch(document)
        return {"EndpointArn": identity}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        self._need(name)
        plan = self._plan(request)

        def mutate(document: Document) -> None:
            _check_in_service(document)
            old: Plan = document["_plan"]
            if plan["EndpointConfigName"] == document["EndpointConfigName"]:
                config = plan["EndpointConfigName"]
                raise invalid(f"Cannot update endpoint {name}: it already uses the endpoint configuration {config}")
            if hosts_components(plan) != hosts_components(old):
                raise invalid("An endpoint with inference components cannot be updated to one without, nor vice versa")
            if is_serverless(plan) and not is_serverless(old):
                raise invalid("A real-time endpoint cannot be updated to a serverless one")
            document["_next"] = plan
            if request.get("RetainAllVariantProperties"):
                excluded = [item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", ())]
                document["_next"] = retained(plan, old, excluded)
            if not request.get("RetainDeploymentConfig"):
                document.pop("LastDeploymentConfig", None)
            document.update(_last_deployment(request))
            self._check_deployment(document.get("LastDeploymentConfig"), document["_next"], old)

        return self._begin(name, mutate)

    def _update_weights(self, request: dict[str, Any]) -> dict[str, Any]:
        def mutate(document: Document) -> None:
            _check_in_service(document)
            document["_plan"] = reweighted(document["_plan"], request["DesiredWeightsAndCapacities"])

        return self._begin(request["EndpointName"], mutate)

    def _begin(self, name: str, mutate: Callable[[Document], None]) -> dict[str, Any]:
        """Check and change an endpoint in one step, so that of two requests at once one is refused."""

        def begun(document: Document) -> None:
            mutate(document)
            moment = now()
            document.update(EndpointStatus="Updating", LastModifiedTime=moment, _since=moment)
            document["_deployment"] = new_deployment()
            document.pop("FailureReason", None)

        document = self._change(name, begun)
        self._deployments.records.emit(document)
        self._deployments.launch(document)
        return {"EndpointArn": document["EndpointArn"]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """SageMaker refuses while it works on an endpoint; here a creation, which takes no money, can be given up."""

        hosted = [item["InferenceComponentName"] for item in self._components.of(request["EndpointName"])]
        if hosted:
            raise invalid(f"Delete the inference components of the endpoint first: {', '.join(hosted)}")

        def mutate(document: Document) -> None:
            if document["EndpointStatus"] in ("Updating", "RollingBack", "SystemUpdating", "Deleting"):
                raise _in_progress(document)
            document.update(EndpointStatus="Deleting", LastModifiedTime=now())

        document = self._change(request["EndpointName"], mutate)
        self._deployments.records.emit(document)
        self._deployments.take_down(document["EndpointName"])
        return {}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        document = self._need(request["EndpointName"])
        answer, plan = shown(document), document.get("_plan")
        status, following = document["EndpointStatus"], document.get("_next")
        if plan and status in _SERVING:
            answer |= self._summaries(plan, document["EndpointName"]) | capture_summary(plan)
        pending = plan if status == "Creating" else following
        if pending:
            config, since = pending["EndpointConfigName"], document["_since"]
            stage = document.get("_stage", {"Status": "Creating", "StartTime": since})
            summary = {"EndpointConfigName": config, "StartTime": since, **pending_summaries(pending, stage)}
            answer["PendingDeploymentSummary"] = summary
        return answer

    def _summaries(self, plan: Plan, name: str) -> dict[str, Any]:
        """Return the variants; instances that host inference components follow their copies, if they are managed."""
        if hosts_components(plan):
            copies = sum(item["RuntimeConfig"]["DesiredCopyCount"] for item in self._components.of(name))
            variants = [item | {"InitialInstanceCount": running_instances(item, copies)}
                        for item in plan["ProductionVariants"]]  # fmt: skip
            plan = plan | {"ProductionVariants": variants}
        return summaries(plan)

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return list_page(
            self._store.all(KIND),
            request,
            result_key="Endpoints",
            name_key="EndpointName",
            status_key="EndpointStatus",
            summary_keys=keys,
        )

    def _arn(self, name: str) -> str:
        return arn(self._settings, KIND, name)

    def _need(self, name: str) -> Document:
        document = self._store.get(KIND, name)
        if document is None:
            raise invalid(f'Could not find endpoint "{self._arn(name)}".')
        return document

    def _change(self, name: str, mutate: Callable[[Document], None]) -> Document:
        self._need(name)
        try:
            return self._store.update(KIND, name, mutate)
        except KeyError as error:  # deleted meanwhile
            raise invalid(f'Could not find endpoint "{self._arn(name)}".') from error

    def _plan(self, request: dict[str, Any]) -> Plan:
        """Return the plan of the request's endpoint configuration."""
        name = request["EndpointConfigName"]
        config = self._store.get("endpoint-config", name)
        if config is None:
            raise invalid(f'Could not find endpoint configuration "{arn(self._settings, "endpoint-config", name)}".')
        names = {item["ModelName"] for item in listed(config) if "ModelName" in item}
        models = {model: self._store.get("model", model) for model in names}
        plan = make_plan(config, models)
        return plan

    def _check_deployment(self, config: Mapping[str, Any] | None, new: Plan, old: Plan | None) -> None:
        check_deployment(config, new, old)
        check_alarms(config, self._surroundings.alarm_states(alarms(config)))


def _last_deployment(request: dict[str, Any]) -> dict[str, Any]:
    return {"LastDeploymentConfig": request["DeploymentConfig"]} if "DeploymentConfig" in request else {}


def _check_in_service(document: Document) -> None:
    if document["EndpointStatus"] == "Failed":
        raise invalid(f'Cannot update failed endpoint "{document["EndpointArn"]}"; it can only be deleted.')
    if document["EndpointStatus"] != "InService":
        raise _in_progress(document)


def _in_progress(document: Document) -> SageMakerError:
    return invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
