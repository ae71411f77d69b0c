"""How an endpoint comes to serve a planned deployment: what the state machine asks for, in which order.

The machine makes one change at a time: `change` is the next UpdateEndpoint and what it is for (`phase`): `shadow` (the
challenger beside the champion), `experiment` (it answers some entities in an A/B test), `serve` (it takes over),
`withdraw` (the champion goes on alone). Where the endpoint scales to zero, `component` follows: what makes the
inference component serve the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.project import Project
from passerelle.domain.project.experiment import Experiment
from passerelle.domain.project.serving import LONGEST_SHADOW_HOURS, Serving, Shadow
from passerelle.domain.requests.components import ServedComponent, component_update, copies_target, wake
from passerelle.domain.requests.endpoint_alarms import EndpointAlarms, alarm_names, endpoint_alarms
from passerelle.domain.requests.experiment import ab_config
from passerelle.domain.requests.guardrails import deployment_config, keep_capacity
from passerelle.domain.requests.hosting import Deployment
from passerelle.domain.requests.scaling import pause_scaling, scaling
from passerelle.domain.requests.shadow import shadow_config
from passerelle.errors import InputError

Request = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Served:
    """What an endpoint serves now.

    `config_name` is its configuration, `variant` the production variant there as SageMaker describes it, `alone` the
    configuration in which that one serves with no challenger beside it (None: not known), `component` the inference
    component that holds the model of an endpoint that scales to zero. `tries` tells that an A/B test is at work there.
    """

    config_name: str
    variant: Mapping[str, Any]
    alone: str | None
    component: ServedComponent | None = None
    tries: bool = False

    @property
    def serverless(self) -> bool:
        return "ServerlessConfig" in self.variant

    @property
    def hosts_components(self) -> bool:
        return "ModelName" not in self.variant


@dataclass(frozen=True, kw_only=True)
class RolloutPlace:
    """Who is told by alarms, and how long a wait may be in this environment."""

    topic_arn: str
    longest_wait_seconds: int


def at_once(project: Project) -> Project:
    """Return a project as it goes back to a model that it served before: without shadow or A/B test, in one step.

    What is live is bad, and what comes instead has stood all requests once. Alarms watch this change as any other.
    """
    all_at_once = project.serving.rollout.model_copy(update={"type": "all-at-once"})
    serving = project.serving.model_copy(update={"shadow": None, "experiment": None, "rollout": all_at_once})
    return project.model_copy(update={"serving": serving})


def rollout(
    place: RolloutPlace,
    project: Project,
    planned: Deployment,
    served: Served | None,
    trial: Experiment | None = None,
) -> Request:
    """Return the rest of the state machine's input: `action`, `alarms`, `scaling`, and for an update its changes.

    With `trial` the planned model is to answer some entities beside the champion, in an A/B test.

    Raises InputError for what SageMaker can only do to a new endpoint, and for a test without a champion.
    """
    if served and served.hosts_components != project.serving.scales_to_zero:
        raise InputError(_needs_a_new_endpoint(planned.endpoint_name, served))
    alarms = _alarms(place, project, planned)
    found: Request = {
        "action": "create",
        "alarms": {"put": alarms.requests, "names": list(alarms.names)},
        "scaling": {},
    }
    name = planned.component["InferenceComponentName"] if planned.component else None
    scaled = scaling(planned.endpoint_name, VARIANT, project.serving, component=name)
    if scaled:
        found["scaling"] = {"target": scaled[0], "policy": scaled[1]}
    if planned.component:
        found["component"] = _component(place, project, planned.component, served, alarms)
        found["scaling"]["wake"] = wake(str(name), planned.endpoint_name, planned.model["Tags"])
    if served is None and trial is None:
        return found | {"change": {"phase": "serve", "endpoint": planned.endpoint}}
    if served is None or (trial and (served.alone is None or served.serverless or served.hosts_components)):
        raise InputError(_needs_a_champion(project, planned))
    paused = pause_scaling(planned.endpoint_name, VARIANT, serverless=served.serverless)
    found["scaling"]["pause"] = copies_target(name) if name else paused
    if trial:
        return found | _tried(place, project, planned, served, trial)
    changes = _changes(place, project, planned, served, alarms)
    retired = [*_watching_no_more(planned, served), *changes.get("both", {}).get("names", ())]
    # DeleteAlarms is not called for none: CloudWatch refuses an empty list.
    if left := [name for name in dict.fromkeys(retired) if name not in alarms.names]:
        found["alarms"]["retired"] = left
    return found | changes


def _needs_a_new_endpoint(endpoint: str, served: Served) -> str:
    """SageMaker: "An endpoint with inference components cannot be updated to one without, nor vice versa"."""
    first = f"`aws sagemaker delete-inference-component --inference-component-name {endpoint}`, then "
    scales, before = ("scales", first) if served.hosts_components else ("does not scale", "")
    return (
        f"serving.autoscaling.min: endpoint {endpoint} {scales} to zero, and SageMaker cannot change that. "
        f"Set it back; or delete the endpoint ({before}`aws sagemaker delete-endpoint --endpoint-name {endpoint}`) "
        "and retry the run: nothing answers until it is done."
    )


def _needs_a_champion(project: Project, planned: Deployment) -> str:
    return (
        f"Endpoint {planned.endpoint_name} has no champion on instances beside which a challenger could answer. "
        f"`passerelle promote {project.name}` makes one; an A/B test needs serving.profile real-time."
    )


def _component(
    place: RolloutPlace, project: Project, wanted: Request, served: Served | None, alarms: EndpointAlarms
) -> Request:
    """Return what the state machine is to do to the component: `action`, both requests, and the model to find after."""
    model, now = wanted["Specification"]["ModelName"], served.component if served else None
    found: Request = {"name": wanted["InferenceComponentName"], "model": model, "create": wanted, "action": "create"}
    if now is None:
        return found
    update = component_update(
        wanted, now, project.serving, alarms.names, longest_wait_seconds=place.longest_wait_seconds
    )
    return found | {"action": "none" if now.model_name == model else "update", "update": update}


def _watching_no_more(planned: Deployment, served: Served) -> list[str]:
    """Return the alarms of what serves now, where the planned model comes in its place."""
    if planned.component:
        if served.component is None or served.component.model_name == planned.model["ModelName"]:
            return []
        return list(alarm_names(planned.endpoint_name, served.component.model_name))
    if served.config_name == planned.endpoint["EndpointConfigName"]:
        return []
    return _watching(planned.endpoint_name, served)


def _watching(endpoint: str, served: Served) -> list[str]:
    """Return the alarms that watch what serves now: who stood alone, and both where somebody stands beside it."""
    configs = sorted({served.config_name, served.alone or served.config_name})
    tried = alarm_names(endpoint, served.config_name, SHADOW_VARIANT) if served.tries else ()
    return [*(name for config in configs for name in alarm_names(endpoint, config)), *tried]


def _alarms(place: RolloutPlace, project: Project, planned: Deployment) -> EndpointAlarms:
    model, component = planned.model["ModelName"], planned.component
    return _alarms_of(
        place,
        project,
        planned,
        config_name=model if component else planned.endpoint["EndpointConfigName"],
        component=component["InferenceComponentName"] if component else None,
    )


def _alarms_of(
    place: RolloutPlace,
    project: Project,
    planned: Deployment,
    *,
    config_name: str,
    variant: str = VARIANT,
    component: str | None = None,
) -> EndpointAlarms:
    return endpoint_alarms(
        project,
        endpoint=planned.endpoint_name,
        config_name=config_name,
        variant=variant,
        component=component,
        topic_arn=place.topic_arn,
        tags=planned.model["Tags"],
    )


def _both(
    place: RolloutPlace, project: Project, planned: Deployment, config: Request, *, watched: Sequence[str]
) -> Request:
    """Return the configuration of champion and challenger, with the alarms on those of whom callers get answers."""
    name = config["EndpointConfigName"]
    pairs = [_alarms_of(place, project, planned, config_name=name, variant=variant) for variant in watched]
    return {
        "config": config,
        "alarms": [request for pair in pairs for request in pair.requests],
        "names": [name for pair in pairs for name in pair.names],
    }


def _tried(place: RolloutPlace, project: Project, planned: Deployment, served: Served, trial: Experiment) -> Request:
    """Return the change by which a challenger answers some of the entities beside the champion."""
    config = ab_config(planned.endpoint_name, trial, served.variant, planned.endpoint_config)
    beside = {"EndpointName": planned.endpoint_name, "EndpointConfigName": config["EndpointConfigName"]}
    alone = {"EndpointName": planned.endpoint_name, "EndpointConfigName": served.alone}
    kept = keep_capacity(project.serving)
    return {
        "action": "none" if served.config_name == config["EndpointConfigName"] else "update",
        "change": {"phase": "experiment", "endpoint": beside | kept},
        "both": _both(place, project, planned, config, watched=(VARIANT, SHADOW_VARIANT)),
        "withdraw": {"phase": "withdraw", "endpoint": alone | kept},
    }


def _changes(
    place: RolloutPlace, project: Project, planned: Deployment, served: Served, alarms: EndpointAlarms
) -> Request:
    """Return `action`, the first `change`, and what may follow it."""
    serving, wait = project.serving, place.longest_wait_seconds
    instances = serving.profile == "real-time" and not served.serverless
    if planned.component:  # guardrails are for variants that have a model
        same = served.config_name == planned.endpoint["EndpointConfigName"]
        return {"action": "none" if same else "update", "change": {"phase": "serve", "endpoint": planned.endpoint}}
    kept = keep_capacity(serving) if instances else {}
    guarded = {"DeploymentConfig": deployment_config(serving, alarms.names, longest_wait_seconds=wait)}
    # A guardrail wants the variants' names to stay (API reference, UpdateEndpoint): a challenger in an A/B test leaves.
    guards = guarded if instances and not served.tries else {}
    serve = {"phase": "serve", "endpoint": planned.endpoint | kept | guards}
    if served.config_name == planned.endpoint["EndpointConfigName"]:
        return {"action": "none", "change": serve}
    if serving.shadow and serving.profile == "serverless":
        return _replayed(_judged_by(serving, serving.shadow), planned, served, serve)
    if not (serving.shadow and instances and served.alone):
        return {"action": "update", "change": serve}
    config = shadow_config(planned.endpoint_name, serving.shadow, served.variant, planned.endpoint_config)
    shadowed = {"EndpointName": planned.endpoint_name, "EndpointConfigName": config["EndpointConfigName"]}
    alone = {"EndpointName": planned.endpoint_name, "EndpointConfigName": served.alone}
    return {
        "action": "none" if served.config_name == config["EndpointConfigName"] else "update",
        "change": {"phase": "shadow", "endpoint": shadowed | kept},
        "both": _both(place, project, planned, config, watched=(VARIANT,)),
        "shadow": {
            "config": config,
            "wait_seconds": min(serving.shadow.hours * 3_600, wait),
            "longest_seconds": min(LONGEST_SHADOW_HOURS * 3_600, wait),
            **_judged_by(serving, serving.shadow),
        },
        "serve": serve,
        "withdraw": {"phase": "withdraw", "endpoint": alone | kept},
    }


def _judged_by(serving: Serving, shadow: Shadow) -> Request:
    return {"declared": shadow.model_dump(mode="json"), "limits": serving.rollout.alarms.model_dump(mode="json")}


def _replayed(judged_by: Request, planned: Deployment, served: Served, serve: Request) -> Request:
    """Return the changes of an endpoint that has no shadow variant: recorded requests are replayed before any."""
    stay = {"EndpointName": planned.endpoint_name, "EndpointConfigName": served.config_name}
    return {
        "action": "update",
        "change": serve,
        "shadow": {"replay": True, **judged_by},
        "serve": serve,
        "withdraw": {"phase": "withdraw", "endpoint": stay},
    }
