"""Which service quotas an environment and its projects need, by the names that Service Quotas gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.domain.preflight.environment import Environment, Tracking
from passerelle.domain.preflight.finding import Finding
from passerelle.domain.project import Project

#: SageMaker's names for quotas per instance type (Service Quotas console, "Amazon SageMaker").
TRAINING: Final = "{} for training job usage"
SPOT_TRAINING: Final = "{} for spot training job usage"
#: 0 in new accounts (SageMaker developer guide, "Train Using SageMaker Managed Warm Pools").
WARM_POOL: Final = "{} for training warm pool usage"
PROCESSING: Final = "{} for processing job usage"
ENDPOINT: Final = "{} for endpoint usage"
SERVERLESS_CONCURRENCY: Final = "Maximum total concurrency that can be allocated across all serverless endpoints"
SERVERLESS_ENDPOINTS: Final = "Maximum number of serverless endpoints"
#: New accounts have 10 (Lambda developer guide, "Lambda quotas"); throttled events are tried again for six hours.
LAMBDA_CONCURRENCY: Final = "Concurrent executions"
FARGATE: Final = "Fargate On-Demand vCPU resource count"
FARGATE_SPOT: Final = "Fargate Spot vCPU resource count"
VPCS: Final = "VPCs per Region"
ELASTIC_IPS: Final = "EC2-VPC Elastic IPs"
#: New accounts may have none; a build of an image then fails at once (CodeBuild user guide, "Quotas").
X86_BUILDS: Final = "Concurrently running builds for Linux/Small environment"
ARM_BUILDS: Final = "Concurrently running builds for ARM/Small environment"
#: 16 in new accounts (EMR Serverless user guide, "Endpoints and quotas"); a job that needs more of them fails.
SPARK_VCPUS: Final = "Max concurrent vCPUs per account"
#: The driver and three executors, with which a job begins.
SPARK_FIRST_VCPUS: Final = 16
#: The task that brings MLflow's schema up to date: 256 CPU units, always on demand.
SCHEMA_TASK_VCPU: Final = 0.25
#: Functions at work at once: those of the platform, and of each project's run and deployment.
LAMBDA_BASE: Final = 10
LAMBDA_PER_PROJECT: Final = 5


@dataclass(frozen=True)
class Quota:
    """A quota as Service Quotas tells it."""

    name: str
    code: str
    value: float
    adjustable: bool = True


@dataclass(frozen=True, kw_only=True)
class QuotaNeed:
    """Below `at_least` something fails; below `better` something waits, or fails in the worst case."""

    service: str
    name: str
    at_least: float
    better: float
    why: str
    instead: str = ""


def quota_needs(environment: Environment, projects: Sequence[Project], *, vpcs: int, addresses: int) -> list[QuotaNeed]:
    """Return every need, one per quota.

    Parameters
    ----------
    vpcs, addresses : int
        VPCs and elastic addresses that the region already has beside this environment's own.
    """
    return [
        *_of_jobs(environment, projects),
        *_of_endpoints(projects),
        *_of_serverless(projects),
        *_of_platform(environment, projects, vpcs, addresses),
    ]


def _of_jobs(environment: Environment, projects: Sequence[Project]) -> Iterator[QuotaNeed]:
    if projects:
        names = ", ".join(project.name for project in projects)
        yield QuotaNeed(
            service="sagemaker",
            name=PROCESSING.format(environment.prepare_instance_type),
            at_least=1,
            better=len(projects),
            why=f"prepares and evaluates {names}",
            instead=f"set prepare_instance_type in environments/{environment.name}.yaml to a type with a quota",
        )
    ways = [way for project in projects for way in _training_ways(project)]
    for name in dict.fromkeys(way.quota for way in ways):
        users = [way for way in ways if way.quota == name]
        first = any(way.first for way in users)
        spot = "set training.spot: false, or " if "spot" in name else ""
        yield QuotaNeed(
            service="sagemaker",
            name=name,
            at_least=1 if first else 0,
            better=sum(way.most for way in users),
            why="; ".join(dict.fromkeys(way.why for way in users)),
            instead=f"{spot}take another training.instance_type in project.yaml"
            if first
            else "take it out of the project's training",
        )


@dataclass(frozen=True)
class _TrainingWay:
    """One quota that a project's training may use, `most` instances at a time; `first` when no run can do without."""

    quota: str
    first: bool
    why: str
    most: int = 1


def _training_ways(project: Project) -> Iterator[_TrainingWay]:
    """Yield what training starts with, and where it goes on (`passerelle.domain.training_tries`)."""
    training, name = project.training, project.name
    pattern = SPOT_TRAINING if training.spot else TRAINING
    how = " on managed spot" if training.spot else ""
    yield _TrainingWay(pattern.format(training.instance_type), True, f"trains {name}{how}")
    if training.tuning and training.tuning.engine != "job":
        # The training job itself begins when its search is over.
        most = max(0, min(training.tuning.parallel, training.tuning.trials) - 1)
        why = f"tries {most + 1} parameters of {name} at a time"
        yield _TrainingWay(pattern.format(training.instance_type), False, why, most)
    for other in training.fallback_instance_types:
        yield _TrainingWay(pattern.format(other), False, f"trains {name}{how} without capacity for the first type")
    if training.spot and training.on_demand_after_interruptions is not None:
        for each in training.instance_types:
            yield _TrainingWay(TRAINING.format(each), False, f"trains {name} on demand when spot is taken away")
    if training.keep_alive_minutes:
        yield _TrainingWay(WARM_POOL.format(training.instance_type), True, f"keeps instances of {name} warm")


def _of_endpoints(projects: Sequence[Project]) -> Iterator[QuotaNeed]:
    """Blue/green updates run the old fleet and the new one side by side (SageMaker guide, "Blue/Green Deployments")."""
    real_time = [(p.serving.instance_type, p) for p in projects if p.serving.profile == "real-time"]
    for instance_type, users in _grouped(real_time).items():
        counts = [project.serving.most_instances for project in users]
        yield QuotaNeed(
            service="sagemaker",
            name=ENDPOINT.format(instance_type),
            at_least=sum(counts),
            better=sum(counts) + max(counts),
            why=f"serves {', '.join(project.name for project in users)}, and both fleets during an update",
            instead="take another serving.instance_type, or serving.profile: serverless, in project.yaml",
        )


def _of_serverless(projects: Sequence[Project]) -> Iterator[QuotaNeed]:
    users = [project for project in projects if project.serving.profile == "serverless"]
    if not users:
        return
    names = ", ".join(project.name for project in users)
    total = sum(project.serving.max_concurrency for project in users)
    yield QuotaNeed(
        service="sagemaker",
        name=SERVERLESS_CONCURRENCY,
        at_least=total,
        better=total,
        why=f"serving.max_concurrency of {names} together",
        instead="lower serving.max_concurrency in project.yaml",
    )
    yield QuotaNeed(
        service="sagemaker", name=SERVERLESS_ENDPOINTS, at_least=len(users), better=len(users), why=f"serves {names}"
    )


def _of_platform(
    environment: Environment, projects: Sequence[Project], vpcs: int, addresses: int
) -> Iterator[QuotaNeed]:
    functions = LAMBDA_BASE + LAMBDA_PER_PROJECT * len(projects)
    yield QuotaNeed(
        service="lambda", name=LAMBDA_CONCURRENCY, at_least=1, better=functions, why="functions at work at once"
    )
    if environment.spark:
        yield QuotaNeed(
            service="emr-serverless",
            name=SPARK_VCPUS,
            at_least=SPARK_FIRST_VCPUS,
            better=environment.spark.maximum_vcpus,
            why="prepares what is too large for one machine",
            instead=f"lower spark.maximum_vcpus in environments/{environment.name}.yaml",
        )
    if environment.images.source == "codebuild":
        images = [(X86_BUILDS, "training"), *([(ARM_BUILDS, "tracking")] if environment.tracking else [])]
        for name, image in images:
            yield QuotaNeed(
                service="codebuild", name=name, at_least=1, better=1, why=f"builds the {image} image at deployment"
            )
    if environment.tracking:
        yield from _of_fargate(environment.tracking)
    if environment.network:
        yield QuotaNeed(
            service="vpc", name=VPCS, at_least=vpcs + 1, better=vpcs + 1, why=f"{vpcs} others and this environment's"
        )
        gateways = environment.network.nat_gateways if environment.network.egress == "nat" else 0
        if gateways:
            total = addresses + gateways
            yield QuotaNeed(
                service="ec2",
                name=ELASTIC_IPS,
                at_least=total,
                better=total,
                why=f"{addresses} others, and one for each of {gateways} NAT gateways",
                instead="lower network.nat_gateways, or choose network.egress: endpoints",
            )


def _of_fargate(tracking: Tracking) -> Iterator[QuotaNeed]:
    """A rolling update runs old and new tasks together (max_healthy_percent 200)."""
    server = tracking.cpu / 1024 * tracking.tasks
    on_demand = SCHEMA_TASK_VCPU + (0 if tracking.spot else server)
    yield QuotaNeed(
        service="fargate",
        name=FARGATE,
        at_least=on_demand,
        better=on_demand + (0 if tracking.spot else server),
        why="vCPU of MLflow's schema task" + ("" if tracking.spot else " and of its server, twice during an update"),
    )
    if tracking.spot:
        yield QuotaNeed(
            service="fargate",
            name=FARGATE_SPOT,
            at_least=server,
            better=server * 2,
            why="vCPU of MLflow's server, twice during an update",
            instead="set tracking.spot: false",
        )


def _grouped(pairs: Sequence[tuple[str, Project]] | Iterator[tuple[str, Project]]) -> dict[str, list[Project]]:
    found: dict[str, list[Project]] = {}
    for key, project in pairs:
        found.setdefault(key, []).append(project)
    return found


def judge_quota(need: QuotaNeed, quotas: Mapping[str, Quota], region: str) -> Finding:
    """Compare a need with what the account has.

    Parameters
    ----------
    quotas : every quota of the service, by its name in lower case (`by_name`).
    """
    name = f"Quota: {need.name}"
    quota = quotas.get(need.name.lower())
    if quota is None:
        return _unknown(need, quotas, region)
    found = f"{quota.value:g}, needed {need.at_least:g} ({need.why})"
    if quota.value < need.at_least:
        return Finding(name, "missing", found, _raise(need, quota, region, need.at_least))
    if quota.value < need.better:
        found = f"{quota.value:g}; {need.better:g} would do for everything at once ({need.why})"
        return Finding(name, "warning", found, _raise(need, quota, region, need.better))
    return Finding(name, "ok", found)


def _raise(need: QuotaNeed, quota: Quota, region: str, value: float) -> str:
    instead = f" Or {need.instead}." if need.instead else ""
    if not quota.adjustable:
        return f"AWS does not raise this quota.{instead}"
    return (
        f"aws service-quotas request-service-quota-increase --region {region} --service-code {need.service} "
        f"--quota-code {quota.code} --desired-value {_whole(value)} (often granted within a day).{instead}"
    )


def _whole(value: float) -> int:
    return int(-(-value // 1))


def _unknown(need: QuotaNeed, quotas: Mapping[str, Quota], region: str) -> Finding:
    """A type without any quota is not offered; one without this quota may be named otherwise."""
    name, instead = f"Quota: {need.name}", f" Or {need.instead}." if need.instead else ""
    instance_type = need.name.split(" ")[0]
    if instance_type.startswith("ml.") and quotas and not any(key.startswith(f"{instance_type} ") for key in quotas):
        remedy = f"Choose a type that {region} offers.{instead}"
        return Finding(
            name, "missing", f"SageMaker has no quota for {instance_type} in {region}: not offered there", remedy
        )
    return Finding(
        name,
        "warning",
        f"Service Quotas lists none of this name in {region} ({need.why})",
        f"Look for it in the Service Quotas console, service {need.service}.{instead}",
    )


def by_name(quotas: Sequence[Quota]) -> dict[str, Quota]:
    """Return quotas by name in lower case; of two with one name, the first (the account's own before the default)."""
    found: dict[str, Quota] = {}
    for quota in quotas:
        found.setdefault(quota.name.strip().lower(), quota)
    return found
