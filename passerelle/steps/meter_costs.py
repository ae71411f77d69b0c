"""Meter what things did cost: yesterday and so far today, or a day or a month that is asked for.

A day is written whole, with the same ids each time: who meters again replaces lines and doubles none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.ledger_files import LedgerFiles
from passerelle.aws.monitor_metrics import emit
from passerelle.aws.objects import Objects
from passerelle.contracts import metrics
from passerelle.contracts.ledger import OWN, Charge
from passerelle.domain.cost.ledger.days import Day, asked_days
from passerelle.domain.cost.ledger.forecast import month_forecast
from passerelle.domain.cost.ledger.sums import grouped, merged, total
from passerelle.errors import InputError
from passerelle.settings import MeterCostsSettings
from passerelle.steps.metered_charges import Meter, Metered
from passerelle.steps.project_source import deployed_projects

LOG: Final = logging.getLogger(__name__)
#: The forecast looks so many days back beyond the month.
_BEFORE: Final = 7


def meter_costs(
    request: dict[str, Any], settings: MeterCostsSettings, *, now: datetime | None = None
) -> dict[str, Any]:
    """Write the ledger of the days that are asked for, and tell CloudWatch what the month has cost.

    Raises InputError for a day that is none, TransientError when AWS does not answer: a later try writes the same.
    """
    moment = now or datetime.now(UTC)
    days = asked_days(request, moment)
    metered = Meter(settings).meter(days)
    ledger = LedgerFiles(Objects(client("s3")), settings.zones["reports"])
    written = _write(ledger, metered, days)
    _tell(ledger, settings, metered, moment.astimezone(UTC).date())
    found = total(metered.charges)
    for problem in metered.problems:
        LOG.error("not in the ledger: %s", problem)
    return {
        "outcome": "metered",
        "first": days[0].name,
        "last": days[-1].name,
        "files": written,
        "lines": found.lines,
        "unpriced": found.unknown,
        "usd": round(found.usd, 6),
        "broken": len(metered.problems),
        "problems": metered.problems[:20],
    }


def _write(ledger: LedgerFiles, metered: Metered, days: Iterable[Day]) -> int:
    """Write a file for each project and day that has lines; returns how many. One that cannot be read stays."""
    wanted, groups = {day.name for day in days}, dict[tuple[str, str], list[Charge]]()
    for charge in metered.charges:
        if charge.day in wanted:
            groups.setdefault((charge.project, charge.day), []).append(charge)
    written = 0
    for (project, day), charges in sorted(groups.items()):
        try:
            ledger.write(project, day, merged(ledger.read(project, day), charges))
            written += 1
        except InputError as error:
            metered.problems.append(f"{project}, {day}: {error}")
    return written


def _tell(ledger: LedgerFiles, settings: MeterCostsSettings, metered: Metered, today: date) -> None:
    """Tell what each project has cost, and all of it together; a project without lines has cost nothing."""
    whole: dict[str, float] = {}
    for project in [*deployed_projects(settings.environment), OWN]:
        try:
            by_day = _by_day(ledger, project, today)
        except InputError as error:
            metered.problems.append(f"{project}: {error}")
            continue
        for day, usd in by_day.items():
            whole[day] = whole.get(day, 0.0) + usd
        if project != OWN:
            emit(settings.environment, project, _values(by_day, today))
    emit(settings.environment, None, _values(whole, today))


def _by_day(ledger: LedgerFiles, project: str, today: date) -> dict[str, float]:
    first = today.replace(day=1) - timedelta(days=_BEFORE)
    days = [day for day in ledger.days(project) if str(first) <= day <= str(today)]
    return {day: found.usd for day, found in grouped(ledger.read_all(project, days), "day").items()}


def _values(by_day: dict[str, float], today: date) -> dict[str, float]:
    return {
        metrics.COST_OF_DAY: by_day.get(str(today - timedelta(days=1)), 0.0),
        metrics.COST_TO_DATE: sum(usd for day, usd in by_day.items() if day[:7] == str(today)[:7]),
        metrics.COST_FORECAST: month_forecast(by_day, today),
    }
