"""What the command line reads of the ledger, and asks for: metering a day or a month now."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from passerelle.aws.deployed import DeployedPlatform, refusals_translated
from passerelle.aws.ledger_files import LedgerFiles
from passerelle.aws.objects import Objects
from passerelle.contracts.ledger import OWN, Charge
from passerelle.domain.cost.ledger.idle import WINDOW_DAYS
from passerelle.errors import InputError, JobFailedError

#: The function may take a quarter of an hour.
_PATIENCE_SECONDS: Final = 910


def read_ledger(platform: DeployedPlatform, project: str | None, month: str) -> list[Charge]:
    """Return the lines of a month (`yyyy-mm`) of a project, or of all projects and the platform's own."""
    if project not in (None, OWN):
        platform.need_project(str(project))
    return _read(platform, project, lambda day: day.startswith(month))


def read_fortnight(platform: DeployedPlatform, project: str | None, last: date) -> list[Charge]:
    """Return the lines of the fortnight that ends with a day, by which endpoints are idle or not."""
    first, end = str(last - timedelta(days=WINDOW_DAYS - 1)), str(last)
    return _read(platform, project, lambda day: first <= day <= end)


def _read(platform: DeployedPlatform, project: str | None, wanted: Callable[[str], bool]) -> list[Charge]:
    names = [project] if project else [*platform.projects(), OWN]
    with refusals_translated(platform.environment):
        ledger = LedgerFiles(Objects(platform.client("s3")), platform.resource("reports-bucket"))
        return [charge for name in names for charge in ledger.read_all(name, filter(wanted, ledger.days(name)))]


def meter_now(platform: DeployedPlatform, request: dict[str, str]) -> dict[str, Any]:
    """Let the platform meter a day or a month, and wait for it; returns what it did.

    Raises InputError for what is no day or month, JobFailedError where metering fails.
    """
    with refusals_translated(platform.environment):
        answer = platform.patient_client("lambda", _PATIENCE_SECONDS).invoke(
            FunctionName=platform.resource("meter-costs"), Payload=json.dumps(request).encode()
        )
    told = json.loads(answer["Payload"].read() or b"{}")
    if "FunctionError" not in answer:
        return dict(told)
    message = str(told.get("errorMessage", told))
    if told.get("errorType") == "InputError":
        raise InputError(message)
    raise JobFailedError(f"Metering failed: {message}. `passerelle logs lambda meter_costs` shows why.")
