"""The sections of an environment's configuration about data at rest, alerts and money, with their rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from infra.config_parts import Part
from passerelle.contracts.zones import ZONES

#: Later runs read these again: earlier files with each new drop, the champion at each gate.
READ_AGAIN: Final = ("raw", "curated", "models")
_ADDRESS: Final = re.compile(r"[^@\s,;<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")

Days = Annotated[int, Field(ge=1, le=3_650)]


class Lifecycle(Part):
    """Days after which a zone's old versions go, and its objects (None: never)."""

    noncurrent_days: Days
    expire_days: Days | None = None


class Data(Part):
    """What is kept how long, and how much one query may read.

    Athena is paid by the bytes that a query reads, 5 USD per TB; one that would read more than `athena_scan_limit_gb`
    is cancelled, and costs what it has read until then. Its answers are kept for `query_results_days`.
    """

    # Athena's own least limit is 10 MB (API reference, WorkGroupConfiguration).
    athena_scan_limit_gb: Annotated[float, Field(ge=0.01, le=100_000)]
    query_results_days: Annotated[int, Field(ge=1, le=365)]
    lifecycle: Mapping[str, Lifecycle]

    @field_validator("lifecycle")
    @classmethod
    def _every_zone(cls, value: Mapping[str, Lifecycle]) -> Mapping[str, Lifecycle]:
        missing, strange = set(ZONES) - set(value), set(value) - set(ZONES)
        if missing or strange:
            raise ValueError(
                f"every zone has its lifecycle: missing {', '.join(sorted(missing)) or 'none'}, "
                f"unknown {', '.join(sorted(strange)) or 'none'}"
            )
        for zone in READ_AGAIN:
            if value[zone].expire_days is not None:
                raise ValueError(f"{zone}.expire_days: later runs read this zone again; only its old versions may go")
        return value


class AlertAddresses(Part):
    """Who gets mail: at once, at any hour (`page`), or in the course of the day (`notify`).

    AWS sends each address a mail to confirm first. A chat or a pager subscribes to the topics themselves.
    """

    page: tuple[str, ...]
    notify: tuple[str, ...]

    @field_validator("page", "notify")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no e-mail address")
        if len({address.lower() for address in value}) != len(value):
            raise ValueError("an address is named twice: it would get every mail twice")
        return value


class CostWaiver(Part):
    """Somebody's word that the estimate may go up to so much until the end of a day, and why.

    `project` for that project's own budget, None for the environment's.
    """

    up_to_usd: Annotated[float, Field(gt=0)]
    name: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=10)]
    expires: date
    project: str | None = None


class EnvironmentBudget(Part):
    """What the whole environment may cost a month, when to tell, and who has accepted more for a while (`waivers`).

    `actual_percents` of the budget are told when they are spent, `forecast_percent` when the month is likely to end
    there. AWS updates costs several times a day, not at once. `anomaly_usd` is the least impact of an unusual cost
    that is told.
    """

    monthly_usd: Annotated[float, Field(gt=0)]
    # A budget has at most five notifications (CloudFormation, AWS::Budgets::Budget); one is the forecast.
    actual_percents: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] = Field(min_length=1, max_length=4)
    forecast_percent: Annotated[int, Field(ge=1, le=1_000)]
    anomaly_usd: Annotated[float, Field(gt=0)]
    waivers: tuple[CostWaiver, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.actual_percents) != sorted(set(self.actual_percents)):
            raise ValueError(f"actual_percents: {list(self.actual_percents)} must rise, without repetition")
        return self
