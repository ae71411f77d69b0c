"""What projects cost: their endpoints, which a state machine makes and no stack, and the jobs of their runs."""

from __future__ import annotations

from collections.abc import Iterator

from passerelle.domain.cost.estimate.families.learning import serverless
from passerelle.domain.cost.estimate.parts import HOURS, Component, Item
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError, Usage
from passerelle.domain.cost.instances import find_spot, instances
from passerelle.domain.project import Project

TYPE = "Passerelle::Project"
#: Expected and highest saving where nothing was read of an instance's family (proposed defaults for GPU families).
_SAVING, _MOST = 0.6, 0.7
_SPREAD = 0.1


def project_items(project: Project, *, region: str, prepare_instance_type: str, usage: Usage) -> Iterator[Item]:
    """Yield the stages of a project: what serves it, and what its runs take a month."""
    used = usage.of(TYPE, (project.name, f"projects/{project.name}"))
    place = Resource(project.name, TYPE, {}, region, used, lambda _: None)
    stages = {
        "serve": _serve(project, place),
        "prepare": _job(place, "prepare_hours", "SageMaker Processing", prepare_instance_type),
        "train": _train(project, place),
        "evaluate": _job(place, "evaluate_hours", "SageMaker Processing", project.training.instance_type),
    }
    tags = {"passerelle:project": project.name, "passerelle:cost-centre": project.budget.cost_centre}
    for stage, parts in stages.items():
        components: list[Component] = []
        reasons: list[str] = []
        try:
            components.extend(parts)
        except UnpricedError as error:
            reasons.append(str(error))
        yield Item(
            stack="projects",
            stage=stage,
            name=project.name,
            type=TYPE,
            components=tuple(components),
            reasons=tuple(reasons),
            tags=tags,
        )


def _serve(project: Project, place: Resource) -> Iterator[Component]:
    serving = project.serving
    if serving.profile == "serverless":
        warm = serving.provisioned_concurrency or 0
        yield from serverless(place, "endpoint", memory_mb=serving.memory_mb, warm=warm)
        return
    count = serving.least_instances
    rate = place.instance("SageMaker Hosting", serving.instance_type)
    yield Component(name=f"endpoint: {count} × {serving.instance_type}", quantity=count * HOURS, rate=rate)


def _job(place: Resource, key: str, component: str, instance_type: str) -> Iterator[Component]:
    hours = place.used("monthly_runs") * place.used(key)
    rate = place.instance(component, instance_type)
    yield Component(name=f"jobs on {instance_type}", quantity=hours, rate=rate, usage=True)


def _train(project: Project, place: Resource) -> Iterator[Component]:
    """Spot takes off what EC2's did, as SageMaker publishes none; the highest is always the price on demand."""
    (job,) = _job(place, "train_hours", "SageMaker Training", project.training.instance_type)
    low, expected = spot_shares(project.training.instance_type, place.region) if project.training.spot else (1.0, 1.0)
    name = f"{job.name}{', spot' if project.training.spot else ''}"
    yield Component(name=name, quantity=job.quantity, rate=job.rate, usage=True, low=low, expected=expected)


def spot_shares(instance_type: str, region: str) -> tuple[float, float]:
    """Return which shares of the price on demand spot takes, at best and as expected."""
    known = next((item for item in instances() if item.instance_type == instance_type), None)
    spot = find_spot(known, region) if known else None
    if spot is None:
        return 1 - _MOST, 1 - _SAVING
    return max(0.1, 1 - spot.saving - _SPREAD), 1 - spot.saving
