"""The ledger: one line for each thing that cost money, after the fact, priced by the price table.

Lines lie as Parquet in the reports zone, a file for each project and day (`zones.ledger_key`); what belongs to no
project lies under OWN. A charge belongs to the day, UTC, of its last moment: a job's to the day on which it ended, an
endpoint's hours are charged day by day. Metered again, lines have the same ids and replace
those of before.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal

from passerelle.contracts.base import Contract
from passerelle.contracts.prediction import Columns

#: Standard: list price by the hour, the request, the gigabyte. Dynamic: spot, whose price moves (FOCUS's words).
PricingCategory = Literal["Standard", "Dynamic"]
#: What something was done for. `pipeline` are the functions and state machines around a run's jobs.
ChargeStage = Literal[
    "prepare", "tune", "train", "evaluate", "judge", "backtest", "watch", "batch", "serve", "pipeline", "platform"
]
#: The project of what the platform does for all of them: no project has such a name.
OWN: Final = "_platform"
#: The partition: the day on which a charge ended, UTC, as yyyy-mm-dd.
DAY: Final = "day"


class Charge(Contract):
    """One line.

    Attributes
    ----------
    id : of what was charged, and for which time (`charge_id`); the same whenever it is metered.
    charge_start, charge_end : when it was used, ISO 8601, UTC, whole seconds, with a Z; the end is not part of it.
    project : OWN where it belongs to none.
    run_id, model_version, experiment : "" where it belongs to none. `experiment` is the A/B test or the tuning job.
    resource_type : `training-job`, `processing-job`, `transform-job`, `endpoint`, `state-machine`, `function`,
        `spark-job`.
    resource_id : its ARN; resource_name is what people call it, with `/<variant>` for an endpoint's.
    service, region, sku : the row of the price table.
    quantity : how many units were billed; None when AWS does not say. Of spot, the billable time.
    unit_price_usd : None when the price table has none; then, and only then or with an unknown quantity, `usd` is None.
    price_as_of, price_source : of that row; `price_derived` when it was computed from another price and not read.
    usd : at list prices, without free tiers, discounts, taxes.
    on_demand_quantity, on_demand_usd : the same without spot: of a spot training the time that it trained.
    requests : how many requests were answered with it; None where that means nothing or nobody knows.
    basis : where the quantity comes from, in words.
    """

    id: str
    charge_start: str
    charge_end: str
    project: str
    cost_centre: str
    environment: str
    stage: ChargeStage
    run_id: str = ""
    model_version: str = ""
    experiment: str = ""
    resource_type: str
    resource_id: str
    resource_name: str
    service: str
    region: str
    sku: str
    unit: str
    quantity: float | None
    unit_price_usd: float | None
    price_as_of: str = ""
    price_source: str = ""
    price_derived: bool = False
    usd: float | None
    on_demand_quantity: float | None
    on_demand_usd: float | None
    pricing_category: PricingCategory = "Standard"
    requests: float | None = None
    basis: str

    @property
    def day(self) -> str:
        """The day that it is charged on, that of its last moment, as yyyy-mm-dd."""
        start, end = (datetime.fromisoformat(moment) for moment in (self.charge_start, self.charge_end))
        return str(max(start, end - timedelta(seconds=1)).date())


#: The columns of the Parquet files, in order.
COLUMNS: Final[Columns] = (
    ("id", "text"),
    ("charge_start", "datetime"),
    ("charge_end", "datetime"),
    ("project", "text"),
    ("cost_centre", "text"),
    ("environment", "text"),
    ("stage", "text"),
    ("run_id", "text"),
    ("model_version", "text"),
    ("experiment", "text"),
    ("resource_type", "text"),
    ("resource_id", "text"),
    ("resource_name", "text"),
    ("service", "text"),
    ("region", "text"),
    ("sku", "text"),
    ("unit", "text"),
    ("quantity", "number"),
    ("unit_price_usd", "number"),
    ("price_as_of", "text"),
    ("price_source", "text"),
    ("price_derived", "boolean"),
    ("usd", "number"),
    ("on_demand_quantity", "number"),
    ("on_demand_usd", "number"),
    ("pricing_category", "text"),
    ("requests", "number"),
    ("basis", "text"),
)


def charge_id(resource_id: str, service: str, sku: str, day: str) -> str:
    """Return the id of a charge: one per resource and row of the price table, and per day where it is charged by days.

    `day` is "" for what is charged once and whole, such as a job.
    """
    return hashlib.sha256("\0".join((resource_id, service, sku, day)).encode()).hexdigest()[:32]
