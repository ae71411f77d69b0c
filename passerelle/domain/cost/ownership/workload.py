"""The workload file: what both sides must do, and what is known of them better than by default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from passerelle.domain.cost.ownership.amounts import (
    Amount,
    Growth,
    NotNegative,
    Overhead,
    Positive,
    PositiveRange,
    Share,
    ShareRange,
)
from passerelle.domain.cost.ownership.machines import cloud_findings, gpu_model
from passerelle.domain.project.findings import Finding
from passerelle.domain.project.located import Kind, explain, fail, read_mapping
from passerelle.domain.project.part import Part
from passerelle.errors import InputError

#: What AWS and everybody else counts a month as.
MONTH_HOURS: Final = 730.0
CURRENCIES: Final = ("USD", "EUR")
#: The only GPU of whose servers figures.csv has a price and a power.
_KNOWN_GPU: Final = "H100"
_WEEKDAYS: Final = 5
_WEEKEND: Final = 2
_DAY_HOURS: Final = 24

Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Hourly = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=24, max_length=24)]

_KIND: Final = Kind(
    name="workload",
    fields="name, years, need, use, cloud, owned",
    empty="docs/on-premise/gpu.yaml and cpu.yaml are examples.",
    error=InputError,
)


class Need(Part):
    """What must be there at once when the work runs: so many GPUs, or so many vCPUs."""

    gpus: Count | None = None
    vcpus: Count | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Need:
        if (self.gpus is None) == (self.vcpus is None):
            raise ValueError("needs one of gpus and vcpus")
        return self

    @property
    def unit(self) -> Literal["gpu", "cpu"]:
        """What is counted."""
        return "gpu" if self.gpus else "cpu"

    @property
    def count(self) -> int:
        """How many of them."""
        return self.gpus or self.vcpus or 0


class Requests(Part):
    """Work as requests: how many a month, and how many a second the whole need answers."""

    a_month: PositiveRange
    a_second: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Profile(Part):
    """Which share of the need is busy in each of the 24 hours of a day; `spread` says how far off that may be."""

    weekday: Hourly
    weekend: Hourly
    spread: PositiveRange = Amount(low=0.75, expected=1, high=1.25)

    @property
    def mean(self) -> float:
        """The share over a week."""
        busy = _WEEKDAYS * sum(self.weekday) + _WEEKEND * sum(self.weekend)
        return busy / ((_WEEKDAYS + _WEEKEND) * _DAY_HOURS)


class Use(Part):
    """How long the need is busy, in the first year: one of four ways to say it."""

    utilisation: ShareRange | None = None
    hours_a_month: PositiveRange | None = None
    requests: Requests | None = None
    profile: Profile | None = None
    growth_a_year: Growth = Amount(low=0, expected=0, high=0)

    @model_validator(mode="after")
    def _said_once(self) -> Use:
        ways = ("utilisation", "hours_a_month", "requests", "profile")
        if sum(getattr(self, way) is not None for way in ways) != 1:
            raise ValueError(f"needs one of {', '.join(ways)}")
        busy = self.busy
        if not 0 < busy.low <= busy.high <= 1:
            raise ValueError(
                f"the need would be busy {100 * busy.low:.3g} to {100 * busy.high:.3g} % of {MONTH_HOURS:.0f} hours a "
                "month: it must be above 0 and at most 100 %; raise `need`, or lower what it does"
            )
        return self

    @property
    def busy(self) -> Amount:
        """The share of all hours in which the need is busy, in the first year."""
        if self.hours_a_month:
            return _scaled(self.hours_a_month, 1 / MONTH_HOURS)
        if self.requests:
            return _scaled(self.requests.a_month, 1 / (self.requests.a_second * 3600 * MONTH_HOURS))
        if self.profile:
            return _scaled(self.profile.spread, self.profile.mean)
        assert self.utilisation
        return self.utilisation


def _scaled(amount: Amount, factor: float) -> Amount:
    ends = {name: getattr(amount, name) * factor for name in ("low", "expected", "high")}
    return amount.model_copy(update=ends)


class Cloud(Part):
    """The rented side. `ml.` types are SageMaker's, all others EC2's on demand; prices come from the price table.

    `always_on`: every hour is paid, as by a real-time endpoint, and not only busy ones. `savings_plan` is its rate for
    an instance-hour: AWS publishes it per account and term, so it is unknown until it is given.
    """

    region: str = Field(min_length=1)
    instance_type: str = Field(min_length=1)
    component: Literal["Training", "Processing", "Hosting"] = "Training"
    gpus: Count | None = None
    vcpus: Count | None = None
    always_on: bool = False
    spot: bool = True
    price_change: Positive | None = None
    spot_saving: Share | None = None
    spot_lost_hours: NotNegative | None = None
    savings_plan: Positive | None = None
    other_per_month: NotNegative | None = None


class Server(Part):
    """One owned machine; `price` is a quote without tax, `kw` what it draws under load."""

    gpus: Count | None = None
    vcpus: Count | None = None
    price: Positive | None = None
    kw: Positive | None = None


class Owned(Part):
    """The owned side; what is left out comes from figures.csv. Colocation is asked for: sources differ widely."""

    server: Server
    colocation_per_kw_month: PositiveRange
    colocation_includes_power: bool = False
    residual_share: Share | None = None
    spares_share: NotNegative | None = None
    maintenance_share: NotNegative | None = None
    network_per_server_month: NotNegative | None = None
    pue: Overhead | None = None
    electricity_per_kwh: Positive | None = None
    idle_power_share: Share | None = None
    fte: NotNegative | None = None
    fte_per_year: Positive | None = None
    interest_rate: Share | None = None


class Workload(Part):
    """What is compared: the same work for the same years, all money in one currency."""

    name: str = Field(min_length=1)
    currency: str = "USD"
    usd_per_eur: Positive | None = None
    years: Annotated[int, Field(ge=1, le=10, strict=True)]
    need: Need
    use: Use
    cloud: Cloud
    owned: Owned

    @field_validator("currency")
    @classmethod
    def _is_converted(cls, currency: str) -> str:
        if currency not in CURRENCIES:
            raise ValueError(
                f"only {' and '.join(CURRENCIES)} are converted (got {currency!r}); convert your figures to one of them"
            )
        return currency


def load_workload(text: str, *, source: str) -> Workload:
    """Return the workload that a YAML text declares.

    Parameters
    ----------
    text : the file's content.
    source : the file's name, for messages.

    Raises
    ------
    InputError : one line per problem, `source:line: field: what is wrong; what would be right`.
    """
    document, node = read_mapping(text, source=source, kind=_KIND)
    try:
        workload = Workload.model_validate(document)
    except ValidationError as error:
        found: Sequence[Finding] = [explain(item, Workload) for item in error.errors()]
        fail(source, node, found, _KIND)
    if problems := list(_findings(workload)):
        fail(source, node, problems, _KIND)
    return workload


def _findings(workload: Workload) -> Iterator[Finding]:
    """Yield what does not fit together."""
    cloud, server, need = workload.cloud, workload.owned.server, workload.need
    field = "gpus" if need.unit == "gpu" else "vcpus"
    if getattr(server, field) is None:
        yield ("owned", "server", field), f"is missing: the need is in {field}, so how many has one server?"
    given = cloud.gpus if need.unit == "gpu" else cloud.vcpus
    for path, words in cloud_findings(cloud.region, cloud.instance_type, need.unit, given):
        yield ("cloud", path), words
    if need.unit == "gpu" and (model := gpu_model(cloud.instance_type)) != _KNOWN_GPU:
        for name in ("price", "kw"):
            if getattr(server, name) is None:
                rents = f"{cloud.instance_type} has {model or 'another GPU'}"
                yield ("owned", "server", name), f"is missing: figures.csv knows servers of {_KNOWN_GPU} only; {rents}"
    if cloud.always_on and cloud.spot and "spot" in cloud.model_fields_set:
        yield ("cloud", "spot"), "what is always on has no spot price: AWS has spot for training only; set one to false"
