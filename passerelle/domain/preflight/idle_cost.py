"""What an environment costs while nothing happens, from the price table, against its projects' budgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.prices import Price, find_price, instance_price
from passerelle.domain.preflight.environment import Environment, Network, Tracking
from passerelle.domain.preflight.finding import Finding
from passerelle.domain.project import Project

HOURS: Final = 730
_WEEK_HOURS: Final = 168
#: Interface endpoints: of functions always, of Fargate and of sessions with `network.egress: endpoints`.
FUNCTION_ENDPOINTS: Final = 1
FARGATE_ENDPOINTS: Final = 3
SESSION_ENDPOINTS: Final = 1
#: MLflow's administrator, the pipeline's user, MLflow's sessions, the database's password.
SECRETS: Final = 4
KEYS: Final = 1
#: A stopped database starts a quarter of an hour before the server and stops ten minutes after it.
_DATABASE_EXTRA_HOURS_A_DAY: Final = 25 / 60


@dataclass(frozen=True)
class CostLine:
    """`usd` a month, None when no price is known."""

    what: str
    quantity: float
    unit: str
    usd: float | None


def platform_lines(environment: Environment) -> list[CostLine]:
    """Return what the environment itself costs a month, idle. Not counted: alarms, logs, stored data, traffic."""
    region = environment.region
    lines = [_line("Encryption key", KEYS, "key-month", _price("KMS", region, "customer key", "EUW3-KMS-Keys"))]
    if environment.network:
        lines += _network(environment.network, environment.tracking, region)
    if environment.tracking:
        lines += _server(environment.tracking, environment.network, region)
        lines += _database(environment.tracking, region)
        secret = _price("Secrets Manager", region, "secret", "EUW3-AWSSecretsManager-Secrets")
        lines.append(_line("Secrets", SECRETS, "secret-month", secret))
    return lines


def endpoint_line(project: Project, region: str) -> CostLine | None:
    """Return what a project's endpoint costs a month without a request; None for serverless that is not kept warm."""
    serving = project.serving
    if serving.profile == "serverless":
        warm = serving.provisioned_concurrency
        # AWS publishes no machine-readable price of it that could be read: listed as unpriced.
        what = f"Provisioned concurrency of {project.name} ({warm} × {serving.memory_mb} MB)"
        return _line(what, warm * HOURS, "environment-hour", None) if warm else None
    price = instance_price("SageMaker Hosting", serving.instance_type, region)
    what = f"Endpoint of {project.name} ({serving.least_instances} × {serving.instance_type})"
    return _line(what, serving.least_instances * HOURS, "instance-hour", price)


def _network(network: Network, tracking: Tracking | None, region: str) -> Iterator[CostLine]:
    endpoints = FUNCTION_ENDPOINTS
    if network.egress == "endpoints":
        behind_door = tracking is not None and tracking.certificate_arn is not None
        endpoints += FARGATE_ENDPOINTS + (0 if behind_door else SESSION_ENDPOINTS)
    doors = endpoints * network.endpoint_zones
    price = _price("Interface VPC endpoint", region, "per AZ", "EUW3-VpcEndpoint-Hours")
    yield _line(f"Interface endpoints ({endpoints}, zones: {network.endpoint_zones})", doors * HOURS, "hour", price)
    if network.egress == "nat":
        price = _price("NAT gateway", region, "NatGateway-Hours", "EUW3-NatGateway-Hours")
        yield _line("NAT gateways", network.nat_gateways * HOURS, "hour", price)
        yield _line("Their public addresses", network.nat_gateways * HOURS, "hour", _address(region))


def _server(tracking: Tracking, network: Network | None, region: str) -> Iterator[CostLine]:
    hours = tracking.tasks * _hours(tracking)
    # Fargate Spot's price moves, but never above that on demand.
    note = " (spot: at most)" if tracking.spot else ""
    cpu = _price("Fargate Linux ARM", region, "Fargate-ARM-vCPU-Hours")
    memory = _price("Fargate Linux ARM", region, "Fargate-ARM-GB-Hours")
    yield _line(f"MLflow's processors{note}", hours * tracking.cpu / 1024, "vCPU-hour", cpu)
    yield _line(f"MLflow's memory{note}", hours * tracking.memory_mib / 1024, "GB-hour", memory)
    if network and network.egress == "public-egress":
        yield _line("MLflow's public addresses", hours, "hour", _address(region))
    if tracking.certificate_arn:
        price = _price("ALB", region, "LoadBalancerUsage", "EUW3-LoadBalancerUsage")
        yield _line("Load balancer", HOURS, "hour", price)
        if tracking.oidc and network:
            yield _line("Its public addresses", len(network.zones) * HOURS, "hour", _address(region))


def _database(tracking: Tracking, region: str) -> Iterator[CostLine]:
    zones = "Multi-AZ" if tracking.multi_az else "Single-AZ"
    name = f"db.{tracking.database_instance} {zones}"
    price = _price("RDS PostgreSQL", region, name, f"EUW3-InstanceUsage:{name}")
    yield _line(f"Database {name}", _hours(tracking, _DATABASE_EXTRA_HOURS_A_DAY), "hour", price)
    single = () if tracking.multi_az else ("gp3 storage", "EUW3-RDS:GP3-Storage")
    price = _price("RDS PostgreSQL", region, f"gp3 storage {zones}", *single)
    yield _line(f"Its storage {zones}", tracking.storage_gb, "GB-month", price)


def _hours(tracking: Tracking, extra_hours_a_day: float = 0.0) -> float:
    if tracking.hours is None:
        return HOURS
    week = 5 * (tracking.hours.stop - tracking.hours.start + extra_hours_a_day)
    return HOURS * min(week / _WEEK_HOURS, 1.0)


def _address(region: str) -> Price | None:
    return _price("VPC public IPv4", region, "in use or idle", "in use", "EUW3-PublicIPv4:InUseAddress")


def _price(service: str, region: str, *names: str) -> Price | None:
    """Regions name one thing differently in the price table."""
    return next((price for name in names if (price := find_price(service, region, name))), None)


def _line(what: str, quantity: float, unit: str, price: Price | None) -> CostLine:
    return CostLine(what, quantity, unit, None if price is None else quantity * price.usd)


def judge_cost(environment: Environment, projects: Sequence[Project]) -> Iterator[Finding]:
    """Compare each project's endpoint with its own budget, and everything with all budgets together."""
    endpoints = {project.name: endpoint_line(project, environment.region) for project in projects}
    for project in projects:
        yield _judge_budget(project, endpoints[project.name])
    lines = [*platform_lines(environment), *(line for line in endpoints.values() if line)]
    total = sum(line.usd or 0.0 for line in lines)
    unknown = [line.what for line in lines if line.usd is None]
    budget = sum(project.budget.monthly_usd for project in projects)
    found = f"{'at least ' if unknown else 'about '}{total:.2f} USD a month, budgets of all projects {budget:.2f}"
    remedy = []
    if projects and total > budget:
        remedy.append(
            "Budgets do not carry the platform: raise budget.monthly_usd, serve serverless, or choose a cheaper "
            "network.egress or tracking.hours."
        )
    if unknown:
        remedy.append(f"No price is known for: {', '.join(unknown)}.")
    yield Finding(
        "Idle cost", "warning" if remedy else "ok", found, " ".join(remedy), tuple(_shown(line) for line in lines)
    )


def _judge_budget(project: Project, line: CostLine | None) -> Finding:
    name, budget = f"Budget: {project.name}", project.budget.monthly_usd
    if line is None:
        return Finding(name, "ok", f"serverless, costs nothing idle; {budget:.2f} USD a month to spend")
    if line.usd is None:
        return Finding(
            name, "warning", f"no price is known for {line.what}",
            "Look at https://aws.amazon.com/sagemaker/pricing/ before you deploy.",
        )  # fmt: skip
    found = f"{line.what}: {line.usd:.2f} of {budget:.2f} USD a month"
    remedy = "Raise budget.monthly_usd, serve serverless, or take a smaller serving.instance_type in project.yaml."
    return Finding(name, "missing", found, remedy) if line.usd > budget else Finding(name, "ok", found)


def _shown(line: CostLine) -> str:
    usd = "no known price" if line.usd is None else f"{line.usd:.2f} USD"
    return f"{line.what}: {line.quantity:,.0f} {line.unit}, {usd}"
