"""Every role of an environment, with what is needed of it."""

from __future__ import annotations

from collections import defaultdict

from tests.infra.iam.compare import TOLERATED, problems, with_keys
from tests.infra.iam.containers import container_needs
from tests.infra.iam.delivery import delivery_needs
from tests.infra.iam.functions import function_needs
from tests.infra.iam.jobs import job_needs
from tests.infra.iam.lending import lending_needs
from tests.infra.iam.needs import Need
from tests.infra.iam.program import Program
from tests.infra.iam.services import service_needs
from tests.infra.iam.spark import spark_needs
from tests.infra.iam.states import machine_needs
from tests.infra.iam.templates import Assembly, Grant


def needs_by_role(assembly: Assembly, program: Program) -> dict[str, list[Need]]:
    """Return the needs of every role by its ARN; a role that nothing uses needs nothing."""
    found: defaultdict[str, list[Need]] = defaultdict(list, {arn: [] for arn in assembly.roles()})
    for function in assembly.of_type("AWS::Lambda::Function"):
        found[function.properties["Role"]] += function_needs(assembly, program, function)
    for machine in assembly.of_type("AWS::StepFunctions::StateMachine"):
        found[machine.properties["RoleArn"]] += machine_needs(assembly, machine)
    for source in (
        job_needs(assembly, program),
        spark_needs(assembly, program),
        container_needs(assembly),
        service_needs(assembly),
        delivery_needs(assembly, program),
        lending_needs(assembly, program),
    ):
        for role, needs in source.items():
            found[role] += needs
    return {role: with_keys(needs, assembly) for role, needs in found.items()}


def grants_of(role: str, assembly: Assembly) -> list[Grant]:
    """Return what a role may do, but for what is tolerated; nothing for a role of nobody's."""
    if role not in assembly.roles():
        return []
    service = assembly.service_of(assembly.roles()[role])
    return [grant for grant in assembly.grants(role) if (grant.action, service) not in TOLERATED]


def all_problems(assembly: Assembly, program: Program) -> list[str]:
    """Return what is wrong with the roles of an environment, in words."""
    return [
        problem
        for role, needs in needs_by_role(assembly, program).items()
        for problem in problems(role.rpartition("/")[2], needs, grants_of(role, assembly))
    ]
