"""From what was used to a line of the ledger: whose it is, when it was, what it cost at the price table's rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from passerelle.contracts import tags
from passerelle.contracts.ledger import Charge, ChargeStage, PricingCategory, charge_id
from passerelle.domain.cost.rates import Rate


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose a charge is; run, version and experiment "" where it belongs to none."""

    project: str
    cost_centre: str
    environment: str
    run_id: str = ""
    model_version: str = ""
    experiment: str = ""


def owner_of(marks: Mapping[str, str], environment: str) -> Owner | None:
    """Return whose a resource is by its tags; None for one of another environment, or of no project of ours."""
    if marks.get(tags.ENVIRONMENT) != environment or not marks.get(tags.PROJECT):
        return None
    return Owner(
        project=marks[tags.PROJECT],
        cost_centre=marks.get(tags.COST_CENTRE, ""),
        environment=environment,
        run_id=marks.get(tags.RUN, ""),
    )


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much was used, in a rate's unit; None when AWS does not say.

    `on_demand` is what would have been billed without spot, where that is another amount. `basis` says in words where
    the figures come from.
    """

    quantity: float | None
    basis: str
    on_demand: float | None = None
    category: PricingCategory = "Standard"
    requests: float | None = None


@dataclass(frozen=True, kw_only=True)
class Used:
    """A resource that was used, from `start` until before `end`; `day` is "" for what is charged once and whole."""

    owner: Owner
    stage: ChargeStage
    resource_type: str
    resource_id: str
    resource_name: str
    start: datetime
    end: datetime
    day: str = ""

    def charge(self, rate: Rate, amount: Amount) -> Charge:
        """Return the line."""
        spot = amount.category == "Dynamic"
        on_demand = amount.on_demand if spot else amount.quantity
        return Charge(
            id=charge_id(self.resource_id, rate.service, rate.sku, self.day),
            charge_start=iso(self.start),
            charge_end=iso(self.end),
            project=self.owner.project,
            cost_centre=self.owner.cost_centre,
            environment=self.owner.environment,
            stage=self.stage,
            run_id=self.owner.run_id,
            model_version=self.owner.model_version,
            experiment=self.owner.experiment,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            resource_name=self.resource_name,
            service=rate.service,
            region=rate.region,
            sku=rate.sku,
            unit=rate.unit,
            quantity=amount.quantity,
            unit_price_usd=rate.usd,
            price_as_of=rate.as_of,
            price_source=rate.source,
            price_derived=rate.derived,
            usd=rate.cost(amount.quantity),
            on_demand_quantity=on_demand,
            on_demand_usd=rate.cost(on_demand),
            pricing_category=amount.category,
            requests=amount.requests,
            basis=amount.basis,
        )


def iso(moment: datetime) -> str:
    """Return a moment in UTC, to the second, with a Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
