"""The role that an environment lends: what the other environment's function calls with it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from passerelle.contracts.zones import ZONES
from passerelle.settings import ImportRunSettings
from tests.infra.iam.functions import bucket_hints, parameters
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.needs import Need, needs_of
from tests.infra.iam.outside import LENT
from tests.infra.iam.program import Program
from tests.infra.iam.templates import Assembly
from tests.infra.iam.values import UNKNOWN

#: Which image trained a run stands in its record: any repository that is granted will do.
_BY_RECORD: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def lending_needs(assembly: Assembly, program: Program) -> dict[str, list[Need]]:
    """Return what the roles need that other accounts take on: the function there is followed with our resources."""
    found: dict[str, list[Need]] = {}
    for arn, role in assembly.roles().items():
        match = re.fullmatch(r"passerelle-([a-z0-9-]+)-models-for-([a-z0-9-]+)", str(role.properties.get("RoleName")))
        if match:
            found[arn] = _needs(match[1], match[2], assembly, program)
    return found


def _needs(source: str, taker: str, assembly: Assembly, program: Program) -> list[Need]:
    theirs = ImportRunSettings(
        environment=taker,
        runs_table="theirs",
        zones={zone: f"theirs-{zone}" for zone in ZONES},
        image_uri="theirs",
        carried_repository="registry/theirs",
        source_environment=source,
        source_account=assembly.account.number,
        source_region=assembly.account.region,
        reader_role_arn="theirs",
        poll_seconds=1,
    )
    calls = calls_of(
        program,
        "lambdas.import_run.handler",
        "handler",
        (("event", UNKNOWN), ("context", UNKNOWN)),
        environ=tuple(theirs.to_env().items()),
        parameters=parameters(assembly),
    )
    lent = [replace(call, service=call.service.removeprefix(LENT)) for call in calls if call.service.startswith(LENT)]
    needs = [need for call in lent for need in needs_of(call, assembly.account, bucket_hints(assembly))]
    return [replace(need, known=need.action not in _BY_RECORD) for need in needs]
